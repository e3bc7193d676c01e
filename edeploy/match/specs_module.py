"""NAME.specs.py: rules in a Python module, and a function that has the last word; read, not run."""

from __future__ import annotations

import ast
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from edeploy.match.language import Specs, specs_of
from edeploy.match.literals import MAX_CODE_BYTES, Literal, parse_python
from edeploy.match.problems import BadFile, Problem
from edeploy.match.scripts import check_compiles

ENDING = ".specs.py"
_PARAMETERS = 2


@dataclass(frozen=True)
class SpecsModule:
    """`specs` None: the module has none; `asks`: it has `accept(report, var)`."""

    path: Path
    source: str
    specs: Specs | None
    asks: bool


def read_module(path: Path) -> SpecsModule:
    """A module that only root or this process's user can have written. Raises BadFile.

    The rules are read as data, like those of a .specs file: a module is run only when a report
    meets them, and then in a process of its own (see `acceptance`).
    """
    data = _trusted(path)
    tree = parse_python(data, path)
    check_compiles(tree, path)
    try:
        source = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadFile([Problem(path, 1, 1, "is not UTF-8 text")]) from error
    literal = module_specs(tree, path)
    accept = _accept(tree, path)
    if literal is None and accept is None:
        raise BadFile(
            [Problem(path, 1, 1, "has neither `specs = […]` nor `def accept(report, var)`")]
        )
    return SpecsModule(path, source, specs_of(literal) if literal else None, accept is not None)


def module_specs(tree: ast.Module, path: Path) -> Literal | None:
    """What a module gives the name `specs`; None when it does not. Raises BadFile: twice."""
    found = []
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
        value = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
        if value is not None and any(isinstance(t, ast.Name) and t.id == "specs" for t in targets):
            found.append(Literal(path, value))
    if len(found) > 1:
        raise BadFile([found[1].problem("`specs` is there twice")])
    return found[0] if found else None


def _accept(tree: ast.Module, path: Path) -> ast.FunctionDef | None:
    found = None
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "accept":
            found = node
        elif isinstance(node, ast.AsyncFunctionDef) and node.name == "accept":
            message = "accept must be a plain function: def accept(report, var)"
            raise BadFile([Problem(path, node.lineno, node.col_offset + 1, message)])
    if found is not None and not _takes_two(found.args):
        message = "accept must take two arguments: def accept(report, var)"
        raise BadFile([Problem(path, found.lineno, found.col_offset + 1, message)])
    return found


def _takes_two(arguments: ast.arguments) -> bool:
    plain = len(arguments.posonlyargs) + len(arguments.args)
    needed = plain - len(arguments.defaults)
    enough = plain >= _PARAMETERS or arguments.vararg is not None
    return needed <= _PARAMETERS and enough and None not in arguments.kw_defaults


def _trusted(path: Path) -> bytes:
    """The content of a file that nobody but root and this user can have written.

    The file is looked at when it is open, so that what was looked at is what is read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as stream:
            problems = _writers(path, os.fstat(stream.fileno()), path)
            for folder in _folders(path):
                problems += _writers(path, folder.stat(), folder)
            if problems:
                raise BadFile(problems)
            data = stream.read(MAX_CODE_BYTES + 1)
    except OSError as error:
        raise BadFile([Problem(path, 1, 1, error.strerror or "cannot be read")]) from error
    if len(data) > MAX_CODE_BYTES:
        raise BadFile([Problem(path, 1, 1, f"larger than {MAX_CODE_BYTES} bytes")])
    return data


def _folders(path: Path) -> list[Path]:
    """Where a file's name stands, and where it leads to when it is a link."""
    named, real = path.parent, path.resolve().parent
    return [named] if named.resolve() == real else [named, real]


def _writers(path: Path, status: os.stat_result, place: Path) -> list[Problem]:
    """What lets others write to a file, or put another in its place."""
    what = "it is" if place == path else f"its folder {place} is"
    if place == path and not stat.S_ISREG(status.st_mode):
        return [Problem(path, 1, 1, "is no file")]
    if status.st_uid not in (0, os.geteuid()):
        reason = f"{what} of user {status.st_uid}; run: chown root {place}"
    elif status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        reason = f"{what} writable by others; run: chmod go-w {place}"
    else:
        return []
    return [Problem(path, 1, 1, f"is code, and not loaded, as {reason}")]
