"""Configure scripts: compiled and read here, run only on machines."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edeploy.match.literals import Literal, parse_python, read_bytes
from edeploy.match.problems import BadFile, Problem
from edeploy.names import BadName, checked

_PYTHON_2 = {
    "print statement": re.compile(r"^\s*print\s+[^(=\s]", re.MULTILINE),
    "except with a comma": re.compile(r"^\s*except\s+[\w.]+\s*,", re.MULTILINE),
    "octal number without 0o": re.compile(r"(?<![\w.])0[0-7]+(?![\w.])"),
}


@dataclass(frozen=True)
class ImageUse:
    """A `set_role('web', '1.0.0', …)` whose role and version are plain text."""

    role: str
    version: str
    place: Literal


@dataclass(frozen=True)
class Script:
    """A configure script that compiles as Python 3."""

    path: Path
    source: str
    uses: tuple[ImageUse, ...]


def read_script(path: Path) -> Script:
    """Read and compile a configure script. Raises BadFile, which says when it is Python 2."""
    data = read_bytes(path)
    try:
        source = data.decode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise BadFile([Problem(path, line, 1, "is not UTF-8 text")]) from error
    try:
        tree = parse_python(data, path)
        _compile(tree, path)
    except BadFile as error:
        raise _named(error, source) from error
    uses = tuple(_uses(tree, path))
    problems = [use.place.problem(text) for use in uses for text in _bad_names(use)]
    if problems:
        raise BadFile(problems)
    return Script(path, source, uses)


def _bad_names(use: ImageUse) -> Iterator[str]:
    for name, what in ((use.role, "role"), (use.version, "version")):
        try:
            checked(name, what)
        except BadName as error:
            yield error.message


def _compile(tree: ast.Module, path: Path) -> None:
    """Find what the parser does not: `return` outside a function, names both global and local."""
    try:
        compile(tree, str(path), "exec", dont_inherit=True)
    except SyntaxError as error:
        problem = Problem(path, error.lineno or 1, error.offset or 1, error.msg)
        raise BadFile([problem]) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise BadFile([Problem(path, 1, 1, str(error) or "nested too deeply")]) from error


def _named(error: BadFile, source: str) -> BadFile:
    signs = [name for name, pattern in _PYTHON_2.items() if pattern.search(source)]
    if not signs:
        return error
    said = f"is Python 2 ({', '.join(signs)}); configure scripts are Python 3"
    return BadFile(
        Problem(p.path, p.line, p.column, f"{said}: {p.message}") for p in error.problems
    )


def _uses(tree: ast.Module, path: Path) -> Iterator[ImageUse]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id == "set_role":
                role, version = (_argument(node, 0, "role"), _argument(node, 1, "version"))
                if role is not None and version is not None:
                    yield ImageUse(role, version, Literal(path, node))


def _argument(call: ast.Call, place: int, name: str) -> str | None:
    """The text given for one parameter; None when it is not plain text."""
    named = [keyword.value for keyword in call.keywords if keyword.arg == name]
    given = (call.args[place : place + 1] + named)[:1]
    if given and isinstance(given[0], ast.Constant) and isinstance(given[0].value, str):
        return given[0].value
    return None
