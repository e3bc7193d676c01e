"""YAML in a profile's file, as the literals that the same file in Python would hold."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import yaml

from edeploy.match.literals import Literal
from edeploy.match.problems import BadFile, Problem
from edeploy.yaml_nodes import NotYaml, parse_yaml

MOST_REPEATED = 10_000
"""Values that come by aliases: the end of aliases that hold aliases that hold aliases."""

_BEGINNINGS = (b"---", b"- ", b"-\n", b"-\r", b"%YAML", b"generate:")
_COMMENTS = re.compile(rb"(?:[ \t]*(?:#[^\n]*)?\r?\n)*")
_WHOLE_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})\Z")
_WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


def is_yaml(data: bytes) -> bool:
    """Whether a file begins as YAML does and Python does not: `- `, `---` or `generate:`."""
    comments = _COMMENTS.match(data)
    return data.startswith(_BEGINNINGS, comments.end() if comments else 0)


def parse_yaml_literal(data: bytes, path: Path) -> Literal:
    """The value in YAML `data`, as a Python file would say it; `generate: {…}` is the call.

    Whole numbers, `true`, `false` and `null` are values, all other scalars the text that they are
    written as: a MAC is no number in base 60, and 1.10 is not 1.1. Raises BadFile with the place.
    """
    try:
        root = parse_yaml(data, path)
    except NotYaml as error:
        raise BadFile([Problem(path, error.line, error.column, error.reason)]) from error
    if root is None:
        return Literal(path, ast.Constant(None, lineno=1, col_offset=0))
    return _Reader(path).read(root)


class _Reader:
    """Makes Python's nodes of YAML's; one that several aliases name is made several times."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._made_once: set[int] = set()
        self._repeated = 0

    def read(self, root: yaml.Node) -> Literal:
        if isinstance(root, yaml.MappingNode) and len(root.value) == 1:
            key, model = root.value[0]
            if isinstance(key, yaml.ScalarNode) and key.value == "generate":
                name = _placed(ast.Name("generate"), key)
                return Literal(self._path, _placed(ast.Call(name, [self._made(model)], []), root))
        return Literal(self._path, self._made(root))

    def _made(self, node: yaml.Node) -> ast.expr:
        self._repeated += id(node) in self._made_once
        self._made_once.add(id(node))
        if self._repeated > MOST_REPEATED:
            raise self._problem(node, f"aliases repeat more than {MOST_REPEATED} values")
        if isinstance(node, yaml.ScalarNode):
            return _placed(ast.Constant(_scalar(node)), node)
        if isinstance(node, yaml.SequenceNode):
            return _placed(ast.List([self._made(item) for item in node.value]), node)
        keys: list[ast.expr | None] = [self._key(key) for key, _ in node.value]
        return _placed(ast.Dict(keys, [self._made(value) for _, value in node.value]), node)

    def _key(self, node: yaml.Node) -> ast.expr:
        if not isinstance(node, yaml.ScalarNode):
            raise self._problem(node, "a key must be text")
        if node.value == "<<" and node.style is None:
            raise self._problem(node, "`<<` is not read here: write the keys out")
        return _placed(ast.Constant(node.value), node)

    def _problem(self, node: yaml.Node, message: str) -> BadFile:
        mark = node.start_mark
        return BadFile([Problem(self._path, mark.line + 1, mark.column + 1, message)])


def _scalar(node: yaml.ScalarNode) -> str | int | bool | None:
    written: str = node.value
    if node.style is not None:
        return written
    if written in _WORDS:
        return _WORDS[written]
    return int(written) if _WHOLE_NUMBER.match(written) else written


def _placed(made: ast.expr, node: yaml.Node) -> ast.expr:
    made.lineno, made.col_offset = node.start_mark.line + 1, node.start_mark.column
    return made
