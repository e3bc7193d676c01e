"""Which variables a configure script reads, and which of them nothing binds."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from string import Formatter

from edeploy.match.python2.tokens import Lines
from edeploy.match.script_names import bound_names

GIVEN = frozenset(["edeploy-profile", "used"])
"""Variables that every machine has, or every one with a CMDB entry."""

_IN_PERCENT = re.compile(r"%(?:%|\(([^()]*)\))")
_CATCHES_MISSING = frozenset(["KeyError", "LookupError", "Exception", "BaseException"])
_DEEPEST = 20


@dataclass(frozen=True)
class Use:
    """A variable that a script reads; `gently`: by `var.get`."""

    line: int
    column: int
    name: str
    gently: bool = False


@dataclass
class _Uses:
    """All that a script does with `var`; `elsewhere`: it stores names that are not plain text."""

    read: list[Use] = field(default_factory=list)
    optional: set[str] = field(default_factory=set)
    elsewhere: bool = False


def unbound(
    nodes: Sequence[ast.AST], source: str, lines: Lines, bound: Collection[str]
) -> list[Use]:
    """The first use of each variable that is read, never asked for, stored nor bound."""
    names = bound_names(nodes)
    if names is None or "var" in names:
        return []
    uses = _Collector(nodes, source, lines).uses()
    if uses.elsewhere:
        return []
    first: dict[str, Use] = {}
    for use in sorted(uses.read, key=lambda one: (one.line, one.column)):
        if use.name not in bound and use.name not in uses.optional and use.name not in GIVEN:
            first.setdefault(use.name, use)
    return list(first.values())


class _Collector:
    """Goes through a script's syntax tree for `var`."""

    def __init__(self, nodes: Sequence[ast.AST], source: str, lines: Lines) -> None:
        self._nodes = nodes
        self._source = source
        self._lines = lines
        self._uses = _Uses()
        self._guarded = _guarded(nodes)
        self._home = {
            id(inner): node
            for node in nodes
            if isinstance(node, ast.JoinedStr)
            for inner in ast.walk(node)
        }
        self._texts = _texts_by_name(nodes)

    def uses(self) -> _Uses:
        for node in self._nodes:
            if isinstance(node, ast.Subscript) and _is_var(node.value):
                self._subscript(node)
            elif isinstance(node, ast.Compare) and any(map(_is_var, node.comparators)):
                if isinstance(node.ops[0], (ast.In, ast.NotIn)):
                    self._uses.optional |= _plain(node.left)
            elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
                if _is_var(node.right):
                    self._percent(node.left)
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                self._call(node, node.func)
        return self._uses

    def _subscript(self, node: ast.Subscript) -> None:
        names = _plain(node.slice)
        if isinstance(node.ctx, ast.Load):
            for name in names:
                self._read(node, name)
        elif names:
            self._uses.optional |= names
        else:
            self._uses.elsewhere = True

    def _call(self, node: ast.Call, function: ast.Attribute) -> None:
        if function.attr in ("format", "format_map"):
            maps = [k.value for k in node.keywords if k.arg is None]
            if any(map(_is_var, maps or node.args)):
                self._format(function.value, {k.arg for k in node.keywords})
        if not _is_var(function.value):
            return
        if function.attr == "get":
            for name in _plain(node.args[0]) if node.args else ():
                self._read(node, name, gently=True)
        elif function.attr in ("setdefault", "pop"):
            self._uses.optional |= _plain(node.args[0]) if node.args else set()
        elif function.attr == "update":
            self._update(node)

    def _update(self, node: ast.Call) -> None:
        for keyword in node.keywords:
            self._uses.optional |= {keyword.arg} if keyword.arg else set()
        keys: list[ast.expr | None] = [k.value for k in node.keywords if k.arg is None]
        for argument in node.args:
            keys += argument.keys if isinstance(argument, ast.Dict) else [argument]
        for key in keys:
            names = _plain(key)
            self._uses.optional |= names
            self._uses.elsewhere = self._uses.elsewhere or not names

    def _percent(self, node: ast.expr) -> None:
        for text in self._constants(node, _DEEPEST):
            for found in _IN_PERCENT.finditer(str(text.value)):
                if found[1] is not None and "{" not in found[1]:
                    self._read(text, found[1], f"%({found[1]})")

    def _format(self, node: ast.expr, given: set[str | None]) -> None:
        for text in self._constants(node, _DEEPEST):
            try:
                fields = [part[1] for part in Formatter().parse(str(text.value))]
            except ValueError:
                continue
            for wanted in fields:
                name = re.split(r"[.\[]", wanted or "", maxsplit=1)[0]
                if name and name not in given and not name.isdigit():
                    self._read(text, name, "{" + name)

    def _constants(self, node: ast.expr, deepest: int) -> Iterator[ast.Constant]:
        """The texts that an expression is put together of."""
        if deepest == 0:
            return
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            yield from self._constants(node.left, deepest - 1)
            yield from self._constants(node.right, deepest - 1)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr == "format":
                yield from self._constants(node.func.value, deepest - 1)
        elif isinstance(node, ast.Name) and node.id in self._texts:
            yield self._texts[node.id]

    def _read(self, node: ast.expr, name: str, written: str = "", *, gently: bool = False) -> None:
        if id(node) in self._guarded:
            self._uses.optional.add(name)
            return
        # Places within f-strings are wrong before Python 3.12: the f-string's own is taken.
        node = self._home.get(id(node), node)
        offset = self._lines.offset(node.lineno, node.col_offset)
        if written:  # a line within a text of several
            end = self._lines.offset(node.end_lineno or 1, node.end_col_offset or 0)
            offset = max(offset, self._source.find(written, offset, end))
        self._uses.read.append(Use(*self._lines.place(offset), name, gently))


def _is_var(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "var"


def _plain(node: ast.expr | None) -> set[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return {node.value}
    return set()


def _guarded(nodes: Sequence[ast.AST]) -> set[int]:
    """What stands in a `try` that catches a missing variable."""
    found: set[int] = set()
    for node in nodes:
        if isinstance(node, ast.Try) and any(map(_catches, node.handlers)):
            for statement in node.body:
                found.update(map(id, ast.walk(statement)))
    return found


def _catches(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    names = {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}
    return bool(names & _CATCHES_MISSING)


def _texts_by_name(nodes: Sequence[ast.AST]) -> dict[str, ast.Constant]:
    """Names that are given a text, and nothing else."""
    stored: dict[str, int] = {}
    texts: dict[str, ast.Constant] = {}
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            stored[node.id] = stored.get(node.id, 0) + 1
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            target = node.targets[0]
            if isinstance(target, ast.Name) and isinstance(node.value.value, str):
                texts[target.id] = node.value
    return {name: text for name, text in texts.items() if stored.get(name) == 1}
