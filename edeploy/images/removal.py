"""Takes images out of a store, and clears away what no image needs any more."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edeploy import atomic
from edeploy.errors import EdeployError
from edeploy.images import locks, trash
from edeploy.images.build.layers import Layers
from edeploy.images.build.reproducible import CHECKS
from edeploy.images.objects import Objects
from edeploy.images.packages.used import clear_half_fetched, unused_of
from edeploy.images.store import Image, Store


@dataclass(frozen=True)
class Cleared:
    """Layers and leftovers (of killed builds) that went, bytes of files that no tree had any
    more, and whether all of it could go: a running build and a running fetch keep theirs.
    `unused` packages of the pool, with these bytes, are of no image; they stay, for locks may
    name them."""

    layers: int
    leftovers: int
    freed: int
    is_all: bool
    unused: int
    unused_size: int


def remove(image: Image, store: Store) -> None:
    """Remove an image. Who fetches it now gets it whole. Raises Busy while somebody builds it."""
    with locks.alone(image.build_lock, f"builds or removes {image} now"):
        # Without its record it is no image, whatever happens then.
        image.record_file.unlink(missing_ok=True)
        atomic.sync_folder(image.record_file.parent)
        if image.tree.exists():
            trash.discard(image.tree, store.trash)
        for path in image.files:
            path.unlink(missing_ok=True)
    Objects(store.objects).remove_unused()


def clear(store: Store) -> Cleared:
    """Remove leftovers of killed builds, layers that the newest images do not consist of, what
    was replaced, and files that no tree has any more. Nothing that is in use goes."""
    leftovers = sum(_clear_leftover(path) for path in store.root.glob("install/*/.*.building-*"))
    layers, is_all = 0, False
    try:
        with locks.alone(store.lock_file, "builds"):
            leftovers += clear_half_fetched(store)
            for folder in store.root.glob(f"{CHECKS}*"):
                trash.remove_tree(folder)
                leftovers += 1
            layers = _clear_layers(store)
            is_all = trash.empty(store.trash)
    except locks.Busy:
        pass
    freed = Objects(store.objects).remove_unused()
    return Cleared(layers, leftovers, freed, is_all, *_unused(store))


def _unused(store: Store) -> tuple[int, int]:
    """Packages of no image, and their bytes; none when an image does not tell what it is of."""
    try:
        found = unused_of(store, ())
    except EdeployError:
        return 0, 0
    return len(found.unused), found.unused_size


def _clear_leftover(folder: Path) -> bool:
    """Whether the folder went: its builder holds the lock as long as it lives."""
    role = folder.name.removeprefix(".").rpartition(".building-")[0]
    try:
        with locks.alone(folder.parent / f".{role}.lock", "builds it"):
            trash.remove_tree(folder)
    except locks.Busy:
        return False
    return True


def _clear_layers(store: Store) -> int:
    newest = {image.role: image for image in store.images()}
    wanted = {key for image in newest.values() for key in image.record().layers}
    layers = Layers(store.layers, store.trash)
    layers.clear_leftovers()
    gone = [layer for layer in layers.all() if layer.key not in wanted]
    for layer in gone:
        trash.discard(layer.folder, store.trash)
    for lock in store.layers.glob(".*.lock"):
        # Nobody waits for one: this process has the whole store.
        lock.unlink()
    return len(gone)
