"""Times of a finished tree: a path's time tells what it is, and no moment of a build."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from edeploy.images.build.compiled import SECOND, by_time

# 2000 to 2004: nobody takes these for the moment of an event.
_FIRST_TIME = 946_684_800
_TIMES = 5 * 365 * 86_400

# systemd compares it with /etc/.updated and /var/.updated: newer packages have to be newer there.
_VENDOR = b"usr"


def settle_times(tree: Path, epoch: int, own: Path) -> None:
    """Give all paths of `tree` that `own` has times that follow from what they are.

    Files and links have a time by their content, folders by the names in them, devices all the
    same: what is equal in two versions has equal times there, whoever packaged or made it, and
    what differs has others. `/usr` itself has `epoch` (Unix seconds).

    Python runs compiled files whose source has the time that they say: those that were compiled
    here are told the new one, and the source of those that a package brings (not newer than
    `epoch`) keeps its time. Whole seconds, which every archive format and file system keeps.
    """
    paths = [os.path.join(os.fsencode(tree), path) for path in _paths(os.fsencode(own))]
    compiled = list(filter(None, (by_time(path) for path in paths if path.endswith(b".pyc"))))
    made = {pair.path: pair for pair in compiled if _time(pair.path) > epoch}
    kept = {pair.source for pair in compiled if pair.path not in made}
    vendor = os.path.join(os.fsencode(tree), _VENDOR)
    for path in paths:
        if path == vendor:
            _set(path, epoch)
        elif path in kept:
            _set(path, _time(path))
        elif path not in made:
            _settle(path)
    for pair in made.values():
        pair.tell(_time(pair.source))
        _settle(pair.path)


def _paths(top: bytes) -> Iterator[bytes]:
    """All paths below `top`, relative to it, folders after what is in them; `.` last."""
    for where, folders, names in os.walk(top, topdown=False):
        folder = os.path.relpath(where, top)
        for name in names:
            yield os.path.normpath(os.path.join(folder, name))
        for name in folders:
            # Links to folders are not walked into.
            if os.path.islink(os.path.join(where, name)):
                yield os.path.normpath(os.path.join(folder, name))
        yield folder


def _settle(path: bytes) -> None:
    try:
        about = os.lstat(path)
    except FileNotFoundError:
        # An overlay's note that the layer below has something that is gone.
        return
    if stat.S_ISLNK(about.st_mode):
        _set(path, _time_of(hashlib.sha256(os.readlink(path)).digest()))
    elif stat.S_ISREG(about.st_mode):
        with open(path, "rb") as stream:
            _set(path, _time_of(hashlib.file_digest(stream, "sha256").digest()))
    elif stat.S_ISDIR(about.st_mode):
        names = b"\0".join(sorted(os.listdir(path)))
        _set(path, _time_of(hashlib.sha256(names).digest()))
    elif not stat.S_ISSOCK(about.st_mode):
        _set(path, _FIRST_TIME)


def _set(path: bytes, seconds: int) -> None:
    if os.lstat(path).st_mtime_ns != seconds * SECOND:
        os.utime(path, ns=(seconds * SECOND, seconds * SECOND), follow_symlinks=False)


def _time(path: bytes) -> int:
    return os.lstat(path).st_mtime_ns // SECOND


def _time_of(digest: bytes) -> int:
    return _FIRST_TIME + int.from_bytes(digest[:8], "big") % _TIMES
