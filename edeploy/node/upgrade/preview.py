"""Exactly what an upgrade would do, without doing any of it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from edeploy.images import manifest
from edeploy.images.manifest import Entry, quote
from edeploy.images.pack import Pack
from edeploy.node.upgrade import source
from edeploy.node.upgrade.etc import EtcConflict, foresee
from edeploy.node.upgrade.here import Here, current
from edeploy.node.upgrade.partial import Partial
from edeploy.node.upgrade.stage import Current, Job, Tell, contents_of, old_of, open_packs
from edeploy.node.upgrade.upgrade import make_job


@dataclass(frozen=True)
class Preview:
    """Paths that would be new, gone and changed; files below /etc that would overlap or stand
    against a folder; bytes over the wire (-1: not known without a pack), new ones on the disk, and
    free ones there; units whose files change; why it needs a reboot ("": it does not)."""

    version: str
    goal: str
    edges: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    etc_overlaps: tuple[str, ...]
    etc_conflict: str
    transfer: int
    new_bytes: int
    free_bytes: int
    services: tuple[str, ...]
    reboot: str


def preview(machine: Here, version: str, tell: Tell) -> Preview:
    """What `upgrade` to `version` would do. Raises what that raises before it changes anything."""
    now = current(machine)
    job = make_job(machine, now, version, tell)
    with tempfile.TemporaryDirectory(dir=machine.places.top) as folder:
        with contextlib.ExitStack() as stack:
            packs, files = open_packs(job, Path(folder), stack)
            entries = _entries(job, packs)
            transfer, new_bytes = _bytes(job, packs, files, entries)
    before = {entry.path: entry for entry in manifest.parse(now.manifest)}
    after = {entry.path: entry for entry in entries}
    changed = [path for path in before.keys() & after.keys() if before[path] != after[path]]
    about = os.statvfs(machine.places.top)
    overlaps, conflict = _etc(now, list(before.values()), entries)
    return Preview(
        version=job.wanted.version,
        goal=version,
        edges=tuple(f"{edge.old} → {edge.new}" for edge in job.edges),
        added=_names(after.keys() - before.keys()),
        removed=_names(before.keys() - after.keys()),
        changed=_names(set(changed)),
        etc_overlaps=overlaps,
        etc_conflict=conflict,
        transfer=transfer,
        new_bytes=new_bytes,
        free_bytes=about.f_bavail * about.f_frsize,
        services=_services(changed),
        reboot=next((edge.reboot for edge in job.edges if edge.reboot), ""),
    )


def _entries(job: Job, packs: list[Pack]) -> list[Entry]:
    if packs:
        return packs[-1].new_entries
    data, _ = source.trusted_manifest(job.server, job.current.role, job.wanted, job.signers)
    return manifest.parse(data)


def _bytes(
    job: Job, packs: list[Pack], files: list[Partial], entries: list[Entry]
) -> tuple[int, int]:
    old = old_of(job.current, packs)
    if packs:
        contents = contents_of(old, packs, files, Path("/nowhere"))
        return contents.transfer + sum(file.received for file in files), contents.new_bytes
    have = {entry.sha256 for entry in old.entries}
    fresh = {entry.sha256: entry.size for entry in entries if entry.sha256 not in have}
    return (-1 if job.wanted.rsync else job.wanted.archive_size), sum(fresh.values())


def _etc(now: Current, before: list[Entry], after: list[Entry]) -> tuple[tuple[str, ...], str]:
    try:
        merge = foresee(before, now.etc, after)
    except EtcConflict as conflict:
        return (), conflict.message
    return tuple(quote(path) for path in merge.overlaps), ""


def _services(changed: list[bytes]) -> tuple[str, ...]:
    """Units whose own file changes; which others use what changed nobody knows before."""
    found = {
        os.path.basename(path)
        for path in changed
        if path.startswith((b"usr/lib/systemd/system/", b"lib/systemd/system/"))
        and path.endswith((b".service", b".socket", b".timer"))
    }
    return _names(found)


def _names(paths: set[bytes]) -> tuple[str, ...]:
    return tuple(quote(path) for path in sorted(paths))
