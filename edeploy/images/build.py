"""From recipe to image: build in a hidden folder of the store, then show it all at once."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from edeploy import atomic
from edeploy.errors import EdeployError
from edeploy.images import archive, debian, manifest, trees
from edeploy.images.inputs import inputs_digest
from edeploy.images.mirrors import host_suite
from edeploy.images.recipe import Recipe
from edeploy.images.seal import seal
from edeploy.images.store import Image, Record, Store, record_text
from edeploy.run import run

DEFAULT_VERSION = "1.0.0"

OnStep = Callable[[str], None]


@dataclass(frozen=True)
class _Workshop:
    """The hidden folder of one build, with the names that its parts will have."""

    folder: Path
    parts: Image
    bench: debian.Bench


def build_image(
    recipe: Recipe,
    version: str,
    store: Store,
    *,
    mirrors: debian.Mirrors | None = None,
    force: bool = False,
    on_step: OnStep = lambda _: None,
) -> Image:
    """Build `recipe` into `store` as `version`; an image of the same inputs is left as it is.

    `on_step` hears what is being done; the programs' output goes to the image's log. Raises
    EdeployError (ProgramFailed, ProgramMissing, NoSuchPackage among them); the store is then
    as it was before, but for the log of the failed build.
    """
    image = store.place(recipe.name, version)
    suite = recipe.suite or host_suite()
    with _telling_of_the_disk(store.root), _only_build_of(image):
        inputs = inputs_digest(recipe, suite)
        if image.exists and image.record().inputs == inputs and not force:
            on_step(f"{image}: unchanged")
            return image
        if os.geteuid() != 0:
            raise EdeployError("building an image needs root", "Run it with sudo.")
        started = time.monotonic()
        _remove_leftovers(image)
        with _workshop(image, store) as workshop:
            debian.install(recipe, suite, workshop.bench, mirrors or debian.Mirrors(), on_step)
            seal(workshop.bench.tree)
            on_step("writing the manifest")
            size, files = _write_manifest(workshop)
            on_step(f"packing {size / 1e6:.0f} MB")
            archive.pack(workshop.bench.tree, workshop.parts.archive)
            atomic.write(workshop.parts.packages, debian.packages_text(workshop.bench.tree))
            record = Record(
                inputs=inputs,
                files=files,
                size=size,
                archive_size=workshop.parts.archive.stat().st_size,
                archive_sha256=archive.sha256_of(workshop.parts.archive),
                manifest_sha256=archive.sha256_of(workshop.parts.manifest),
                seconds=round(time.monotonic() - started, 1),
            )
            atomic.write(workshop.parts.record_file, record_text(record))
            _show(workshop, image)
        on_step(f"{image}: built in {record.seconds:.0f} s")
        return image


def _write_manifest(workshop: _Workshop) -> tuple[int, int]:
    """Writes the manifest; bytes in files (hard links once) and number of paths."""
    entries = trees.scan(workshop.bench.tree)
    atomic.write(workshop.parts.manifest, manifest.dump(entries, str(workshop.parts)))
    size = sum(entry.size for entry in entries if entry.links in (b"", entry.path))
    return size, len(entries)


@contextmanager
def _telling_of_the_disk(root: Path) -> Iterator[None]:
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
            f"{root}: {what}", "Choose another with --store, or make room."
        ) from error


@contextmanager
def _only_build_of(image: Image) -> Iterator[None]:
    """Holds the lock of this role and version, which the kernel frees when the builder dies."""
    folder = image.tree.parent
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f".{image.role}.lock", "a+", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise EdeployError(
                f"another process ({lock.read().strip() or 'unknown'}) builds {image} now",
                "Wait until it is done.",
            ) from error
        lock.seek(0)
        lock.truncate()
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def _remove_leftovers(image: Image) -> None:
    """What killed builds of this image left: nobody else can own it while we hold the lock."""
    for pattern in (f".{image.role}.building-*", f".{image.role}.old-*"):
        for path in image.tree.parent.glob(pattern):
            shutil.rmtree(path)


@contextmanager
def _workshop(image: Image, store: Store) -> Iterator[_Workshop]:
    folder = image.tree.parent / f".{image.role}.building-{os.getpid()}"
    parts = Store(folder).place(image.role, image.version)
    shared = folder / "shared"
    bench = debian.Bench(parts.tree, shared, parts.log, store.apt_cache)
    try:
        for needed in (shared, parts.tree.parent, bench.cache):
            needed.mkdir(parents=True, exist_ok=True)
        bench.log.touch()
        yield _Workshop(folder, parts, bench)
    except BaseException:
        with suppress(OSError):
            bench.log.replace(image.log.with_suffix(".failed-log"))
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _show(workshop: _Workshop, image: Image) -> None:
    """Put the finished parts in their places; the record goes first and comes back last."""
    run(["sync", "--file-system", str(workshop.folder)], timeout=None)
    image.record_file.unlink(missing_ok=True)
    # It is of the image that was here.
    image.signature.unlink(missing_ok=True)
    atomic.sync_folder(image.tree.parent)
    if image.tree.exists():
        image.tree.replace(image.tree.parent / f".{image.role}.old-{os.getpid()}")
    for part in ("tree", "archive", "manifest", "packages", "log", "record_file"):
        source: Path = getattr(workshop.parts, part)
        source.replace(getattr(image, part))
    image.log.with_suffix(".failed-log").unlink(missing_ok=True)
    atomic.sync_folder(image.tree.parent)
    for path in image.tree.parent.glob(f".{image.role}.old-*"):
        shutil.rmtree(path)
