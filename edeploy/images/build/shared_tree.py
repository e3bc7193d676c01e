"""Makes a tree of what is there already: files that are in the store are linked, others moved."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from edeploy.images.manifest import Entry
from edeploy.images.objects import Objects, key_of
from edeploy.run import run

# What the kernel writes at the files of an overlay; with `overlay.` again, what the tree has.
_OVERLAY = "trusted.overlay."
_CANNOT_LINK = (errno.EMLINK, errno.EXDEV, errno.EPERM, errno.ENOTSUP)


class How(Enum):
    """What may be done with a source."""

    MOVE = "nobody else needs it"
    LINK = "it is part of a tree that stays as it is"


@dataclass(frozen=True)
class Source:
    """Where the content of a path is."""

    path: bytes
    how: How


Find = Callable[[Entry, Sequence[bytes]], Source]
"""Where the content of a file with these names is, which are its entry's and its hard links'."""


def make_tree(entries: Sequence[Entry], into: Path, *, find: Find, objects: Objects) -> None:
    """Make the new folder `into` the tree that `entries` tell, sorted as in a manifest.

    A file that `objects` have is linked from there; others come from where `find` says, and
    `objects` have them from then on. Raises OSError.
    """
    top = os.fsencode(into)
    groups = link_groups(entries)
    folders = []
    for entry in entries:
        target = top if entry.path == b"." else os.path.join(top, entry.path)
        if entry.type == "dir":
            _make_folder(target, entry)
            folders.append((target, entry))
        elif entry.links not in (b"", entry.path):
            os.link(os.path.join(top, entry.links), target, follow_symlinks=False)
        else:
            names = groups.get(entry.path, [entry.path])
            key = key_of(entry, names)
            if not objects.link(key, target):
                _bring(find(entry, names), target)
                objects.keep(key, target)
    for target, entry in reversed(folders):
        # Last: what is made in a folder takes over its default ACL, and gives it a new time.
        for name, value in entry.xattrs:
            os.setxattr(target, name, value)
        os.utime(target, ns=(entry.time, entry.time))


def link_groups(entries: Sequence[Entry]) -> dict[bytes, list[bytes]]:
    """For the first name of each file with several: all its names."""
    groups: dict[bytes, list[bytes]] = {}
    for entry in entries:
        if entry.links:
            groups.setdefault(entry.links, []).append(entry.path)
    return groups


def _make_folder(target: bytes, entry: Entry) -> None:
    os.mkdir(target, 0o700)
    os.chown(target, entry.uid, entry.gid)
    os.chmod(target, entry.mode)


def _bring(source: Source, target: bytes) -> None:
    if source.how is How.MOVE:
        os.rename(source.path, target)
        _without_overlay(target)
        return
    try:
        os.link(source.path, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
            raise
        names = [os.fsdecode(source.path), os.fsdecode(target)]
        run(["cp", "--archive", "--reflink=auto", "--", *names], timeout=None)


def _without_overlay(target: bytes) -> None:
    """Take off what an overlay wrote there for itself; what the tree has of that name stays."""
    for name in os.listxattr(target, follow_symlinks=False):
        if name.startswith(_OVERLAY):
            own = name.removeprefix(_OVERLAY)
            if own.startswith("overlay."):
                value = os.getxattr(target, name, follow_symlinks=False)
                kept = _OVERLAY + own.removeprefix("overlay.")
                os.setxattr(target, kept, value, follow_symlinks=False)
            os.removexattr(target, name, follow_symlinks=False)
