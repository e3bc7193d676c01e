"""Checks a whole store: every file against its manifest, each read once in however many trees."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.images import archive, locks, manifest, trash, trees
from edeploy.images.build.layers import Layer, Layers
from edeploy.images.build.shared_tree import link_groups
from edeploy.images.manifest import Entry
from edeploy.images.objects import Objects, key_of
from edeploy.images.packages.used import digest_in
from edeploy.images.parallel import Side, cores
from edeploy.images.store import Image, Store

Inode = tuple[int, int]


@dataclass(frozen=True)
class Finding:
    """Something wrong: `where` an operator finds it, `what`, and whether it was repaired."""

    where: str
    what: str
    is_repaired: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (" (repaired)" if self.is_repaired else "")


def check_store(
    store: Store, *, repair: bool = False, on_step: Callable[[str], None] = lambda _: None
) -> list[Finding]:
    """What is wrong in the store; an image that is removed meanwhile is no finding.

    With `repair`, damaged layers and remains of images go, and damaged files are not linked again:
    the next build makes them anew. Images themselves are never changed.
    """
    images = store.images()
    layers = Layers(store.layers, store.trash).all()
    on_step(f"reading {len(images)} images and {len(layers)} layers")
    digests = _digests([image.tree for image in images] + [layer.tree for layer in layers])
    findings = [*_remains(store, repair=repair), *_pool(store, repair=repair)]
    for image in images:
        found = [*_files(image), *_tree(image.tree, image.manifest, digests, store, repair=repair)]
        if image.exists:
            findings += [replace(each, where=f"{image}: {each.where}") for each in found]
    for layer in layers:
        found = [*_tree(layer.tree, layer.manifest, digests, store, repair=repair)]
        if found and layer.folder.exists():
            what = f"damaged: {found[0]}" + (f", and {len(found) - 1} more" if found[1:] else "")
            gone = repair and _drop(layer, store)
            findings.append(Finding(f"layer {layer.key[:12]}", what, gone))
    return findings


def _files(image: Image) -> Iterator[Finding]:
    try:
        record = image.record()
    except EdeployError as error:
        if image.record_file.exists():
            yield Finding(image.record_file.name, error.message)
        return
    wanted = ((image.manifest, record.manifest_sha256), (image.archive, record.archive_sha256))
    for path, sha256 in wanted:
        if not path.is_file():
            yield Finding(path.name, "is missing")
        elif archive.sha256_of(path) != sha256:
            yield Finding(path.name, "is not what was built")


def _tree(
    tree: Path, manifest_file: Path, digests: dict[Inode, str], store: Store, *, repair: bool
) -> Iterator[Finding]:
    try:
        entries = manifest.parse(manifest_file.read_bytes())
        differences = trees.check(
            tree, entries, sha256_of=lambda about: digests.get((about.st_dev, about.st_ino))
        )
    except (OSError, EdeployError) as error:
        yield Finding(str(tree), str(error))
        return
    by_path = {manifest.quote(entry.path): entry for entry in entries}
    groups = link_groups(entries)
    for difference in differences:
        entry = by_path.get(difference.path)
        if repair and entry is not None and entry.type != "dir":
            _forget(entry, groups, store)
        yield Finding(difference.path, difference.what)


def _forget(entry: Entry, groups: dict[bytes, list[bytes]], store: Store) -> None:
    names = groups.get(entry.links, [entry.path])
    Objects(store.objects).forget(key_of(entry, names))


def _drop(layer: Layer, store: Store) -> bool:
    try:
        with locks.alone(store.lock_file, "builds"):
            trash.discard(layer.folder, store.trash)
    except locks.Busy:
        return False
    return True


def _pool(store: Store, *, repair: bool) -> Iterator[Finding]:
    """Package files that are not what their names say. They are only of use whole."""
    for path in sorted(store.pool.glob("[!.]*")):
        try:
            is_whole = archive.sha256_of(path).startswith(digest_in(path))
        except FileNotFoundError:
            continue
        if not is_whole:
            if repair:
                path.unlink(missing_ok=True)
            yield Finding(f"pool/{path.name}", "is not what was fetched", repair)


def _remains(store: Store, *, repair: bool) -> Iterator[Finding]:
    """What looks like a part of an image that is not there."""
    for folder in sorted(store.root.glob("install/*")):
        roles = {image.role for image in store.images() if image.version == folder.name}
        for path in sorted(folder.iterdir()):
            role = path.name.partition(f"-{folder.name}.")[0]
            if path.name.startswith(".") or path.suffix == ".failed-log" or role in roles:
                continue
            gone = False
            if repair:
                with locks.alone(folder / f".{role}.lock", f"builds {role} now"):
                    trash.discard(path, store.trash)
                    gone = True
            yield Finding(str(path.relative_to(store.root)), "belongs to no image", gone)


def _digests(roots: list[Path]) -> dict[Inode, str]:
    """The SHA-256 of each regular file under `roots`, by its inode; every inode is read once."""
    files = {inode: path for root in roots for inode, path in _walk(os.fsencode(root))}
    inodes = list(files)

    def read(number: int) -> list[str]:
        try:
            return [trees.read_sha256(files[inodes[number]])]
        except OSError:
            return [""]

    with Side(read, len(inodes), workers=cores()) as side:
        return {inodes[number]: digest for number, (digest,) in side.results() if digest}


def _walk(folder: bytes) -> Iterator[tuple[Inode, bytes]]:
    try:
        with os.scandir(folder) as names:
            for name in names:
                about = name.stat(follow_symlinks=False)
                if stat.S_ISDIR(about.st_mode):
                    yield from _walk(name.path)
                elif stat.S_ISREG(about.st_mode):
                    yield (about.st_dev, about.st_ino), name.path
    except FileNotFoundError:
        return
