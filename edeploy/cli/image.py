"""`edeploy image`: builds images, lists them, and compares trees with them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from edeploy.cli.image_sign import key_option, sign_image
from edeploy.cli.role import json_option, roles_option
from edeploy.errors import EdeployError
from edeploy.images.build import DEFAULT_VERSION, build_image
from edeploy.images.debian import Mirrors
from edeploy.images.mirrors import MIRROR_VARIABLE, SECURITY_VARIABLE
from edeploy.images.recipe import load_recipe
from edeploy.images.signature import check, sign
from edeploy.images.store import DEFAULT_STORE, Image, Store
from edeploy.images.verify import verify_archive, verify_image, verify_tree

store_option = click.option(
    "--store",
    type=click.Path(path_type=Path),
    default=DEFAULT_STORE,
    show_default=True,
    help="folder of images",
)
version_option = click.option("--version", default=DEFAULT_VERSION, show_default=True)


@click.group()
def command() -> None:
    """Images: roles built at a version, in the store."""


command.add_command(sign_image)


@command.command()
@click.argument("role")
@version_option
@roles_option
@store_option
@click.option("--mirror", envvar=MIRROR_VARIABLE, default="", help="Debian archive to use")
@click.option(
    "--security-mirror", envvar=SECURITY_VARIABLE, default="", help="security archive to use"
)
@click.option("--force", is_flag=True, help="build again although nothing changed")
@key_option
def build(
    role: str,
    version: str,
    roles: Path,
    store: Path,
    mirror: str,
    security_mirror: str,
    force: bool,
    key: Path | None,
) -> None:
    """Build the image of ROLE, or say that it is unchanged.

    Mirrors are those of this machine's own apt sources unless said otherwise. New versions of
    packages are no change: ask for them with --force.
    """
    recipe = load_recipe(roles, role)
    image = build_image(
        recipe,
        version,
        Store(store),
        mirrors=Mirrors(mirror, security_mirror),
        force=force,
        on_step=click.echo,
    )
    if key:
        sign(image.manifest, image.signature, key)
        click.echo(f"{image}: signed")
    record = image.record()
    click.echo(
        f"{image.archive}: {record.archive_size / 1e6:.1f} MB,"
        f" {record.size / 1e6:.1f} MB unpacked, {record.files} paths"
    )


@command.command()
@store_option
@json_option
def ls(store: Path, as_json: bool) -> None:
    """List the images of the store."""
    images = Store(store).images()
    if as_json:
        click.echo(json.dumps([_facts(image) for image in images], indent=1))
        return
    table = Table("role", "version", "paths", "MB unpacked", "MB archive", "built in", box=None)
    for image in images:
        record = image.record()
        table.add_row(
            image.role,
            image.version,
            str(record.files),
            f"{record.size / 1e6:.1f}",
            f"{record.archive_size / 1e6:.1f}",
            f"{record.seconds:.0f} s",
        )
    Console().print(table)


@command.command()
@click.argument("what", metavar="IMAGE|PATH")
@version_option
@click.option("--image", "role", help="the role whose manifest a PATH is compared with")
@click.option(
    "--signers",
    type=click.Path(path_type=Path),
    envvar="EDEPLOY_SIGNERS",
    help="OpenSSH's file of allowed signers: check the signature of IMAGE too",
)
@store_option
def verify(what: str, version: str, role: str | None, signers: Path | None, store: Path) -> None:
    """Compare an image, a folder or an archive with a manifest; a line for each difference.

    IMAGE: a role, or `ROLE-VERSION`; the store's own tree and archive are checked. PATH (it has
    a `/`): a folder, such as a mounted disk, or an archive; of an archive the manifest beside
    it counts when no --image is given.
    """
    place = Store(store)
    if "/" not in what:
        image = _named(place, what, version)
        differences = verify_image(image)
        if signers:
            click.echo(f"{image}: signed by {_signer(image, signers)}")
    elif Path(what).is_dir():
        if role is None:
            raise click.UsageError("a folder needs --image ROLE: the image that it should be")
        differences = verify_tree(Path(what), place.image(role, version).manifest)
    else:
        manifest = place.image(role, version).manifest if role else None
        differences = verify_archive(Path(what), manifest)
    for difference in differences:
        click.echo(difference)
    if differences:
        raise EdeployError(f"{what}: {len(differences)} differences")
    click.echo(f"{what}: exact")


def _named(store: Store, what: str, version: str) -> Image:
    """The image `what`: `web-1.0.0` when there is one of that name, else the role `what`."""
    both = {f"{image.role}-{image.version}": image for image in store.images()}
    return both.get(what) or store.image(what, version)


def _signer(image: Image, signers: Path) -> str:
    if not image.signature.is_file():
        raise EdeployError(f"{image} is not signed", f"edeploy image sign {image.role} --key FILE")
    return check(image.manifest.read_bytes(), str(image), image.signature.read_bytes(), signers)


def _facts(image: Image) -> dict[str, object]:
    return {
        "role": image.role,
        "version": image.version,
        "tree": str(image.tree),
        "archive": str(image.archive),
        "manifest": str(image.manifest),
        **asdict(image.record()),
    }
