"""Recipes: reads `roles/NAME/role.yaml` and flattens it with the roles that it comes from."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import yaml

from edeploy.errors import EdeployError
from edeploy.names import BadName, checked, under
from edeploy.yaml_nodes import BadYaml, Place, list_of, mapping, pairs, read_yaml, text

RECIPE = "role.yaml"
NO_KERNEL = "none"

_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?\Z")
_SUITE = re.compile(r"[a-z][a-z0-9-]*\Z")
_UNIT = re.compile(r"[A-Za-z0-9:_.@\\-]+\.(service|socket|timer|path|target|mount)\Z")
_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,31}\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_URL = re.compile(r"(https?|file)://[^\s@]+\Z")
_ID = re.compile(r"[0-9]{1,9}\Z")
_PATH = re.compile(r"/[^\s:]*\Z")

Item = TypeVar("Item")


class NoSuchRole(EdeployError):
    """A role that has no recipe; the hint lists those that have."""


class BadRecipe(BadYaml):
    """A recipe that is wrong; the message starts with file and line."""


@dataclass(frozen=True)
class Part:
    """What a role brings of its own: its folder, overlay and script (None: it has none)."""

    role: str
    folder: Path
    files: Path | None
    script: Path | None


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


@dataclass(frozen=True)
class Recipe:
    """A role and its parents in one, parents first. `suite` "" means the build machine's own.

    `parent` is the same of the role that this one is built on: the one before it in `parts`,
    with all that comes before that. Suite and kernel are those of the whole line, so that a
    parent does not bring what its child replaces. `origins` tells for each part
    (`packages.nginx`, `kernel`) the file and line that it is from.
    """

    name: str
    parts: tuple[Part, ...]
    suite: str = ""
    packages: tuple[str, ...] = ()
    repositories: tuple[Repository, ...] = ()
    enable: tuple[str, ...] = ()
    disable: tuple[str, ...] = ()
    users: tuple[User, ...] = ()
    kernel: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    exclude: tuple[str, ...] = ()
    origins: Mapping[str, str] = field(default_factory=dict)
    parent: Recipe | None = None


def role_names(roles_dir: Path) -> list[str]:
    """The roles that have a recipe."""
    return sorted(path.parent.name for path in roles_dir.glob(f"*/{RECIPE}"))


def load_recipe(roles_dir: Path, name: str) -> Recipe:
    """The flattened recipe of role `name`. Raises NoSuchRole and BadRecipe."""
    line = _line_of_roles(roles_dir, name)
    merged = _Merged(line)
    recipe = None
    for part, found in line:
        merged.add(part, found)
        recipe = merged.recipe(part.role, recipe)
    if recipe is None:
        raise NoSuchRole(f"there is no role {name!r}")
    return recipe


def line_of(recipe: Recipe) -> list[Recipe]:
    """The recipe after all that it is built on, the first of them first."""
    before = line_of(recipe.parent) if recipe.parent else []
    return [*before, recipe]


def _line_of_roles(roles_dir: Path, name: str) -> list[tuple[Part, _Found]]:
    """The role's own recipe, its mixins' and its parents', in the order in which they apply."""
    done: dict[str, tuple[Part, _Found]] = {}

    def visit(role: str, way: tuple[str, ...], asked_at: Place | None) -> None:
        if role in way:
            loop = " → ".join((*way, role))
            raise BadRecipe(f"{asked_at}: roles in a loop: {loop}", "Take one `from` out.")
        if role in done:
            return
        folder = _folder(roles_dir, role, asked_at)
        found = _read(folder / RECIPE)
        for parent, place in found.parents:
            visit(parent, (*way, role), place)
        done[role] = (_part_of(role, folder, found), found)

    visit(name, (), None)
    return list(done.values())


def _folder(roles_dir: Path, role: str, asked_at: Place | None) -> Path:
    where = f"{asked_at}: " if asked_at else ""
    there = ", ".join(role_names(roles_dir)) or f"none in {roles_dir}"
    try:
        folder = under(roles_dir, checked(role, "role"))
    except BadName as error:
        raise NoSuchRole(f"{where}{error.message}", f"Roles: {there}.") from error
    if not (folder / RECIPE).is_file():
        raise NoSuchRole(f"{where}there is no role {role!r}", f"Roles: {there}.")
    return roles_dir / role


@dataclass
class _Found:
    """What one recipe says, each part with its place."""

    path: Path
    parents: list[tuple[str, Place]] = field(default_factory=list)
    values: dict[str, tuple[str, Place]] = field(default_factory=dict)
    lists: dict[str, list[tuple[str, Place]]] = field(default_factory=dict)
    repositories: list[tuple[Repository, Place]] = field(default_factory=list)
    users: list[tuple[User, Place]] = field(default_factory=list)
    variables: list[tuple[str, str, Place]] = field(default_factory=list)


def _read(path: Path) -> _Found:
    found = _Found(path)
    readers: dict[str, Callable[[yaml.Node], None]] = {
        "from": lambda node: found.parents.append(_role(path, node)),
        "with": lambda node: found.parents.extend(
            _role(path, item) for item in list_of(path, node)
        ),
        "suite": lambda node: _value(found, "suite", node, _SUITE),
        "kernel": lambda node: _value(found, "kernel", node, _PACKAGE),
        "files": lambda node: _value(found, "files", node, None),
        "script": lambda node: _value(found, "script", node, None),
        "packages": lambda node: _list(found, "packages", node, _PACKAGE),
        "exclude": lambda node: _list(found, "exclude", node, None),
        "repositories": lambda node: _repositories(found, node),
        "services": lambda node: _services(found, node),
        "users": lambda node: _users(found, node),
        "variables": lambda node: _variables(found, node),
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


def _fitting(path: Path, node: yaml.Node, pattern: re.Pattern[str] | None, what: str) -> str:
    value = text(path, node)
    if not value or (pattern and not pattern.match(value)):
        raise BadRecipe(f"{Place.of(path, node)}: {value!r} is no {what}")
    return value


def _value(found: _Found, key: str, node: yaml.Node, pattern: re.Pattern[str] | None) -> None:
    found.values[key] = _fitting(found.path, node, pattern, key), Place.of(found.path, node)


def _list(found: _Found, key: str, node: yaml.Node, pattern: re.Pattern[str] | None) -> None:
    what = {"packages": "package name", "exclude": "pattern"}.get(key, "unit name")
    found.lists[key] = [
        (_fitting(found.path, item, pattern, what), Place.of(found.path, item))
        for item in list_of(found.path, node)
    ]


def _services(found: _Found, node: yaml.Node) -> None:
    for key, value in mapping(found.path, node, ("enable", "disable")).items():
        _list(found, key, value, _UNIT)


def _repositories(found: _Found, node: yaml.Node) -> None:
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


def _users(found: _Found, node: yaml.Node) -> None:
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


def _variables(found: _Found, node: yaml.Node) -> None:
    for key, value in pairs(found.path, node):
        name = _fitting(found.path, key, _VARIABLE, "variable name")
        found.variables.append((name, text(found.path, value), Place.of(found.path, value)))


def _inside(path: Path, node: yaml.Node, name: str) -> Path:
    """A file or folder that a recipe names: there, and inside the role's own folder."""
    try:
        under(path.parent, name)
    except BadName as error:
        raise BadRecipe(f"{Place.of(path, node)}: {error.message}") from error
    if not (path.parent / name).exists():
        raise BadRecipe(f"{Place.of(path, node)}: {path.parent / name} does not exist")
    return path.parent / name


def _part_of(role: str, folder: Path, found: _Found) -> Part:
    return Part(
        role,
        folder,
        _part(found, folder, "files", Path.is_dir),
        _part(found, folder, "script", Path.is_file),
    )


def _part(found: _Found, folder: Path, key: str, is_right: Callable[[Path], bool]) -> Path | None:
    """The overlay or script of a role: as named, or of the default name when there is one."""
    name, place = found.values.get(key, (key, None))
    try:
        under(folder, name)
    except BadName as error:
        raise BadRecipe(f"{place}: {error.message}") from error
    if is_right(folder / name):
        if key == "script" and not os.access(folder / name, os.X_OK):
            raise BadRecipe(f"{folder / name}:1: not executable", "Run: chmod +x " + name)
        return folder / name
    if place is None:
        return None
    raise BadRecipe(f"{place}: {folder / name} does not exist")


class _Merged:
    """Recipes put together, in the order in which they are added: later ones win."""

    def __init__(self, line: list[tuple[Part, _Found]]) -> None:
        # What holds for the whole line: the last word on it.
        self.whole: dict[str, tuple[str, Place]] = {
            key: found.values[key]
            for _, found in line
            for key in ("suite", "kernel")
            if key in found.values
        }
        self.parts: list[Part] = []
        self.values: dict[str, str] = {}
        self.packages: dict[str, None] = {}
        self.exclude: dict[str, None] = {}
        self.services: dict[str, str] = {}
        self.repositories: list[Repository] = []
        self.users: dict[str, User] = {}
        self.variables: dict[str, str] = {}
        self.origins: dict[str, str] = {}

    def add(self, part: Part, found: _Found) -> None:
        self.parts.append(part)
        for key, given in found.values.items():
            value, place = self.whole.get(key, given)
            self.values[key] = value
            self.origins[key] = str(place)
        for key, into in (("packages", self.packages), ("exclude", self.exclude)):
            for value, place in found.lists.get(key, []):
                into[value] = None
                self.origins.setdefault(f"{key}.{value}", str(place))
        for key in ("enable", "disable"):
            for unit, place in found.lists.get(key, []):
                self.services[unit] = key
                self.origins[f"services.{unit}"] = str(place)
        for repository, place in found.repositories:
            self.repositories.append(repository)
            self.origins[f"repositories.{repository.name}"] = str(place)
        for user, place in found.users:
            self._add_user(user, place)
        for variable, value, place in found.variables:
            self.variables[variable] = value
            self.origins[f"variables.{variable}"] = str(place)

    def _add_user(self, user: User, place: Place) -> None:
        for other in self.users.values():
            if other.name != user.name and other.uid == user.uid:
                raise BadRecipe(
                    f"{place}: {user.name} and {other.name} both have the user id {user.uid}",
                    f"{other.name} is from {self.origins[f'users.{other.name}']}.",
                )
            if other.name == user.name and (other.uid, other.gid) != (user.uid, user.gid):
                raise BadRecipe(
                    f"{place}: {user.name} is {user.uid}:{user.gid} here, and"
                    f" {other.uid}:{other.gid} in {self.origins[f'users.{user.name}']}",
                    "An account keeps its ids in all roles.",
                )
        self.users[user.name] = user
        self.origins[f"users.{user.name}"] = str(place)

    def recipe(self, name: str, parent: Recipe | None) -> Recipe:
        kernel = self.values.get("kernel", NO_KERNEL)
        return Recipe(
            name=name,
            parts=tuple(self.parts),
            suite=self.whole["suite"][0] if "suite" in self.whole else "",
            packages=tuple(self.packages),
            repositories=tuple(self.repositories),
            enable=tuple(self._units("enable")),
            disable=tuple(self._units("disable")),
            users=tuple(self.users.values()),
            kernel=None if kernel == NO_KERNEL else kernel,
            variables=dict(self.variables),
            exclude=tuple(self.exclude),
            origins=dict(self.origins),
            parent=parent,
        )

    def _units(self, wanted: str) -> Iterator[str]:
        return (unit for unit, what in self.services.items() if what == wanted)
