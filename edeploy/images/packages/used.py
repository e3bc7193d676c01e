"""Which package files images and locks name, and what of the pool nobody does."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.images.packages.lock import Lock, read_lock
from edeploy.images.recipe import LOCK
from edeploy.images.store import Image, Store
from edeploy.images.trash import remove_tree

_PACKAGE = "package "
_FROM_NAME = 16


@dataclass(frozen=True)
class Unused:
    """Package files of the pool: how many, their bytes, and which of them nobody names."""

    files: int
    size: int
    unused: tuple[Path, ...]
    unused_size: int


def locks_of(store: Store, roles: Sequence[Path]) -> list[Lock]:
    """The locks of the store's images, and of the roles in these folders. Raises BadLock."""
    paths = [image.lock for image in store.images() if image.lock.is_file()]
    return [read_lock(path) for path in (*paths, *role_locks(roles))]


def role_locks(roles: Sequence[Path]) -> Iterator[Path]:
    """The lock files of the roles in these folders."""
    for folder in roles:
        yield from sorted(folder.glob(f"*/{LOCK}"))


def unused_of(store: Store, locks: Iterable[Lock]) -> Unused:
    """What of the pool no image of the store and none of these locks names."""
    named = {package.sha256[:_FROM_NAME] for lock in locks for package in lock.packages}
    for image in store.images():
        named |= set(_digests(image))
    files = [path for path in store.pool.glob("[!.]*") if path.is_file()]
    unused = [path for path in files if digest_in(path) not in named]
    return Unused(len(files), _size(files), tuple(sorted(unused)), _size(unused))


def clear_half_fetched(store: Store) -> int:
    """Remove what killed downloads have left in the pool; call it when nobody builds."""
    left = list(store.pool.glob(".*"))
    for path in left:
        remove_tree(path) if path.is_dir() else path.unlink()
    return len(left)


def _digests(image: Image) -> Iterator[str]:
    """The beginnings of the SHA-256 of all package files that went into an image."""
    try:
        layers = json.loads(image.inputs.read_bytes())
        for layer in layers:
            for name, value in layer["from"].items():
                if name.startswith(_PACKAGE):
                    yield value.split(" ")[1][:_FROM_NAME]
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        if image.exists:
            raise EdeployError(
                f"{image.inputs}: does not say what went into {image}: {error}",
                f"edeploy image build {image.role} --version {image.version} --force",
            ) from error


def digest_in(path: Path) -> str:
    """The beginning of the SHA-256 that the name of a pool's file has."""
    return path.name.rpartition(".")[0].rpartition("_")[2]


def _size(files: Iterable[Path]) -> int:
    total = 0
    for path in files:
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total
