"""`edeploy image ls|rm|gc|fsck|diff`: what the store has, and what of it stays."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from edeploy.cli.options import json_option, store_option
from edeploy.errors import EdeployError
from edeploy.images import diff as differences
from edeploy.images.build.image import DEFAULT_VERSION
from edeploy.images.fsck import check_store
from edeploy.images.removal import clear, remove
from edeploy.images.sizes import Sizes, tree_sizes
from edeploy.images.store import Image, Store

version_option = click.option("--version", default=DEFAULT_VERSION, show_default=True)


def named(store: Store, what: str, version: str) -> Image:
    """The image `what`: `web-1.0.0` when there is one of that name, else the role `what`."""
    both = {f"{image.role}-{image.version}": image for image in store.images()}
    return both.get(what) or store.image(what, version)


@click.command()
@store_option
@json_option
def ls(store: Path, as_json: bool) -> None:
    """List the images of the store.

    Of a tree's files, some are in no other tree (own: this space comes free when the image goes),
    others are (shared: they cost nothing here).
    """
    images = Store(store).images()
    rows = list(zip(images, tree_sizes(images), strict=True))
    if as_json:
        click.echo(json.dumps([_facts(image, sizes) for image, sizes in rows], indent=1))
        return
    columns = ("role", "version", "paths", "MB unpacked", "own", "shared", "archive", "built in")
    table = Table(*columns, box=None)
    for image, sizes in rows:
        record = image.record()
        table.add_row(
            image.role,
            image.version,
            str(record.files),
            *(
                f"{size / 1e6:.1f}"
                for size in (record.size, sizes.own, sizes.shared, record.archive_size)
            ),
            f"{record.seconds:.0f} s",
        )
    Console().print(table)


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="IMAGE...")
@version_option
@store_option
def rm(names: tuple[str, ...], version: str, store: Path) -> None:
    """Remove images: each a role (of --version) or ROLE-VERSION.

    A machine that fetches one at this moment gets it whole.
    """
    place = Store(store)
    for image in [named(place, name, version) for name in names]:
        remove(image, place)
        click.echo(f"{image}: removed")


@click.command()
@store_option
@json_option
def gc(store: Path, as_json: bool) -> None:
    """Clear away what no image needs: what killed builds left, layers of older versions, files
    that no tree has any more. Images stay, and so do packages and all that is in use."""
    cleared = clear(Store(store))
    if as_json:
        click.echo(json.dumps(asdict(cleared), indent=1))
        return
    click.echo(
        f"removed {cleared.layers} layers and {cleared.leftovers} leftovers of killed builds;"
        f" {cleared.freed / 1e6:.1f} MB of files came free"
    )
    if cleared.unused:
        click.echo(
            f"the pool has {cleared.unused} packages ({cleared.unused_size / 1e6:.1f} MB) that no"
            " image is of; what no lock of a role names either goes with `edeploy mirror prune`"
        )
    if not cleared.is_all:
        click.echo("a build or a fetch is running: what it uses is left for the next time")


@click.command()
@store_option
@click.option("--repair", is_flag=True, help="drop what is damaged and can be built again")
@json_option
def fsck(store: Path, repair: bool, as_json: bool) -> None:
    """Check every file of the store against its manifest; a line for each thing that is wrong.

    Builds and fetches may go on meanwhile. Images are never changed: build damaged ones again.
    """
    findings = check_store(
        Store(store), repair=repair, on_step=lambda step: click.echo(step, err=True)
    )
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        for finding in findings:
            click.echo(finding)
    left = [finding for finding in findings if not finding.is_repaired]
    if left:
        raise EdeployError(
            f"{store}: {len(left)} things are wrong",
            "Of damaged images: edeploy image build ROLE --version VERSION --force",
        )
    click.echo("all is as it was built", err=True)


@click.command()
@click.argument("old", metavar="IMAGE")
@click.argument("new", metavar="IMAGE")
@version_option
@store_option
@json_option
def diff(old: str, new: str, version: str, store: Path, as_json: bool) -> None:
    """What is different from one IMAGE (ROLE-VERSION) to another: packages, files by package,
    accounts, programs with rights of their own, enabled units, sizes."""
    place = Store(store)
    found = differences.compare(named(place, old, version), named(place, new, version))
    if as_json:
        click.echo(json.dumps(asdict(found), indent=1))
        return
    for line in differences.lines(found):
        click.echo(line)


def _facts(image: Image, sizes: Sizes) -> dict[str, object]:
    return {
        "role": image.role,
        "version": image.version,
        "tree": str(image.tree),
        "archive": str(image.archive),
        "manifest": str(image.manifest),
        "own": sizes.own,
        "shared": sizes.shared,
        **asdict(image.record()),
    }
