"""`edeploy mirror`: the packages of the store's images as an apt repository."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from edeploy.cli.options import SHIPPED, json_option, store_option
from edeploy.images import locks
from edeploy.images.packages import mirror_key
from edeploy.images.packages.lock import Lock
from edeploy.images.packages.pool import Pool
from edeploy.images.packages.repository import PUBLIC, publish, shelves_of
from edeploy.images.packages.used import locks_of, unused_of
from edeploy.images.store import Store

roles_option = click.option(
    "--roles",
    type=click.Path(path_type=Path),
    default=(SHIPPED,),
    multiple=True,
    help="folder of roles whose locks count, beside those of images; may be given again",
)
key_option = click.option(
    "--key",
    type=click.Path(path_type=Path),
    envvar="EDEPLOY_MIRROR_SIGNING_KEY",
    help="OpenPGP private key to sign with; default: the store's mirror.key, made once",
)


@click.group()
def command() -> None:
    """The packages that locks name, as a signed apt repository in the store."""


@command.command()
@store_option
@roles_option
@key_option
def update(store: Path, roles: tuple[Path, ...], key: Path | None) -> None:
    """Make the repository have what the locks of images and roles name, and sign it."""
    _update(Store(store), locks_of(Store(store), roles), key)


@command.command()
@store_option
@roles_option
@json_option
def ls(store: Path, roles: tuple[Path, ...], as_json: bool) -> None:
    """List the packages that locks name, with their suite, and whether the pool has each."""
    place = Store(store)
    pool = Pool(place.pool)
    rows = [
        {
            "suite": shelf.suite,
            "name": shelf.package.name,
            "version": shelf.package.version,
            "architecture": shelf.package.architecture,
            "size": shelf.package.size,
            "sha256": shelf.package.sha256,
            "path": shelf.path,
            "in_pool": pool.has(shelf.package),
        }
        for shelf in shelves_of(locks_of(place, roles))
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    table = Table("suite", "package", "version", "architecture", "kB", "in the pool", box=None)
    for row in rows:
        there = "yes" if row["in_pool"] else "no"
        words = (row["suite"], row["name"], row["version"], row["architecture"])
        table.add_row(*map(str, words), f"{int(str(row['size'])) / 1e3:.0f}", there)
    Console().print(table)


@command.command()
@store_option
@roles_option
@key_option
@click.option("--dry-run", is_flag=True, help="only say what would go")
def prune(store: Path, roles: tuple[Path, ...], key: Path | None, dry_run: bool) -> None:
    """Remove packages from the pool that no image and no lock names.

    Give all folders of roles whose locks are still to be built here.
    """
    place = Store(store)
    place.root.mkdir(parents=True, exist_ok=True)
    with locks.alone(place.lock_file, "builds"):
        known = locks_of(place, roles)
        found = unused_of(place, known)
        for path in found.unused:
            click.echo(path.name)
            if not dry_run:
                path.unlink()
        how = "would go" if dry_run else "removed"
        click.echo(
            f"{len(found.unused)} of {found.files} packages {how},"
            f" {found.unused_size / 1e6:.1f} of {found.size / 1e6:.1f} MB"
        )
        if place.mirror.exists() and not dry_run:
            _update(place, known, key)


def _update(store: Store, known: list[Lock], key: Path | None) -> None:
    if key is None:
        key = store.mirror_key
        store.root.mkdir(parents=True, exist_ok=True)
        if mirror_key.make_once(key):
            click.echo(f"{key}: made, the key of this mirror; keep a copy")
    published = publish(store, known, key)
    for package in published.missing:
        click.echo(f"{package}: not in the pool, or damaged there; left out", err=True)
    size = sum({shelf.path: shelf.package.size for shelf in published.shelves}.values())
    click.echo(
        f"{store.mirror}: {len(published.shelves)} packages, {size / 1e6:.1f} MB,"
        f" in {', '.join(published.suites) or 'no suite'}; its key: {store.mirror / PUBLIC}"
    )
