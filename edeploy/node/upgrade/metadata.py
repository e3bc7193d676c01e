"""Owner, mode, attributes and time of a path, as a manifest has them."""

from __future__ import annotations

import os

from edeploy.images.manifest import Entry


def put_metadata(path: bytes, entry: Entry) -> None:
    """Give `path` what the entry says. Raises OSError.

    The owner goes first: changing it takes setuid bits and capabilities away.
    """
    os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
    if entry.type != "link":
        os.chmod(path, entry.mode)
    for name, value in entry.xattrs:
        os.setxattr(path, name, value, follow_symlinks=False)
    os.utime(path, ns=(entry.time, entry.time), follow_symlinks=False)


def make_special(path: bytes, entry: Entry) -> None:
    """A link, device or FIFO. Raises OSError."""
    if entry.type == "link":
        os.symlink(entry.target, path)
    elif entry.type == "fifo":
        os.mkfifo(path)
    else:
        kind = 0o020000 if entry.type == "char" else 0o060000
        os.mknod(path, kind | 0o600, os.makedev(*entry.device))
