"""From recipe to image: build in a hidden folder of the store, then show it all at once."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from edeploy import atomic
from edeploy.errors import EdeployError
from edeploy.images import archive, locks, manifest, sbom, trash
from edeploy.images.build import ingredients
from edeploy.images.build.layers import Layer
from edeploy.images.build.line import Line, Settings
from edeploy.images.build.shared_tree import How, Source, make_tree
from edeploy.images.manifest import Entry
from edeploy.images.objects import Objects
from edeploy.images.packages.lock import Lock
from edeploy.images.packages.mirrors import host_suite
from edeploy.images.recipe import Recipe
from edeploy.images.store import Image, Record, Store, record_text

DEFAULT_VERSION = "1.0.0"

_BUILDS = "edeploy-build"
# Seconds; a build that cleans up starts a program or two, which end by themselves.
_END_AGAIN = 0.2

OnStep = Callable[[str], None]


@dataclass(frozen=True)
class _Workshop:
    """The hidden folder of one build, with the names that its parts will have."""

    folder: Path
    parts: Image


def build_image(
    recipe: Recipe,
    version: str,
    store: Store,
    settings: Settings | None = None,
    *,
    on_step: OnStep = lambda _: None,
) -> Image:
    """Build `recipe` into `store` as `version`; an image of the same layers is left as it is.

    `on_step` hears what is being done; the programs' output goes to the image's log. Raises
    EdeployError (ProgramFailed, ProgramMissing, NoSuchPackage among them); no image is then
    changed, and beside layers that were finished there is only the log of the failed build.
    """
    settings = settings or Settings()
    image = store.place(recipe.name, version)
    with telling_of_the_disk(store.root), _only_build_of(image), using(store):
        started = time.monotonic()
        remove_leftovers(image)
        failed_log = image.log.with_suffix(".failed-log")
        layers, lock = layers_of(recipe, store, settings, failed_log, on_step)
        odd = _unlike(lock, layers[-1])
        if odd and recipe.name in settings.locks:
            raise _not_as_locked(recipe, settings.locks[recipe.name].place, odd)
        if _is_of(image, layers) and not settings.force:
            on_step(f"{image}: unchanged")
            return image
        for change in dict.fromkeys(_changes(image, layers)):
            on_step(change)
        with _workshop(image) as workshop:
            _fill(workshop, layers, store, on_step, started)
            if odd:
                on_step(f"{image}: no lock of it: a script changed its packages ({odd[0]})")
            else:
                atomic.write(workshop.parts.lock, lock.text())
            _show(workshop, image, store)
        on_step(f"{image}: built in {image.record().seconds:.0f} s")
    with suppress(locks.Busy), locks.alone(store.lock_file, "builds"):
        trash.empty(store.trash)
    return image


def build_images(
    recipes: Sequence[Recipe],
    version: str,
    store: Store,
    settings: Settings | None = None,
    *,
    jobs: int = 1,
    on_step: OnStep = lambda _: None,
) -> list[Image | EdeployError]:
    """Build several, `jobs` at a time; what they have in common is built once.

    For each recipe its image, or why there is none: one failure does not end the others.
    """

    def build(recipe: Recipe) -> Image | EdeployError:
        try:
            return build_image(recipe, version, store, settings, on_step=on_step)
        except EdeployError as error:
            return error

    if jobs < 2 or len(recipes) < 2:
        return [build(recipe) for recipe in recipes]
    with ThreadPoolExecutor(jobs, thread_name_prefix=_BUILDS) as pool:
        futures = [pool.submit(build, recipe) for recipe in recipes]
        try:
            return [future.result() for future in futures]
        except BaseException:
            # Ctrl-C ends only this thread's waiting.
            pool.shutdown(wait=False, cancel_futures=True)
            begun = [future for future in futures if not future.cancelled()]
            while wait(begun, timeout=_END_AGAIN).not_done:
                _end_programs_of_builds()
            raise


def _end_programs_of_builds() -> None:
    """End what the threads of builds have started: each then fails, and cleans up."""
    for thread in threading.enumerate():
        if thread.name.startswith(_BUILDS) and thread.native_id:
            path = Path(f"/proc/self/task/{thread.native_id}/children")
            with suppress(OSError):
                for child in path.read_text(encoding="ascii").split():
                    with suppress(ProcessLookupError):
                        os.kill(int(child), signal.SIGKILL)


def lock_role(
    recipe: Recipe,
    store: Store,
    settings: Settings | None = None,
    *,
    on_step: OnStep = lambda _: None,
) -> Lock:
    """What an image of `recipe` is made of now. Its layers are made, or found in `store`: what a
    role takes is known when its parents are there. Raises as `build_image`."""
    store.root.mkdir(parents=True, exist_ok=True)
    with telling_of_the_disk(store.root), using(store):
        failed_log = store.root / f"{recipe.name}.failed-log"
        layers, lock = layers_of(recipe, store, settings or Settings(), failed_log, on_step)
        odd = _unlike(lock, layers[-1])
        if odd:
            raise _not_as_locked(recipe, "a lock", odd)
        return lock


def layers_of(
    recipe: Recipe, store: Store, settings: Settings, failed_log: Path, on_step: OnStep
) -> tuple[list[Layer], Lock]:
    """The finished layers, and what they are made of; for who holds the store's lock.

    Raises as `build_image`.
    """
    if os.geteuid() != 0:
        raise EdeployError("building an image needs root", "Run it with sudo.")
    given = settings.locks.get(recipe.name)
    suite = recipe.suite or (given.suite if given else host_suite())
    line = Line(recipe, suite, store, settings, failed_log=failed_log, on_step=on_step)
    layers = line.finished()
    failed_log.unlink(missing_ok=True)
    return layers, line.lock(layers[-1])


def _unlike(lock: Lock, leaf: Layer) -> list[str]:
    """What the finished tree has installed otherwise than its lock says."""
    rows = (line.split("\t") for line in leaf.packages.read_text(encoding="utf-8").splitlines())
    there = {(name, arch): version for name, version, arch in rows}
    wanted = {key: package.version for key, package in lock.installed.items()}
    return [
        f"{key[0]} {there.get(key, 'is not there')}, locked {wanted.get(key, 'not at all')}"
        for key in sorted({*there, *wanted})
        if there.get(key) != wanted.get(key)
    ]


def _not_as_locked(recipe: Recipe, place: str, odd: Sequence[str]) -> EdeployError:
    more = f", and {len(odd) - 3} more" if len(odd) > 3 else ""
    return EdeployError(
        f"{recipe.name}: has other packages than {place} can say: {'; '.join(odd[:3])}{more}",
        "A script installed or removed them: that belongs under `packages` in the recipe.",
    )


def remove_leftovers(image: Image) -> None:
    """What killed builds of this image left: nobody else can own it while we hold the lock."""
    for path in image.tree.parent.glob(f".{image.role}.building-*"):
        shutil.rmtree(path)


def _fill(
    workshop: _Workshop, layers: Sequence[Layer], store: Store, on_step: OnStep, started: float
) -> None:
    """Make all parts of the image out of its layers, the record last."""
    parts, leaf = workshop.parts, layers[-1]
    entries = list(leaf.entries().values())
    tree = os.fsencode(leaf.tree)

    def in_layer(entry: Entry, _: Sequence[bytes]) -> Source:
        return Source(os.path.join(tree, entry.path), How.LINK)

    make_tree(entries, parts.tree, find=in_layer, objects=Objects(store.objects))
    atomic.write(parts.manifest, manifest.dump(entries, str(parts)))
    size = sum(entry.size for entry in entries if entry.links in (b"", entry.path))
    same = _of_layer(store, leaf.key)
    if same:
        parts.archive.hardlink_to(same.archive)
    else:
        on_step(f"{parts}: packing {size / 1e6:.0f} MB")
        archive.pack(parts.tree, parts.archive)
    shutil.copyfile(leaf.packages, parts.packages)
    atomic.write(parts.log, b"".join(layer.log.read_bytes() for layer in layers))
    atomic.write(parts.inputs, _inputs_text(layers))
    manifest_sha256 = archive.sha256_of(parts.manifest)
    epoch = leaf.about().epoch
    atomic.write(parts.sbom, sbom.text(str(parts), parts.tree, manifest_sha256, epoch))
    record = Record(
        inputs=leaf.key,
        files=len(entries),
        size=size,
        archive_size=parts.archive.stat().st_size,
        archive_sha256=archive.sha256_of(parts.archive),
        manifest_sha256=manifest_sha256,
        seconds=round(time.monotonic() - started, 1),
        layers=tuple(layer.key for layer in layers),
    )
    atomic.write(parts.record_file, record_text(record))


def _is_of(image: Image, layers: Sequence[Layer]) -> bool:
    return image.exists and image.record().layers == tuple(layer.key for layer in layers)


def _of_layer(store: Store, key: str) -> Image | None:
    """An image whose tree is that layer: its archive has the same bytes."""
    for image in store.images():
        with suppress(EdeployError):
            if image.record().inputs == key and image.archive.is_file():
                return image
    return None


def _inputs_text(layers: Sequence[Layer]) -> str:
    found = [
        {"role": about.role, "kind": about.kind, "key": layer.key, "from": layer.ingredients()}
        for layer in layers
        for about in (layer.about(),)
    ]
    return json.dumps(found, indent=1, sort_keys=True) + "\n"


def _changes(image: Image, layers: Sequence[Layer]) -> Iterator[str]:
    """What is another way than in the image that this one replaces."""
    try:
        data = json.loads(image.inputs.read_bytes())
        before = {(each["role"], each["kind"]): dict(each["from"]) for each in data}
    except (OSError, ValueError, KeyError, TypeError):
        return
    for layer in layers:
        about = layer.about()
        old = before.pop((about.role, str(about.kind)), None)
        if old is None:
            yield f"{about.role}: its {about.kind} are new"
        else:
            yield from ingredients.changes(about.role, old, layer.ingredients())
    for role, kind in before:
        yield f"{role}: its {kind} are gone"


@contextmanager
def telling_of_the_disk(root: Path) -> Iterator[None]:
    """Says of a failing disk what an operator can do about it."""
    try:
        yield
    except OSError as error:
        what = {
            errno.ENOSPC: "the store is full",
            errno.EDQUOT: "the store's quota is used up",
            errno.EROFS: "the store is read-only",
            errno.EACCES: "no permission to write to the store",
        }.get(error.errno or 0)
        if what is None:
            raise EdeployError(f"{error.filename or root}: {error.strerror or error}") from error
        raise EdeployError(
            f"{root}: {what}", "Choose another with --store, or make room: edeploy image gc."
        ) from error


@contextmanager
def _only_build_of(image: Image) -> Iterator[None]:
    """Holds the lock of this role and version, which the kernel frees when the builder dies."""
    image.tree.parent.mkdir(parents=True, exist_ok=True)
    with locks.alone(image.build_lock, f"builds or removes {image} now"):
        yield


@contextmanager
def using(store: Store) -> Iterator[None]:
    """Nothing is cleared away meanwhile."""
    with locks.together(store.lock_file):
        yield


@contextmanager
def _workshop(image: Image) -> Iterator[_Workshop]:
    folder = image.tree.parent / f".{image.role}.building-{os.getpid()}"
    parts = Store(folder).place(image.role, image.version)
    try:
        parts.tree.parent.mkdir(parents=True)
        yield _Workshop(folder, parts)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _show(workshop: _Workshop, image: Image, store: Store) -> None:
    """Put the finished parts in their places; the record goes first and comes back last."""
    atomic.sync_file_system(workshop.folder)
    image.record_file.unlink(missing_ok=True)
    atomic.sync_folder(image.tree.parent)
    if image.tree.exists():
        trash.discard(image.tree, store.trash)
    workshop.parts.tree.replace(image.tree)
    for source, target in zip(workshop.parts.files, image.files, strict=True):
        if source.exists():
            source.replace(target)
        else:
            # A lock or a signature of before is none of this image.
            target.unlink(missing_ok=True)
    workshop.parts.record_file.replace(image.record_file)
    atomic.sync_folder(image.tree.parent)
