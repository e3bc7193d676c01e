"""Recipes: reads `roles/NAME/role.yaml` and flattens it with the roles that it comes from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.images.owners import Owner, owner_above
from edeploy.images.recipe_file import BadRecipe, Family, Found, Repository, User, read_recipe_file
from edeploy.names import BadName, checked, under
from edeploy.yaml_nodes import Place

RECIPE = "role.yaml"
LOCK = "role.lock"
NO_KERNEL = "none"
TESTS = "tests"


class NoSuchRole(EdeployError):
    """A role that has no recipe; the hint lists those that have."""


@dataclass(frozen=True)
class Part:
    """What a role brings of its own: its folder, overlay, script and tests (None: it has none)."""

    role: str
    folder: Path
    files: Path | None
    script: Path | None
    tests: Path | None


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
    family: Family = Family.DEBIAN
    packages: tuple[str, ...] = ()
    repositories: tuple[Repository, ...] = ()
    enable: tuple[str, ...] = ()
    disable: tuple[str, ...] = ()
    users: tuple[User, ...] = ()
    kernel: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    exclude: tuple[str, ...] = ()
    paths: Mapping[str, Owner] = field(default_factory=dict)
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


def mixins(roles_dir: Path) -> set[str]:
    """The roles that others mix in: they need not be whole. Raises BadRecipe."""
    found = (read_recipe_file(roles_dir / name / RECIPE) for name in role_names(roles_dir))
    return {mixin for each in found for mixin in each.mixins}


def line_of(recipe: Recipe) -> list[Recipe]:
    """The recipe after all that it is built on, the first of them first."""
    before = line_of(recipe.parent) if recipe.parent else []
    return [*before, recipe]


def _line_of_roles(roles_dir: Path, name: str) -> list[tuple[Part, Found]]:
    """The role's own recipe, its mixins' and its parents', in the order in which they apply."""
    done: dict[str, tuple[Part, Found]] = {}

    def visit(role: str, way: tuple[str, ...], asked_at: Place | None) -> None:
        if role in way:
            loop = " → ".join((*way, role))
            raise BadRecipe(f"{asked_at}: roles in a loop: {loop}", "Take one `from` out.")
        if role in done:
            return
        folder = _folder(roles_dir, role, asked_at)
        found = read_recipe_file(folder / RECIPE)
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


def _part_of(role: str, folder: Path, found: Found) -> Part:
    return Part(
        role,
        folder,
        _part(found, folder, "files", Path.is_dir),
        _part(found, folder, "script", Path.is_file),
        folder / TESTS if (folder / TESTS).is_dir() else None,
    )


def _part(found: Found, folder: Path, key: str, is_right: Callable[[Path], bool]) -> Path | None:
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

    def __init__(self, line: list[tuple[Part, Found]]) -> None:
        # What holds for the whole line: the last word on it.
        self.whole: dict[str, tuple[str, Place]] = {
            key: found.values[key]
            for _, found in line
            for key in ("suite", "kernel", "family")
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
        self.paths: dict[str, Owner] = {}
        self.origins: dict[str, str] = {}

    def add(self, part: Part, found: Found) -> None:
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
        for path, (owner, place) in found.paths.items():
            self.paths[path] = owner
            self.origins[f"paths.{path}"] = str(place)
        self._check_paths()

    def _check_paths(self) -> None:
        for path, owner in self.paths.items():
            above = owner_above(self.paths, path)
            if owner is Owner.IMAGE and above not in (None, Owner.IMAGE):
                raise BadRecipe(
                    f"{self.origins[f'paths.{path}']}: {path} can not be the image's:"
                    f" what it is in is {above}",
                    "What a version brings must be in folders of the image, such as /usr.",
                )

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
            family=Family(self.whole["family"][0]) if "family" in self.whole else Family.DEBIAN,
            packages=tuple(self.packages),
            repositories=tuple(self.repositories),
            enable=tuple(self._units("enable")),
            disable=tuple(self._units("disable")),
            users=tuple(self.users.values()),
            kernel=None if kernel == NO_KERNEL else kernel,
            variables=dict(self.variables),
            exclude=tuple(self.exclude),
            paths=dict(self.paths),
            origins=dict(self.origins),
            parent=parent,
        )

    def _units(self, wanted: str) -> Iterator[str]:
        return (unit for unit, what in self.services.items() if what == wanted)
