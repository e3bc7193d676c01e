"""`edeploy image lock`: writes down exactly what images of a role are built of."""

from __future__ import annotations

from pathlib import Path

import click

from edeploy import atomic
from edeploy.cli.mirror_options import mirror_options, mirrors_of
from edeploy.cli.options import roles_option, store_option
from edeploy.errors import EdeployError
from edeploy.images.build.image import lock_role
from edeploy.images.build.line import Settings
from edeploy.images.packages.lock import Lock, changes, read_lock
from edeploy.images.recipe import LOCK, Recipe, load_recipe
from edeploy.images.store import Store


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="ROLE...")
@roles_option
@store_option
@mirror_options
@click.option("--check", is_flag=True, help="write nothing; fail when a lock would be another")
def lock(
    names: tuple[str, ...],
    roles: Path,
    store: Path,
    check: bool,
    **mirrors: str,
) -> None:
    """Write exact versions and SHA-256 of all packages of ROLEs and their parents to
    `roles/ROLE/role.lock`, for `image build --locked`; say what is another way than before.

    What a role takes is known when its parents are there: their layers are built, or reused.
    """
    others = []
    for name in dict.fromkeys(names):
        recipe = load_recipe(roles, name)
        settings = Settings(mirrors_of(mirrors))
        new = lock_role(recipe, Store(store), settings, on_step=click.echo)
        path = lock_file(recipe)
        old = read_lock(path) if path.exists() else None
        for change in changes(old, new) if old else ():
            click.echo(f"{name}: {change}")
        is_new = old is None or old.text() != new.text()
        if is_new and not check:
            atomic.write(path, new.text(), mode=0o644)
        others += [name] if is_new else []
        count = len(new.packages)
        said = "would be another" if check else "written"
        click.echo(f"{path}: {count} packages, {said if is_new else 'unchanged'}")
    if check and others:
        raise EdeployError(
            f"locks that would be others now: {', '.join(others)}",
            f"edeploy image lock {' '.join(others)}",
        )


def lock_file(recipe: Recipe) -> Path:
    """Where the lock of a role is: beside its recipe, in the same commit."""
    return recipe.parts[-1].folder / LOCK


def locks_of(recipes: list[Recipe], file: Path | None, *, is_locked: bool) -> dict[str, Lock]:
    """The locks that builds go by; `file` is that of the only role. Raises BadLock."""
    if file:
        if len(recipes) > 1:
            raise click.UsageError("--lock FILE is for one ROLE")
        return {recipes[0].name: read_lock(file)}
    return {each.name: read_lock(lock_file(each)) for each in recipes} if is_locked else {}
