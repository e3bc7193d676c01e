"""`edeploy role`: recipes of images, as written and as they come out."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from edeploy.cli.options import json_option, roles_option
from edeploy.cli.role_tests import run_tests
from edeploy.errors import EdeployError
from edeploy.images.owners import TOP, unowned
from edeploy.images.recipe import RECIPE, Recipe, load_recipe, mixins, role_names

_OWNERS = "Say under `paths` whether it is the image's, merged, or the machine's state."


@click.group()
def command() -> None:
    """Look at recipes: what a role consists of, and from which file each part comes."""


@command.command()
@roles_option
@json_option
def ls(roles: Path, as_json: bool) -> None:
    """List the roles."""
    recipes = [load_recipe(roles, name) for name in role_names(roles)]
    if as_json:
        click.echo(json.dumps([_facts(recipe) for recipe in recipes], indent=1))
        return
    table = Table("role", "comes from", "packages", "kernel", box=None)
    for recipe in recipes:
        parents = " → ".join(part.role for part in recipe.parts[:-1])
        table.add_row(recipe.name, parents, str(len(recipe.packages)), recipe.kernel or "none")
    Console().print(table)


@command.command()
@click.argument("name")
@roles_option
@json_option
def show(name: str, roles: Path, as_json: bool) -> None:
    """Print the flattened recipe of role NAME, each part with the file and line it is from."""
    recipe = load_recipe(roles, name)
    if as_json:
        click.echo(json.dumps(_facts(recipe), indent=1))
        return
    for key, value, origin in _lines(recipe):
        click.echo(f"{key}: {value}" + (f"    # {origin}" if origin else ""))


@command.command()
@click.argument("names", nargs=-1)
@roles_option
def lint(names: tuple[str, ...], roles: Path) -> None:
    """Check the recipes of roles NAMES, or of all: every mistake with its file and line.

    A top-level path that is nobody's is one: an upgrade would not know what to do with it.
    """
    wanted = names or tuple(role_names(roles))
    mistakes = dict.fromkeys(str(error) for name in wanted for error in _mistakes(roles, name))
    for mistake in mistakes:
        click.echo(mistake)
    if mistakes:
        raise EdeployError(f"{roles}: mistakes in {len(mistakes)} places")
    if not wanted:
        raise EdeployError(f"{roles}: no roles there", "Say where they are with --roles.")
    click.echo(f"{len(wanted)} roles, no mistakes")


command.add_command(run_tests)


def _mistakes(roles: Path, name: str) -> list[EdeployError]:
    try:
        recipe = load_recipe(roles, name)
        if name in mixins(roles):
            # It is whole where it is mixed in.
            return []
        return [
            EdeployError(f"{recipe.parts[-1].folder / RECIPE}:1:1: {top} has no owner", _OWNERS)
            for top in unowned(recipe.paths, _tops(recipe))
        ]
    except EdeployError as error:
        return [error]


def _tops(recipe: Recipe) -> set[str]:
    """What the role's tree will have at its top, as far as its recipe tells."""
    found = set(TOP)
    for part in recipe.parts:
        found |= {f"/{path.name}" for path in part.files.iterdir()} if part.files else set()
    homes = (user.home for user in recipe.users if user.home != "/nonexistent")
    return found | {f"/{home.split('/')[1]}" for home in homes}


def _facts(recipe: Recipe) -> dict[str, object]:
    return {
        "name": recipe.name,
        "roles": [part.role for part in recipe.parts],
        "family": str(recipe.family),
        "suite": recipe.suite or None,
        "packages": list(recipe.packages),
        "kernel": recipe.kernel,
        "repositories": [
            {
                "name": each.name,
                "url": each.url,
                "suite": each.suite or None,
                "components": list(each.components),
                "key": str(each.key),
            }
            for each in recipe.repositories
        ],
        "files": [str(part.files) for part in recipe.parts if part.files],
        "scripts": [str(part.script) for part in recipe.parts if part.script],
        "services": {"enable": list(recipe.enable), "disable": list(recipe.disable)},
        "users": [{**vars(user), "groups": list(user.groups)} for user in recipe.users],
        "variables": dict(recipe.variables),
        "exclude": list(recipe.exclude),
        "paths": dict(recipe.paths),
        "tests": [str(part.tests) for part in recipe.parts if part.tests],
        "origins": dict(recipe.origins),
    }


def _lines(recipe: Recipe) -> list[tuple[str, str, str]]:
    origin = recipe.origins.get
    lines = [
        ("roles", " → ".join(part.role for part in recipe.parts), ""),
        ("suite", recipe.suite or "as the machine that builds", origin("suite", "")),
        ("kernel", recipe.kernel or "none", origin("kernel", "")),
    ]
    lines += [("package", name, origin(f"packages.{name}", "")) for name in recipe.packages]
    lines += [
        ("repository", f"{each.url} {' '.join((each.suite, *each.components))}",
         origin(f"repositories.{each.name}", ""))
        for each in recipe.repositories
    ]  # fmt: skip
    lines += [("files", str(part.files), "") for part in recipe.parts if part.files]
    lines += [("script", str(part.script), "") for part in recipe.parts if part.script]
    for what, units in (("enable", recipe.enable), ("disable", recipe.disable)):
        lines += [(what, unit, origin(f"services.{unit}", "")) for unit in units]
    lines += [
        ("user", f"{user.name} {user.uid}:{user.gid}", origin(f"users.{user.name}", ""))
        for user in recipe.users
    ]
    lines += [
        ("variable", f"{name}={value}", origin(f"variables.{name}", ""))
        for name, value in recipe.variables.items()
    ]
    lines += [
        (f"path ({owner})", path, origin(f"paths.{path}", ""))
        for path, owner in recipe.paths.items()
    ]
    lines += [("tests", str(part.tests), "") for part in recipe.parts if part.tests]
    lines += [("exclude", each, origin(f"exclude.{each}", "")) for each in recipe.exclude]
    return lines
