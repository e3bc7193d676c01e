"""Configure scripts: compiled and read here, run only on machines."""

from __future__ import annotations

import ast
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edeploy.match.literals import MAX_CODE_BYTES, Literal, parse_python, read_bytes
from edeploy.match.problems import BadFile, Problem
from edeploy.match.python2.syntax import Change
from edeploy.match.python2.upgrade import upgrade
from edeploy.names import BadName, checked


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
    source = read_source(path)
    try:
        tree = parse_python(source.encode(), path)
        check_compiles(tree, path)
    except BadFile as error:
        raise _python_2(path, source) or error from error
    uses = tuple(_uses(tree, path))
    problems = [use.place.problem(text) for use in uses for text in _bad_names(use)]
    if problems:
        raise BadFile(problems)
    return Script(path, source, uses)


def read_source(path: Path) -> str:
    """The text of a configure script. Raises BadFile."""
    data = read_bytes(path, MAX_CODE_BYTES)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise BadFile([Problem(path, line, 1, "is not UTF-8 text")]) from error


def python_2(path: Path, changes: Sequence[Change]) -> Problem:
    """The finding that a script is Python 2, at the first of the changes it needs; one at least."""
    counts = Counter(change.what for change in changes)
    told = ", ".join(f"{count} × {what}" for what, count in counts.items())
    said = f"is Python 2 ({told}); rewrite it: edeploy specs upgrade {path} --write"
    return Problem(path, changes[0].line, changes[0].column, said)


def _bad_names(use: ImageUse) -> Iterator[str]:
    for name, what in ((use.role, "role"), (use.version, "version")):
        try:
            checked(name, what)
        except BadName as error:
            yield error.message


def check_compiles(tree: ast.Module, path: Path) -> None:
    """Find what the parser does not: `return` outside a function, names both global and local.

    Raises BadFile.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(tree, str(path), "exec", dont_inherit=True)
    except SyntaxError as error:
        problem = Problem(path, error.lineno or 1, error.offset or 1, error.msg)
        raise BadFile([problem]) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise BadFile([Problem(path, 1, 1, str(error) or "nested too deeply")]) from error


def _python_2(path: Path, source: str) -> BadFile | None:
    """The error of a script that does not compile because it is Python 2."""
    changes = upgrade(source).changes
    return BadFile([python_2(path, changes)]) if changes else None


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
