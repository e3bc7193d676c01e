"""`edeploy image sign`: vouch for images of the store."""

from __future__ import annotations

from pathlib import Path

import click

from edeploy.cli.options import key_option, store_option
from edeploy.images.build.image import DEFAULT_VERSION
from edeploy.images.signature import sign
from edeploy.images.store import Store
from edeploy.images.verify import refuse_damaged


@click.command(name="sign")
@click.argument("roles", metavar="ROLE...", nargs=-1, required=True)
@click.option("--version", default=DEFAULT_VERSION, show_default=True)
@store_option
@key_option
def sign_image(roles: tuple[str, ...], version: str, store: Path, key: Path | None) -> None:
    """Sign the manifest of each ROLE, and so every file of its image.

    A manifest that is not the one that was built is not signed. Machines whose ramdisk was built
    with `--signers` install only what somebody of that file signed.
    """
    if key is None:
        raise click.UsageError("no key: give --key FILE, or set EDEPLOY_SIGNING_KEY")
    for role in roles:
        image = Store(store).image(role, version)
        refuse_damaged(image)
        sign(image.manifest, image.signature, key)
        click.echo(f"{image}: signed, {image.signature}")
