"""`edeploy role test`: whether a built role is what its tests say."""

from __future__ import annotations

from pathlib import Path

import click

from edeploy.cli.image_store import version_option
from edeploy.cli.options import roles_option, store_option
from edeploy.images.recipe import load_recipe
from edeploy.images.role_tests import run_tests_of
from edeploy.images.store import Store


@click.command("test")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@version_option
@roles_option
@store_option
def run_tests(names: tuple[str, ...], version: str, roles: Path, store: Path) -> None:
    """Run the tests of roles NAMES, and of what they come from, in chroots of their images."""
    for name in names:
        recipe = load_recipe(roles, name)
        run_tests_of(recipe, Store(store).image(name, version), click.echo)
        click.echo(f"{name} {version}: passes its tests")
