"""`edeploy image disk`: an image as a disk for a cloud or a virtual machine."""

from __future__ import annotations

import json
from pathlib import Path

import click

from edeploy.cli.image_store import named, version_option
from edeploy.cli.options import json_option, store_option
from edeploy.disks.formats import Format
from edeploy.images.store import Store


@click.command()
@click.argument("what", metavar="IMAGE")
@version_option
@click.option(
    "--format",
    "kind",
    type=click.Choice([each.value for each in Format]),
    required=True,
    help="how the disk is kept in its file",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="the file  [default: ROLE-VERSION.FORMAT, here]",
)
@click.option("--size", help="of the disk, such as 10G  [default: the image, and room to start]")
@click.option(
    "--authorized-keys",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="file of OpenSSH keys that may log in as root",
)
@click.option("--kernel-arguments", default="", help="further arguments of its kernel")
@store_option
@json_option
def disk(
    what: str,
    version: str,
    kind: str,
    output: Path | None,
    size: str | None,
    authorized_keys: Path | None,
    kernel_arguments: str,
    store: Path,
    as_json: bool,
) -> None:
    """Make a disk of IMAGE that starts by BIOS and by UEFI, without network or server.

    IMAGE: a role, or `ROLE-VERSION`. At its first start the machine makes its own machine-id and
    SSH host keys, asks DHCP on every card, and lets its root fill the disk.
    """
    # Here and not above: the installer's steps are a tenth of a second for every other command.
    from edeploy.disks.disk import Wish, make_disk
    from edeploy.node.install.layout import size_of

    place = Store(store)
    image = named(place, what, version)
    wish = Wish(
        format=Format(kind),
        size=size_of(size) if size else None,
        kernel_arguments=kernel_arguments,
        authorized_keys=authorized_keys.read_text() if authorized_keys else "",
    )
    target = output or Path(f"{image.role}-{image.version}.{kind}")
    made = make_disk(
        place, image, target, wish, on_step=lambda step: click.echo(f"{image}: {step}", err=True)
    )
    if as_json:
        facts = {"image": str(image), "file": str(made.path), "format": kind}
        click.echo(json.dumps({**facts, "size": made.size, "used": made.used}, indent=1))
    else:
        click.echo(
            f"{made.path}: {made.size / 1e9:.1f} GB for a machine, {made.used / 1e6:.1f} MB here"
        )
