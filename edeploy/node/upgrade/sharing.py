"""How versions on one file system share what is equal in them."""

from __future__ import annotations

import enum
import errno
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

# linux/fs.h: _IOW(0x94, 9, int)
FICLONE = 0x40049409
_NOT_HERE = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV, errno.ENOSYS)


class Sharing(enum.Enum):
    """What a file system offers, the best first."""

    # Blocks are shared until somebody writes: xfs, btrfs.
    REFLINK = "reflink"
    # One file under two names; the trees are read-only where it is used: ext4.
    LINK = "link"
    # Nothing is shared.
    COPY = "copy"


def sharing_of(folder: Path) -> Sharing:
    """What the file system of `folder` offers, by trying it there."""
    with tempfile.TemporaryDirectory(prefix=".share-", dir=folder) as place:
        source, target = Path(place) / "a", Path(place) / "b"
        source.write_bytes(b"\0" * 4096)
        if reflink(os.fsencode(source), os.fsencode(target)):
            return Sharing.REFLINK
        try:
            os.link(source, Path(place) / "c")
        except OSError:
            return Sharing.COPY
        return Sharing.LINK


def reflink(source: bytes, target: bytes) -> bool:
    """Make `target` a file that shares all blocks of `source`; False where that is not possible.

    Neither is opened through a link. Mode and owner are those of a new file.
    """
    wanted = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        made = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.ioctl(made, FICLONE, wanted)
            return True
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
            os.unlink(target)
            return False
        finally:
            os.close(made)
    finally:
        os.close(wanted)


def copy_content(source: bytes, target: bytes, sharing: Sharing) -> None:
    """A new file with the content of `source` that is independent of it. Raises OSError."""
    if sharing is Sharing.REFLINK and reflink(source, target):
        return
    wanted = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(wanted, "rb") as reader:
        made = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(made, "wb") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
