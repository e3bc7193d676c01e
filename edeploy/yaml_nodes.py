"""YAML read with its places: every value knows its file and line, and stays the text it was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from edeploy.errors import EdeployError

DEEPEST = 50
"""No file of ours is nested deeper; libyaml takes minutes over a megabyte of opening brackets."""

MOST_NODES = 200_000
"""Keys and values of ten thousand machines with ten fields each; read in half a second."""

# libyaml where PyYAML was built with it: five times as fast.
_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEXT = "tag:yaml.org,2002:str"


class BadYaml(EdeployError):
    """Not YAML, or not of the expected shape; the message starts with file and line."""


class NotYaml(BadYaml):
    """Not YAML, or more of it than is read here: `reason`, at a line and column from 1."""

    def __init__(self, path: Path, line: int, column: int, reason: str) -> None:
        super().__init__(f"{path}:{line}:{column}: {reason}")
        self.line = line
        self.column = column
        self.reason = reason


@dataclass(frozen=True)
class Place:
    """A place in a file, printed as `path:line:column`; both count from 1."""

    path: Path
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"

    @classmethod
    def of(cls, path: Path, node: yaml.Node) -> Place:
        return cls(path, node.start_mark.line + 1, node.start_mark.column + 1)


def read_yaml(path: Path) -> yaml.Node | None:
    """The file's one document, None for an empty file. Raises BadYaml."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadYaml(f"{path}:1: cannot be read: {error}") from error
    return parse_yaml(data, path)


def parse_yaml(data: bytes, path: Path) -> yaml.Node | None:
    """The one document in `data`, None for an empty one; `path` is for messages.

    Nothing is constructed: nodes hold the text as it is written. Raises NotYaml, also for
    tags other than `!!str`, several documents, nesting deeper than DEEPEST, more than MOST_NODES.
    """
    try:
        return _Tree(path, yaml.parse(data.decode(), Loader=_LOADER)).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise NotYaml(path, line, column, error.problem or "not YAML") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = "not UTF-8 text, or with control characters"
        raise NotYaml(path, 1, 1, reason) from error


class _Tree:
    """Nodes made of the parser's events as they come, so that what is too deep ends at once."""

    def __init__(self, path: Path, events: Iterator[yaml.Event]) -> None:
        self._path = path
        self._events = events
        self._anchors: dict[str, yaml.Node] = {}
        self._count = 0

    def document(self) -> yaml.Node | None:
        root: yaml.Node | None = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise self._problem(event, "a second document; one is read")
                root = self._node(next(self._events), 0)
        return root

    def _node(self, event: yaml.Event, depth: int) -> yaml.Node:
        if depth > DEEPEST:
            raise self._problem(event, f"nested deeper than {DEEPEST}")
        self._count += 1
        if self._count > MOST_NODES:
            raise self._problem(event, f"more than {MOST_NODES} keys and values")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if not isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)):
            raise self._problem(event, "a value is missing")
        if event.tag not in (None, _TEXT, "!"):
            raise self._problem(event, f"tags are not read here: {event.tag}")
        node = self._filled(event, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _filled(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, depth: int) -> yaml.Node:
        start = _mark(event)
        if isinstance(event, yaml.ScalarEvent):
            # `!!str 1` is the text 1, as "1" is.
            style = event.style or ("'" if event.tag else None)
            return yaml.ScalarNode(_TEXT, event.value, start, style=style)
        items: list[yaml.Node] = []
        for inner in self._events:
            if isinstance(inner, yaml.CollectionEndEvent):
                break
            items.append(self._node(inner, depth + 1))
        if isinstance(event, yaml.SequenceStartEvent):
            return yaml.SequenceNode("tag:yaml.org,2002:seq", items, start)
        both = list(zip(items[::2], items[1::2], strict=True))
        return yaml.MappingNode("tag:yaml.org,2002:map", both, start)

    def _alias(self, event: yaml.AliasEvent) -> yaml.Node:
        # An anchor is known from the end of its value on: no value can hold itself.
        if event.anchor not in self._anchors:
            raise self._problem(event, f"there is no anchor &{event.anchor} before this")
        return self._anchors[event.anchor]

    def _problem(self, event: yaml.Event, reason: str) -> NotYaml:
        mark = _mark(event)
        return NotYaml(self._path, mark.line + 1, mark.column + 1, reason)


def _mark(event: yaml.Event) -> yaml.Mark:
    # libyaml's marks are of another class.
    line, column = (event.start_mark.line, event.start_mark.column) if event.start_mark else (0, 0)
    return yaml.Mark("", 0, line, column, None, 0)


def pairs(path: Path, node: yaml.Node) -> list[tuple[yaml.Node, yaml.Node]]:
    """The keys and values of a mapping. Raises BadYaml: no mapping, a key given twice."""
    if not isinstance(node, yaml.MappingNode):
        raise BadYaml(f"{Place.of(path, node)}: here belong keys with values (`key: value`)")
    seen: set[str] = set()
    for key, _ in node.value:
        name = text(path, key)
        if name in seen:
            raise BadYaml(f"{Place.of(path, key)}: the key {name!r} is given twice")
        seen.add(name)
    return list(node.value)


def mapping(
    path: Path, node: yaml.Node, allowed: tuple[str, ...], *, required: tuple[str, ...] = ()
) -> dict[str, yaml.Node]:
    """A mapping with these keys only. Raises BadYaml: an unknown key, a required one missing."""
    found: dict[str, yaml.Node] = {}
    for key, value in pairs(path, node):
        name = text(path, key)
        if name not in allowed:
            raise BadYaml(
                f"{Place.of(path, key)}: unknown key {name!r}",
                f"Keys here: {', '.join(allowed)}.",
            )
        found[name] = value
    for name in required:
        if name not in found:
            raise BadYaml(f"{Place.of(path, node)}: the key {name!r} is missing")
    return found


def list_of(path: Path, node: yaml.Node) -> list[yaml.Node]:
    """The items of a list; an empty value is an empty list. Raises BadYaml."""
    if isinstance(node, yaml.ScalarNode) and not node.value:
        return []
    if not isinstance(node, yaml.SequenceNode):
        raise BadYaml(f"{Place.of(path, node)}: here belongs a list (`[a, b]` or lines of `- a`)")
    return list(node.value)


def text(path: Path, node: yaml.Node) -> str:
    """A plain value as it is written: `1.10` stays 1.10, `no` stays no. Raises BadYaml."""
    if not isinstance(node, yaml.ScalarNode):
        raise BadYaml(f"{Place.of(path, node)}: here belongs one plain value")
    return str(node.value)
