"""Builds a role twice, in other conditions, and finds the first difference and its cause."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.images import archive
from edeploy.images.build import again, ingredients
from edeploy.images.build.again import build_again
from edeploy.images.build.image import layers_of, telling_of_the_disk, using
from edeploy.images.build.layers import Layer, Layers
from edeploy.images.build.line import Settings
from edeploy.images.build.unlike import Builder, Unlike, first_difference, first_of_archives
from edeploy.images.recipe import Recipe
from edeploy.images.store import Store
from edeploy.images.trash import remove_tree

CHECKS = ".check-"


@dataclass(frozen=True)
class Checked:
    """What two builds of a role were: `unlike` is None when they are equal to the byte."""

    role: str
    paths: int
    archive_sha256: str
    unlike: Unlike | None


def check_reproducible(
    recipe: Recipe,
    store: Store,
    settings: Settings | None = None,
    *,
    on_step: Callable[[str], None] = lambda _: None,
) -> Checked:
    """Build `recipe` in the store, where layers of an earlier day count as built, and again in a
    store of its own in other conditions; compare layer by layer, then the archives.

    The store's images stay as they are. Raises as `build_image`.
    """
    store.root.mkdir(parents=True, exist_ok=True)
    with telling_of_the_disk(store.root), using(store), _second_store(store) as second:
        failed_log = store.root / f"{recipe.name}.failed-log"
        first, lock = layers_of(recipe, store, settings or Settings(), failed_log, on_step)
        on_step(f"{recipe.name}: built once; again, in other conditions")
        build_again(recipe, lock, second, on_step)
        pairs = [(layer, _same(layer, second)) for layer in first]
        builders = _builders(store, second)
        paths = len(first[-1].entries())
        for one, other in pairs:
            unlike = first_difference(one, other, builders, recipe)
            if unlike:
                return Checked(recipe.name, paths, "", unlike)
        on_step(f"{recipe.name}: equal trees; packing both")
        archives = [_packed(leaf, second, name) for name, leaf in zip("ab", pairs[-1], strict=True)]
        unlike = first_of_archives(*archives)
        return Checked(recipe.name, paths, archive.sha256_of(archives[0]), unlike)


@contextmanager
def _second_store(store: Store) -> Iterator[Store]:
    """Another store with the same pool; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix=CHECKS, dir=store.root) as name:
        second = Store(Path(name) / "a-store-of-another-name")
        second.root.mkdir()
        store.pool.mkdir(exist_ok=True)
        second.pool.symlink_to(store.pool.resolve())
        try:
            yield second
        finally:
            remove_tree(second.root)


def _same(layer: Layer, second: Store) -> Layer:
    found = Layers(second.layers, second.trash).find(layer.key)
    if found:
        return found
    about = layer.about()
    others = [each for each in Layers(second.layers, second.trash).all()
              if (each.about().role, each.about().kind) == (about.role, about.kind)]  # fmt: skip
    what = [
        change
        for each in others
        for change in ingredients.changes(about.role, layer.ingredients(), each.ingredients())
    ]
    raise EdeployError(
        f"the second build of {about.role} is of other things: {', '.join(what) or 'its parent'}"
    )


def _packed(leaf: Layer, place: Store, name: str) -> Path:
    path = place.root / f"{name}.edeploy"
    archive.pack(leaf.tree, path)
    return path


def _builders(store: Store, second: Store) -> Sequence[Builder]:
    umask = os.umask(0)
    os.umask(umask)
    return (
        Builder(socket.gethostname(), str(store.root.resolve()), os.environ.get("HOME", ""), umask),
        Builder(again.HOST, str(second.root.resolve()), again.ENVIRONMENT["HOME"], again.UMASK),
    )
