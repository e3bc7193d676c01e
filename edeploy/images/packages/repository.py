"""The pool as a signed apt repository: for builds elsewhere, and machines without a way out."""

from __future__ import annotations

import gzip
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edeploy import atomic
from edeploy.images import trash
from edeploy.images.locks import alone
from edeploy.images.packages import mirror_key
from edeploy.images.packages.index import index_of
from edeploy.images.packages.lock import Lock
from edeploy.images.packages.mirror_key import Signer
from edeploy.images.packages.mirrors import COMPONENTS
from edeploy.images.packages.plan import RPM, Package
from edeploy.images.packages.pool import Damaged, Pool
from edeploy.images.store import Store

PUBLIC = "mirror.asc"


@dataclass(frozen=True)
class Shelf:
    """Where a package is in the mirror: its suite, and its path, which is that of its archive."""

    suite: str
    path: str
    package: Package


@dataclass(frozen=True)
class Published:
    """A new state of the mirror: what its suites have, and packages that the pool lacks."""

    shelves: tuple[Shelf, ...]
    suites: tuple[str, ...]
    missing: tuple[Package, ...]


def shelves_of(locks: Iterable[Lock]) -> list[Shelf]:
    """Which packages of these locks are where; a third party's are in the lock's own suite."""
    found: dict[tuple[str, str], Shelf] = {}
    paths: dict[str, str] = {}
    for lock in locks:
        suites = {source.suite for source in lock.sources}
        for package in lock.packages:
            if package.file.endswith(RPM):
                continue
            path = f"pool/{package.file.removeprefix('pool/')}"
            if paths.setdefault(path, package.sha256) != package.sha256:
                # Another archive has another file of this path.
                path = f"pool/{package.sha256}/{package.file.rpartition('/')[2]}"
            suite = package.pocket if package.pocket in suites else lock.suite
            found[suite, package.sha256] = Shelf(suite, path, package)
    return sorted(
        found.values(), key=lambda each: (each.suite, each.package.name, each.package.version)
    )


def publish(store: Store, locks: Sequence[Lock], key: Path) -> Published:
    """Make the mirror of a store what these locks name, at one moment. Raises EdeployError."""
    with alone(store.root / ".mirror.lock", "updates the mirror", on_wait=lambda _: None):
        return _publish(store, locks, key)


def _publish(store: Store, locks: Sequence[Lock], key: Path) -> Published:
    pool = Pool(store.pool)
    shelves, missing = [], []
    making = store.mirror.with_name(f".{store.mirror.name}.making")
    trash.remove_tree(making)
    try:
        making.mkdir(parents=True)
        for shelf in shelves_of(locks):
            try:
                pool.link(shelf.package, making / shelf.path)
                shelves.append(shelf)
            except (Damaged, FileNotFoundError):
                missing.append(shelf.package)
        suites = {source.suite for lock in locks for source in lock.sources}
        suites |= {shelf.suite for shelf in shelves}
        architectures = sorted({lock.architecture for lock in locks})
        with mirror_key.opened(key) as signer:
            for suite in sorted(suites):
                there = [shelf for shelf in shelves if shelf.suite == suite]
                _write_suite(making, suite, there, architectures, signer)
            atomic.write(making / PUBLIC, signer.public(), mode=0o644)
        atomic.sync_file_system(making)
        if store.mirror.exists():
            atomic.exchange(making, store.mirror)
            # Somebody may be fetching from what it was.
            trash.discard(making, store.trash)
        else:
            making.rename(store.mirror)
        atomic.sync_folder(store.root)
    finally:
        trash.remove_tree(making)
    return Published(tuple(shelves), tuple(sorted(suites)), tuple(missing))


def _write_suite(
    root: Path,
    suite: str,
    shelves: Sequence[Shelf],
    architectures: Sequence[str],
    signer: Signer,
) -> None:
    folder = root / "dists" / suite
    files: dict[str, bytes] = {}
    by_architecture: dict[str, list[Shelf]] = defaultdict(list)
    for shelf in shelves:
        wanted = shelf.package.architecture
        for architecture in architectures if wanted == "all" else [wanted]:
            by_architecture[architecture].append(shelf)
    for architecture in sorted({*architectures, *by_architecture}):
        there = by_architecture[architecture]
        text = index_of([(each.package, root / each.path, each.path) for each in there])
        for component in COMPONENTS:
            content = text.encode() if component == COMPONENTS[0] else b""
            where = f"{component}/binary-{architecture}/Packages"
            files[where] = content
            files[f"{where}.gz"] = gzip.compress(content, mtime=0)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    release = _release(suite, sorted({*architectures, *by_architecture}), files)
    atomic.write(folder / "Release", release, mode=0o644)
    atomic.write(folder / "InRelease", signer.clearsigned(release), mode=0o644)


def _release(suite: str, architectures: Sequence[str], files: dict[str, bytes]) -> str:
    """As apt-secure(8) and the archive's own have it."""
    now = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S UTC")
    return "\n".join([
        "Origin: edeploy",
        "Label: edeploy",
        f"Suite: {suite}",
        f"Codename: {suite}",
        f"Date: {now}",
        f"Architectures: {' '.join(architectures)}",
        f"Components: {' '.join(COMPONENTS)}",
        "Description: the packages of locked images",
        "SHA256:",
        *_sums(files),
        "",
    ])  # fmt: skip


def _sums(files: dict[str, bytes]) -> Iterator[str]:
    for name, content in sorted(files.items()):
        yield f" {hashlib.sha256(content).hexdigest()} {len(content)} {name}"
