"""YAML read with its places: every value knows its file and line, and stays the text it was."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from edeploy.errors import EdeployError


class BadYaml(EdeployError):
    """Not YAML, or not of the expected shape; the message starts with file and line."""


@dataclass(frozen=True)
class Place:
    """A line in a file, printed as `path:line`."""

    path: Path
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"

    @classmethod
    def of(cls, path: Path, node: yaml.Node) -> Place:
        return cls(path, node.start_mark.line + 1)


def read_yaml(path: Path) -> yaml.Node | None:
    """The file's one document, None for an empty file. Raises BadYaml."""
    try:
        return yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BadYaml(f"{path}:{line}: {error.problem or 'not YAML'}") from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise BadYaml(f"{path}:1: cannot be read: {error}") from error


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
