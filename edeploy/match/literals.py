"""Python literals in files: read as data, never evaluated, with the place of every value."""

from __future__ import annotations

import ast
import math
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

from edeploy.match.missing_comma import missing_comma
from edeploy.match.problems import BadFile, Problem

MAX_FILE_BYTES = 128 << 10
"""Python's own parser takes a second and more for a megabyte of brackets."""
MAX_CODE_BYTES = 32 << 10
"""Of scripts and modules, which are also compiled, and searched for names."""
MAX_INTEGER_BITS = 1024
MOST_MARKS = 80_000
"""Commas, colons, opening brackets and lines: a file of real values has fewer."""

_HALF = re.compile("[\ud800-\udfff]")
"""What neither a file nor a JSON document can hold."""

_MARKS = (b",", b":", b"(", b"[", b"{", b"\n", b";")
_WHOLE = (ast.Tuple, ast.List, ast.Dict, ast.Constant)


@dataclass(frozen=True)
class Literal:
    """A value in a file: plain Python data, and where it stands."""

    path: Path
    node: ast.expr

    @property
    def value(self) -> object:
        """Text, numbers, True, False, None, and lists, tuples, dicts of them. Raises BadFile."""
        return _value(self)

    @property
    def is_sequence(self) -> bool:
        """Whether it is a list or a tuple."""
        return isinstance(self.node, (ast.List, ast.Tuple))

    @property
    def is_text(self) -> bool:
        """Whether it is text."""
        return isinstance(self.node, ast.Constant) and isinstance(self.node.value, str)

    def parts(self) -> list[Literal]:
        """The items of a list or tuple; of another value, none."""
        if isinstance(self.node, (ast.List, ast.Tuple)):
            return [Literal(self.path, item) for item in self.node.elts]
        return []

    def entries(self) -> list[tuple[Literal, Literal]]:
        """The keys and values of a dict; of another value, none. Raises BadFile for `**`."""
        if not isinstance(self.node, ast.Dict):
            return []
        return [
            (Literal(self.path, self._own(key)), Literal(self.path, value))
            for key, value in zip(self.node.keys, self.node.values, strict=True)
        ]

    def problem(self, message: str) -> Problem:
        """`message` about this value, with its place."""
        return Problem(self.path, self.node.lineno, self.node.col_offset + 1, message)

    def argument(self, function: str) -> Literal | None:
        """The one argument when this is `function(argument)`, as in `generate({...})`."""
        call = self.node
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            return None
        if call.func.id != function:
            return None
        if len(call.args) != 1 or call.keywords:
            raise BadFile([self.problem(f"{function}(…) takes one argument")])
        return Literal(self.path, call.args[0])

    def _own(self, key: ast.expr | None) -> ast.expr:
        if key is None:
            raise BadFile([self.problem("`**` is not allowed: files hold data only")])
        return key


def read_literal(path: Path) -> Literal:
    """The one expression in a file. Raises BadFile (also when it cannot be read)."""
    return parse_literal(read_bytes(path), path)


def read_bytes(path: Path, most: int = MAX_FILE_BYTES) -> bytes:
    """The content of an operator's file. Raises BadFile: missing, unreadable, over `most` bytes."""
    try:
        with path.open("rb") as stream:
            data = stream.read(most + 1)
    except OSError as error:
        raise BadFile([Problem(path, 1, 1, error.strerror or "cannot be read")]) from error
    if len(data) > most:
        raise BadFile([Problem(path, 1, 1, f"larger than {most} bytes")])
    if sum(map(data.count, _MARKS)) > MOST_MARKS:
        raise BadFile([Problem(path, 1, 1, f"more than {MOST_MARKS} commas, brackets and lines")])
    return data


def parse_literal(data: bytes, path: Path) -> Literal:
    """The one expression in `data`, checked to hold data only but for a call by name at the top.

    Raises BadFile with the place; `path` is for messages.
    """
    body = parse_python(data, path).body
    if len(body) != 1 or not isinstance(body[0], ast.Expr):
        line, column = (body[0].lineno, body[0].col_offset + 1) if body else (1, 1)
        if len(body) > 1:
            line, column = body[1].lineno, body[1].col_offset + 1
        raise BadFile([Problem(path, line, column, "the file must hold one value and no more")])
    return Literal(path, body[0].value)


def parse_python(data: bytes, path: Path) -> ast.Module:
    """The syntax tree of Python source. Raises BadFile with the place of a syntax error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(data, str(path))
    except SyntaxError as error:
        comma = missing_comma(data.decode("utf-8-sig", "replace"), error)
        if comma is not None:
            raise BadFile([Problem(path, *comma, "a comma is missing here")]) from error
        raise BadFile([Problem(path, *_place(error), _said(error.msg))]) from error
    except (ValueError, RecursionError, MemoryError) as error:
        message = _said(str(error) or "nested too deeply")
        raise BadFile([Problem(path, 1, 1, message)]) from error


def _place(error: SyntaxError) -> tuple[int, int]:
    """Line and column from 1; the parser says 0 or -1 for what concerns the whole file."""
    return max(error.lineno or 1, 1), max(error.offset or 1, 1)


def _said(message: str) -> str:
    return re.sub(r" \(<?[^()]*, line \d+\)\Z", "", message)


def _value(literal: Literal) -> object:
    node = literal.node
    if isinstance(node, ast.Constant):
        return _constant(literal, node.value)
    if isinstance(node, ast.List):
        return [part.value for part in literal.parts()]
    if isinstance(node, ast.Tuple):
        return tuple(part.value for part in literal.parts())
    if isinstance(node, ast.Dict):
        return _dict(literal)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        return _signed(literal, node)
    raise BadFile([_refusal(literal)])


def _constant(literal: Literal, value: object) -> object:
    if isinstance(value, int) and value.bit_length() > MAX_INTEGER_BITS:
        raise BadFile([literal.problem("the number is too large")])
    if isinstance(value, float) and not math.isfinite(value):
        raise BadFile([literal.problem("the number is too large")])
    if isinstance(value, str) and _HALF.search(value):
        raise BadFile([literal.problem("half a character (a surrogate) is no text")])
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise BadFile([literal.problem(f"{type(value).__name__} is no kind of value here")])


def _signed(literal: Literal, node: ast.UnaryOp) -> object:
    number = node.operand.value if isinstance(node.operand, ast.Constant) else None
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise BadFile([_refusal(literal)])
    return -number if isinstance(node.op, ast.USub) else number


def _dict(literal: Literal) -> dict[object, object]:
    result: dict[object, object] = {}
    for key, item in literal.entries():
        if not isinstance(key.node, ast.Constant):
            raise BadFile([key.problem("a key must be text or a number")])
        name = key.value
        if name in result:
            raise BadFile([key.problem(f"the key {name!r} is there twice")])
        result[name] = item.value
    return result


def _refusal(literal: Literal) -> Problem:
    """Why a node is no literal; `(…) (…)` and `(…) […]` are nearly always a missing comma."""
    left = _left(literal.node)
    while left is not None:
        if isinstance(left, _WHOLE):
            line, column = left.end_lineno or left.lineno, (left.end_col_offset or 0) + 1
            return Problem(literal.path, line, column, "a comma is missing here")
        left = _left(left)
    return literal.problem("only values are allowed here (text, numbers, lists, tuples, dicts)")


def _left(node: ast.expr) -> ast.expr | None:
    """What is called or subscripted."""
    if isinstance(node, ast.Call):
        return node.func
    return node.value if isinstance(node, ast.Subscript) else None
