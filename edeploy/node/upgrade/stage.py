"""A new version beside the one that runs: fetched, built, checked, with this machine's /etc.

Nothing that runs is touched. Killed at any point, it is done again: what was downloaded stays, a
tree that is not complete goes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from edeploy import atomic
from edeploy.errors import EdeployError
from edeploy.images import manifest, trees
from edeploy.images.manifest import Entry, quote
from edeploy.images.pack import BadPack, Pack, read_pack
from edeploy.images.trees import Difference, NotTheImage
from edeploy.images.ways import Edge, NoWay, leg, way
from edeploy.node.http import Server
from edeploy.node.upgrade import etc, source
from edeploy.node.upgrade.contents import Contents
from edeploy.node.upgrade.etc import entries_of_etc
from edeploy.node.upgrade.partial import Partial
from edeploy.node.upgrade.places import Places
from edeploy.node.upgrade.seed import lay_seed
from edeploy.node.upgrade.sharing import Sharing
from edeploy.node.upgrade.source import Offer
from edeploy.node.upgrade.tree import Old, build, shown

# More than the new bytes: folders, and what others write meanwhile.
MARGIN = 1.1


class NoSpace(EdeployError):
    """The disk has no room for another version."""


class Tell(Protocol):
    """Who hears of the progress."""

    def say(self, line: str) -> None:
        """A line for the operator."""

    def progress(self, done: int, total: int, unit: str) -> None:
        """`done` of `total` in `unit`: `bytes` or `paths`."""


@dataclass(frozen=True)
class Current:
    """The version that runs: its name, its tree, /etc as its image has it and as it is now, and
    its manifest. `pristine_etc` is not there when nobody kept it."""

    name: str
    role: str
    version: str
    root: Path
    pristine_etc: Path
    etc: Path
    manifest: bytes
    sharing: Sharing


@dataclass
class Staged:
    """A complete version: its name, which /etc files overlap, and bytes that came for it."""

    name: str
    version: str
    merge: etc.Merge
    received: int
    ways: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Whole:
    """A tree that is exactly its manifest, and how it came: bytes received, and words."""

    tree: Path
    entries: list[Entry]
    manifest: bytes
    signature: bytes
    received: int
    ways: list[str]


@dataclass(frozen=True)
class Job:
    """What is wanted: from `current` to `wanted`, by `edges` when there are some."""

    places: Places
    server: Server
    current: Current
    wanted: Offer
    edges: Sequence[Edge]
    signers: Path
    tell: Tell


def find_way(server: Server, role: str, old: str, new: str) -> list[Edge]:
    """The edges to take now: all to `new`, or those up to the first barrier; [] without a way."""
    try:
        return leg(way(source.edges(server, role), old, new))
    except NoWay:
        return []


def stage(job: Job, name: str) -> Staged:
    """Make the version `name` complete below `deploy/`, and return what came of it.

    Raises EdeployError: NotTrusted, BadSignature, NoSpace, EtcConflict, NotTheImage, ServerAway;
    the machine's versions are then what they were.
    """
    work = job.places.stage(name)
    whole = build_whole(job, work)
    pristine = copy_etc(whole.tree / "etc", work / "etc-base", whole.entries)
    merged = etc.merge(job.current.pristine_etc, job.current.etc, pristine, whole.tree / "etc")
    _publish(job.places, name, work, whole)
    return Staged(name, job.wanted.version, merged, whole.received, whole.ways)


def build_whole(job: Job, work: Path) -> Whole:
    """The wanted version below `work`, exactly as its manifest says; nothing else is changed.

    Raises EdeployError as `stage`.
    """
    _only(work)
    whole = _filled(job, work)
    _check(job, whole.tree, whole.entries, whole.ways)
    return whole


def _filled(job: Job, work: Path) -> Whole:
    """All of it, not checked yet; what the packs say of both versions is no longer needed then."""
    with contextlib.ExitStack() as stack:
        packs, files = open_packs(job, work, stack)
        data, sig = _manifest(job, packs, f"{job.current.role} {job.wanted.version}")
        entries = packs[-1].new_entries if packs else manifest.parse(data)
        tree = _empty(work / "tree")
        ways = _fill(job, tree, entries, packs, files, work)
        received = sum(file.received for file in files)
    return Whole(tree, entries, data, sig, received, ways)


def open_packs(
    job: Job, work: Path, stack: contextlib.ExitStack
) -> tuple[list[Pack], list[Partial]]:
    """The packs of a job's edges, their heads and manifests read; `work` keeps what came."""
    packs: list[Pack] = []
    files: list[Partial] = []
    known = job.current.manifest
    for edge in job.edges:
        path = source.pack_path(job.current.role, edge)
        file = stack.enter_context(Partial(job.server, path, work / f"pack-{edge.old}-{edge.new}"))
        files.append(file)
        found = read_pack(file.read, known)
        if (found.head.role, found.head.old, found.head.new) != (
            job.current.role, edge.old, edge.new,
        ):  # fmt: skip
            raise BadPack(
                f"{path} is for {found.head.role} {found.head.old} to {found.head.new}",
                "On the server: edeploy edge make again.",
            )
        packs.append(found)
        known = found.new_manifest
    return packs, files


def _manifest(job: Job, packs: list[Pack], image: str) -> tuple[bytes, bytes]:
    if not packs:
        return source.trusted_manifest(job.server, job.current.role, job.wanted, job.signers)
    data, sig = packs[-1].new_manifest, packs[-1].head.new_signature.encode()
    if not sig and job.wanted.signature:
        # Signed after the pack was made.
        sig = job.server.read(job.wanted.signature)
    source.check_trust(image, data, sig, job.wanted, job.signers)
    return data, sig


def _fill(
    job: Job,
    tree: Path,
    entries: list[Entry],
    packs: list[Pack],
    files: list[Partial],
    work: Path,
) -> list[str]:
    """Everything into the tree; the words for how."""
    old = old_of(job.current, packs)
    if not packs:
        return _fill_without_pack(job, tree, entries, old, work)
    contents = contents_of(old, packs, files, _empty(work / "between"))
    _check_space(job.places.top, contents.new_bytes)
    total = contents.transfer
    done = 0

    def on_bytes(count: int) -> None:
        nonlocal done
        done += count
        job.tell.progress(done, total, "bytes")

    contents.fetch(on_bytes)
    built = build(tree, entries, old, contents.restore)
    ways = [f"pack: {built.restored} new contents, {built.shared} shared, {built.copied} copied"]
    if built.missing:
        ways.append(_mend(job, tree, built.missing))
    return ways


def old_of(current: Current, packs: Sequence[Pack] = ()) -> Old:
    """The running version as a place to take files from; the first pack may know its entries."""
    if packs and packs[0].head.old_sha256 == hashlib.sha256(current.manifest).hexdigest():
        entries = packs[0].old_entries
    else:
        entries = manifest.parse(current.manifest)
    return Old(current.root, current.pristine_etc, entries, current.sharing)


def contents_of(old: Old, packs: list[Pack], files: list[Partial], between: Path) -> Contents:
    """What packs bring to a machine that has the old version. Raises BadPack."""
    have = {entry.sha256: old.path(entry.path) for entry in old.entries if entry.type == "file"}
    return Contents(packs, files, have, between)


def _fill_without_pack(
    job: Job, tree: Path, entries: list[Entry], old: Old, work: Path
) -> list[str]:
    """No edge: what is equal is shared, the rest comes by rsync, or the whole by HTTP."""
    have = {entry.sha256 for entry in old.entries}
    fresh = sum(entry.size for entry in entries if entry.sha256 not in have)
    if not job.wanted.rsync:
        _check_space(job.places.top, sum(entry.size for entry in entries))
        source.fetch_whole(job.server, job.wanted, tree)
        return ["the whole archive: no edge leads there, and the server has no rsync daemon"]
    _check_space(job.places.top, fresh)
    built = build(tree, entries, old, lambda _sha256, _path: False)
    ways = [f"no edge leads there: {built.shared} shared, {built.copied} copied"]
    if built.missing:
        seed = _empty(work / "seed")
        lay_seed(seed, old, entries)
        ways.append(_mend(job, tree, built.missing, seed))
        shutil.rmtree(seed)
    return ways


def _mend(job: Job, tree: Path, paths: list[bytes], seed: Path | None = None) -> str:
    """Fetch single files another way, and say so."""
    job.tell.say(f"{len(paths)} files come by rsync: {shown(paths)}")
    source.fetch_files(job.wanted, paths, tree, seed)
    return f"rsync: {len(paths)} files"


def _check(job: Job, tree: Path, entries: list[Entry], ways: list[str]) -> None:
    """Every path against the manifest; what differs is fetched once more by rsync."""
    found = trees.check(tree, entries)
    if found:
        files = _files_of(found, entries)
        if files and job.wanted.rsync:
            # Edited in the old version, and shared into this one.
            for path in files:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(os.fsencode(tree), path))
            ways.append(_mend(job, tree, files))
        _settle_folders(tree, entries)
        found = trees.check(tree, entries)
    if found:
        hint = "On the server: edeploy image verify; here: edeploy-node verify."
        raise NotTheImage.told(f"{job.current.role} {job.wanted.version}", found, hint)


def _files_of(found: list[Difference], entries: list[Entry]) -> list[bytes]:
    named = {difference.path for difference in found}
    return [entry.path for entry in entries if entry.type == "file" and quote(entry.path) in named]


def _settle_folders(tree: Path, entries: list[Entry]) -> None:
    """Give folders the time back that they lost when files were put into them."""
    for entry in reversed(entries):
        path = os.path.join(os.fsencode(tree), entry.path)
        if entry.type == "dir" and os.path.isdir(path):
            os.utime(path, ns=(entry.time, entry.time))


def copy_etc(source: Path, place: Path, entries: list[Entry]) -> Path:
    """Put a copy of `source`, which is /etc as an image with these entries has it, to `place`."""
    chosen = entries_of_etc(entries)
    old = Old(source, source, chosen, Sharing.COPY)
    built = build(_empty(place), chosen, old, lambda _sha256, _path: False)
    if built.missing:
        raise NotTheImage(f"{source}: {shown(built.missing)} went away")
    return place


def _publish(places: Places, name: str, work: Path, whole: Whole) -> None:
    """Write all out, then give everything its place; the tree comes last: with it the version is
    there."""
    for folder in (places.manifest(name), places.etc_base(name), places.tree(name)):
        folder.parent.mkdir(parents=True, exist_ok=True)
    keep_manifest(places, name, whole)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(places.etc_base(name))
    (work / "etc-base").rename(places.etc_base(name))
    atomic.sync_file_system(places.top)
    (work / "tree").rename(places.tree(name))
    for folder in (places.tree(name), places.etc_base(name), places.manifest(name)):
        atomic.sync_folder(folder.parent)
    shutil.rmtree(work, ignore_errors=True)


def keep_manifest(places: Places, name: str, whole: Whole) -> None:
    """Keep what says what a version is. Raises OSError."""
    places.manifest(name).parent.mkdir(parents=True, exist_ok=True)
    atomic.write(places.manifest(name), whole.manifest)
    if whole.signature:
        atomic.write(places.manifest(f"{name}.sig"), whole.signature)


def _only(work: Path) -> None:
    """The folder of this work, and none of another version's."""
    work.mkdir(parents=True, exist_ok=True)
    for other in work.parent.iterdir():
        if other != work:
            shutil.rmtree(other, ignore_errors=True)


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _check_space(folder: Path, needed: int) -> None:
    about = os.statvfs(folder)
    free = about.f_bavail * about.f_frsize
    if free < needed * MARGIN:
        raise NoSpace(
            f"{folder}: {free / 1e6:.0f} MB are free, {needed * MARGIN / 1e6:.0f} MB are needed",
            "Make room, or remove a version that is not used: edeploy-node status lists them.",
        )


def versions(places: Places) -> Iterator[str]:
    """The names of complete versions: those with a tree, a manifest and a pristine /etc."""
    for name in places.deployed():
        if places.manifest(name).is_file() and places.etc_base(name).is_dir():
            yield name
