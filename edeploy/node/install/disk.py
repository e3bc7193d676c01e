"""One disk: found by a hint, known again by its fingerprint, refused while in use."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.node.detect.disks import Disk, partitions
from edeploy.node.detect.tree import Tree
from edeploy.node.mounts import parse_mounts

ENDS = 1 << 20


class NoDisk(EdeployError):
    """A hint that names no disk, or more than one."""


class DiskInUse(EdeployError):
    """A disk that something holds: a mount, swap, RAID, LVM."""


class DiskChanged(EdeployError):
    """A disk that is not any more what the server accepted."""


def find_disk(hint: str, disks: Sequence[Disk]) -> Disk:
    """The one disk with this /dev/disk/by-id path, /dev/NAME, NAME, serial number or WWN.

    Raises NoDisk when there is none or more than one: never a guess.
    """
    found = [disk for disk in disks if _is_named(disk, hint.strip())]
    if len(found) == 1:
        return found[0]
    known = "".join(
        f"\n  | {disk.path} {disk.size / 10**9:.1f} GB serial={disk.serial or '-'}"
        f" wwn={disk.wwn or '-'}"
        for disk in disks
        if disk.real
    )
    if found:
        names = ", ".join(disk.path for disk in found)
        raise NoDisk(
            f"the disk {hint!r} is not one disk but {names}{known}",
            "Name it by its path under /dev/disk/by-id.",
        )
    raise NoDisk(
        f"no disk is {hint!r}; this machine has:{known or ' none'}",
        "Name it by /dev/disk/by-id/…, its serial number, WWN or kernel name.",
    )


def _is_named(disk: Disk, hint: str) -> bool:
    if hint.startswith("/dev/disk/by-id/"):
        return hint[len("/dev/disk/by-id/") :] in disk.ids
    if hint.startswith("/dev/"):
        return hint == disk.path
    if not disk.real or not hint:
        return False
    wwn = hint[len("wwn-") :] if hint.startswith("wwn-") else hint
    return hint in (disk.name, disk.serial, *disk.ids) or (
        bool(disk.wwn) and _plain_wwn(wwn) == _plain_wwn(disk.wwn)
    )


def _plain_wwn(text: str) -> str:
    lower = text.lower()
    for prefix in ("0x", "naa.", "eui."):
        if lower.startswith(prefix):
            return lower[len(prefix) :]
    return lower


def fingerprint(disk: Disk) -> str:
    """SHA-256 over size, serial, WWN, and what is in the first and the last MiB now."""
    digest = hashlib.sha256(f"{disk.size}\n{disk.serial}\n{disk.wwn}\n".encode())
    with open(disk.path, "rb", buffering=0) as stream:
        # What another program wrote meanwhile is seen in any case: it has the same page cache.
        for place in (0, max(0, disk.size - ENDS)):
            stream.seek(place)
            digest.update(stream.read(ENDS))
    return digest.hexdigest()


def refuse_if_used(tree: Tree, disk: Disk) -> None:
    """Raises DiskInUse, naming what holds the disk or a partition of it."""
    found = list(users(tree, disk))
    if found:
        raise DiskInUse(
            f"{disk.path} is in use: {', '.join(found)}",
            "Release it before layout(): run('umount …'), run('swapoff …'), run('mdadm --stop …')"
            " or run('vgchange -an').",
        )


def users(tree: Tree, disk: Disk) -> Iterator[str]:
    """What holds the disk or a partition of it: mounts, RAID, LVM, swap, each in a few words."""
    mounts = parse_mounts(tree.text("proc/self/mountinfo"))
    swaps = [line.split()[0] for line in tree.text("proc/swaps").splitlines()[1:] if line.split()]
    parts = partitions(tree, disk.name)
    for name in (disk.name, *parts):
        folder = f"sys/block/{disk.name}" + ("" if name == disk.name else f"/{name}")
        number = tree.text(f"{folder}/dev")
        path = f"/dev/{name}"
        for mount in mounts:
            if mount.device == number or mount.source == path:
                yield f"{path} is mounted on {mount.point}"
        for holder in tree.names(f"{folder}/holders"):
            yield f"{path} is part of /dev/{holder}"
        yield from (f"{path} is swap" for swap in swaps if os.path.realpath(swap) == path)


def wait_for(paths: Sequence[str], *, patience: float) -> None:
    """Wait until device nodes are there; raises EdeployError after `patience` seconds."""
    end = time.monotonic() + patience
    for path in paths:
        while not Path(path).exists():
            if time.monotonic() > end:
                raise EdeployError(f"{path} did not appear", "Look at the kernel's log: dmesg.")
            time.sleep(0.02)
