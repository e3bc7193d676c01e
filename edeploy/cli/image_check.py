"""`edeploy image check-reproducible`: builds twice and shows the first difference."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from edeploy.cli.image_lock import locks_of
from edeploy.cli.mirror_options import mirror_options, mirrors_of
from edeploy.cli.options import json_option, roles_option, store_option
from edeploy.errors import EdeployError
from edeploy.images.build.line import Settings
from edeploy.images.build.reproducible import check_reproducible as check
from edeploy.images.recipe import load_recipe
from edeploy.images.store import Store


@click.command()
@click.argument("role")
@roles_option
@store_option
@mirror_options
@click.option("--locked", is_flag=True, help="of what the role's role.lock says")
@json_option
def check_reproducible(
    role: str, roles: Path, store: Path, locked: bool, as_json: bool, **mirrors: str
) -> None:
    """Build ROLE twice and compare to the byte; show the first difference with its cause.

    The second build has another host name, umask, time zone, language, user and store; a first
    one that the store has from another day counts. Images stay as they are.
    """
    recipe = load_recipe(roles, role)
    settings = Settings(mirrors_of(mirrors), locks=locks_of([recipe], None, is_locked=locked))
    found = check(
        recipe, Store(store), settings, on_step=lambda step: click.echo(step, err=as_json)
    )
    if as_json:
        click.echo(json.dumps(asdict(found), indent=1))
    elif found.unlike:
        for line in found.unlike.lines():
            click.echo(line)
    if found.unlike:
        raise EdeployError(f"{role}: two builds differ", "Take the cause out, then check again.")
    if not as_json:
        click.echo(f"{role}: reproducible: {found.paths} paths, archive {found.archive_sha256}")
