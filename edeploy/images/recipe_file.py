"""One role.yaml: what it says, each part with its place; every mistake told with that place."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import yaml

from edeploy.images.owners import Owner
from edeploy.names import PACKAGE, BadName, under
from edeploy.yaml_nodes import BadYaml, Place, list_of, mapping, pairs, read_yaml, text

_FAMILY = re.compile(r"(debian|rpm)\Z")
_SUITE = re.compile(r"[a-z0-9][a-z0-9.-]*\Z")
_UNIT = re.compile(r"[A-Za-z0-9:_.@\\-]+\.(service|socket|timer|path|target|mount)\Z")
_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,31}\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_URL = re.compile(r"(https?|file)://[^\s@]+\Z")
_ID = re.compile(r"[0-9]{1,9}\Z")
_PATH = re.compile(r"/[^\s:]*\Z")
# A shell in the initramfs reads these.
_OWNED = re.compile(r"(/(?!\.\.?(/|\Z))[A-Za-z0-9_.@+-]+)+\Z")


class Family(StrEnum):
    """Distributions whose packages are handled alike."""

    DEBIAN = "debian"
    RPM = "rpm"


class BadRecipe(BadYaml):
    """A recipe that is wrong; the message starts with file and line."""


@dataclass(frozen=True)
class Repository:
    """A package repository beside the distribution's own; `key` is its OpenPGP public key."""

    name: str
    url: str
    suite: str
    components: tuple[str, ...]
    key: Path


@dataclass(frozen=True)
class User:
    """An account with a fixed id; its group has the same name unless `group` says another."""

    name: str
    uid: int
    gid: int
    group: str
    home: str
    shell: str
    groups: tuple[str, ...]


@dataclass
class Found:
    """What one recipe says, each part with its place. Of `parents` the last ones are `mixins`."""

    path: Path
    mixins: tuple[str, ...] = ()
    parents: list[tuple[str, Place]] = field(default_factory=list)
    values: dict[str, tuple[str, Place]] = field(default_factory=dict)
    lists: dict[str, list[tuple[str, Place]]] = field(default_factory=dict)
    repositories: list[tuple[Repository, Place]] = field(default_factory=list)
    users: list[tuple[User, Place]] = field(default_factory=list)
    variables: list[tuple[str, str, Place]] = field(default_factory=list)
    paths: dict[str, tuple[Owner, Place]] = field(default_factory=dict)


def read_recipe_file(path: Path) -> Found:
    found = Found(path)
    readers: dict[str, Callable[[yaml.Node], None]] = {
        "from": lambda node: found.parents.append(_role(path, node)),
        "with": lambda node: _mixins(found, node),
        "suite": lambda node: _value(found, "suite", node, _SUITE),
        "family": lambda node: _value(found, "family", node, _FAMILY),
        "kernel": lambda node: _value(found, "kernel", node, PACKAGE),
        "files": lambda node: _value(found, "files", node, None),
        "script": lambda node: _value(found, "script", node, None),
        "packages": lambda node: _list(found, "packages", node, PACKAGE),
        "exclude": lambda node: _list(found, "exclude", node, None),
        "repositories": lambda node: _repositories(found, node),
        "services": lambda node: _services(found, node),
        "users": lambda node: _users(found, node),
        "variables": lambda node: _variables(found, node),
        "paths": lambda node: _paths(found, node),
    }
    node = read_yaml(path)
    if node is None:
        return found
    # Parents are parents in the order from, with, wherever the file has the lines.
    by_key = mapping(path, node, tuple(readers))
    for key, reader in readers.items():
        if key in by_key:
            reader(by_key[key])
    return found


def _role(path: Path, node: yaml.Node) -> tuple[str, Place]:
    return text(path, node), Place.of(path, node)


def _mixins(found: Found, node: yaml.Node) -> None:
    mixins = [_role(found.path, item) for item in list_of(found.path, node)]
    found.parents.extend(mixins)
    found.mixins = tuple(name for name, _ in mixins)


def _fitting(path: Path, node: yaml.Node, pattern: re.Pattern[str] | None, what: str) -> str:
    value = text(path, node)
    if not value or (pattern and not pattern.match(value)):
        raise BadRecipe(f"{Place.of(path, node)}: {value!r} is no {what}")
    return value


def _value(found: Found, key: str, node: yaml.Node, pattern: re.Pattern[str] | None) -> None:
    found.values[key] = _fitting(found.path, node, pattern, key), Place.of(found.path, node)


def _list(found: Found, key: str, node: yaml.Node, pattern: re.Pattern[str] | None) -> None:
    what = {"packages": "package name", "exclude": "pattern"}.get(key, "unit name")
    found.lists[key] = [
        (_fitting(found.path, item, pattern, what), Place.of(found.path, item))
        for item in list_of(found.path, node)
    ]


def _services(found: Found, node: yaml.Node) -> None:
    for key, value in mapping(found.path, node, ("enable", "disable")).items():
        _list(found, key, value, _UNIT)


def _repositories(found: Found, node: yaml.Node) -> None:
    path = found.path
    for number, item in enumerate(list_of(path, node)):
        keys = mapping(path, item, ("url", "suite", "components", "key"), required=("url", "key"))
        key_name = text(path, keys["key"])
        key = _inside(path, keys["key"], key_name)
        components = list_of(path, keys["components"]) if "components" in keys else []
        repository = Repository(
            name=f"{path.parent.name}-{number + 1}",
            url=_fitting(path, keys["url"], _URL, "repository address without credentials"),
            suite=text(path, keys["suite"]) if "suite" in keys else "",
            components=tuple(text(path, part) for part in components) or ("main",),
            key=key,
        )
        found.repositories.append((repository, Place.of(path, item)))


def _users(found: Found, node: yaml.Node) -> None:
    path = found.path
    allowed = ("name", "uid", "gid", "group", "home", "shell", "groups")
    for item in list_of(path, node):
        keys = mapping(path, item, allowed, required=("name", "uid"))
        name = _fitting(path, keys["name"], _ACCOUNT, "account name")
        uid = int(_fitting(path, keys["uid"], _ID, "user id"))
        groups = list_of(path, keys["groups"]) if "groups" in keys else []
        user = User(
            name=name,
            uid=uid,
            gid=int(_given(path, keys, "gid", str(uid), _ID)),
            group=_given(path, keys, "group", name, _ACCOUNT),
            home=_given(path, keys, "home", "/nonexistent", _PATH),
            shell=_given(path, keys, "shell", "/usr/sbin/nologin", _PATH),
            groups=tuple(_fitting(path, group, _ACCOUNT, "group name") for group in groups),
        )
        found.users.append((user, Place.of(path, item)))


def _given(
    path: Path, keys: dict[str, yaml.Node], key: str, default: str, pattern: re.Pattern[str]
) -> str:
    return _fitting(path, keys[key], pattern, key) if key in keys else default


def _variables(found: Found, node: yaml.Node) -> None:
    for key, value in pairs(found.path, node):
        name = _fitting(found.path, key, _VARIABLE, "variable name")
        found.variables.append((name, text(found.path, value), Place.of(found.path, value)))


def _paths(found: Found, node: yaml.Node) -> None:
    path = found.path
    for key, value in mapping(path, node, tuple(Owner)).items():
        for item in list_of(path, value):
            owned = _fitting(path, item, _OWNED, "absolute path of plain characters")
            place = Place.of(path, item)
            if owned in found.paths:
                raise BadRecipe(f"{place}: {owned} is here twice, see {found.paths[owned][1]}")
            owner = Owner(key)
            if owner is Owner.MERGED and owned != "/etc" and not owned.startswith("/etc/"):
                raise BadRecipe(f"{place}: {owned}: only /etc and what is below can be merged")
            found.paths[owned] = owner, place


def _inside(path: Path, node: yaml.Node, name: str) -> Path:
    """A file or folder that a recipe names: there, and inside the role's own folder."""
    try:
        under(path.parent, name)
    except BadName as error:
        raise BadRecipe(f"{Place.of(path, node)}: {error.message}") from error
    if not (path.parent / name).exists():
        raise BadRecipe(f"{Place.of(path, node)}: {path.parent / name} does not exist")
    return path.parent / name
