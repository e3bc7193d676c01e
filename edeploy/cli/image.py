"""`edeploy image`: builds images, lists them, and compares trees with them."""

from __future__ import annotations

from pathlib import Path

import click

from edeploy.cli.image_check import check_reproducible
from edeploy.cli.image_disk import disk
from edeploy.cli.image_lock import lock, locks_of
from edeploy.cli.image_sign import sign_image
from edeploy.cli.image_store import (
    diff,
    fsck,
    gc,
    ls,
    named,
    rm,
    version_option,
)
from edeploy.cli.mirror_options import mirror_options, mirrors_of
from edeploy.cli.options import key_option, roles_option, store_option
from edeploy.errors import EdeployError
from edeploy.images.build.image import build_images
from edeploy.images.build.line import Settings
from edeploy.images.recipe import load_recipe
from edeploy.images.signature import check, sign
from edeploy.images.store import Image, Store
from edeploy.images.verify import verify_archive, verify_image, verify_tree


@click.group()
def command() -> None:
    """Images: roles built at a version, in the store."""


for each in (ls, rm, gc, fsck, diff, lock, check_reproducible, sign_image, disk):
    command.add_command(each)


@command.command()
@click.argument("names", nargs=-1, required=True, metavar="ROLE...")
@version_option
@roles_option
@store_option
@mirror_options
@click.option("--offline", is_flag=True, help="ask no mirror: go by what they said last")
@click.option("--force", is_flag=True, help="build again although nothing changed")
@click.option("--locked", is_flag=True, help="exactly as each role's own role.lock says")
@click.option(
    "--lock",
    "lock_path",
    type=click.Path(path_type=Path),
    help="exactly as this lock says, such as the one beside an image",
)
@click.option("-j", "--jobs", type=click.IntRange(1), default=1, help="builds side by side")
@key_option
def build(
    names: tuple[str, ...],
    version: str,
    roles: Path,
    store: Path,
    offline: bool,
    force: bool,
    locked: bool,
    lock_path: Path | None,
    jobs: int,
    key: Path | None,
    **mirrors: str,
) -> None:
    """Build the images of ROLEs; say which are unchanged, and of the others what changed.

    Mirrors are those of this machine's own apt sources unless said otherwise; they are asked
    whether packages have new versions. A locked build does not ask: it takes what the lock names
    from the store's pool, and only what is missing there from mirrors.
    """
    recipes = [load_recipe(roles, role) for role in dict.fromkeys(names)]
    locks = locks_of(recipes, lock_path, is_locked=locked)
    settings = Settings(mirrors_of(mirrors), offline=offline, force=force, locks=locks)
    built = build_images(recipes, version, Store(store), settings, jobs=jobs, on_step=click.echo)
    failures = [each for each in built if isinstance(each, EdeployError)]
    for image in built:
        if isinstance(image, Image):
            if key:
                sign(image.manifest, image.signature, key)
                click.echo(f"{image}: signed")
            record = image.record()
            click.echo(
                f"{image.archive}: {record.archive_size / 1e6:.1f} MB,"
                f" {record.size / 1e6:.1f} MB unpacked, {record.files} paths"
            )
    for failure in failures[1:]:
        click.echo(f"error: {failure}", err=True)
    if failures:
        raise failures[0]


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
        image = named(place, what, version)
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


def _signer(image: Image, signers: Path) -> str:
    if not image.signature.is_file():
        raise EdeployError(f"{image} is not signed", f"edeploy image sign {image.role} --key FILE")
    return check(image.manifest.read_bytes(), str(image), image.signature.read_bytes(), signers)
