"""Files that are there whole or not at all: temporary name, fsync, rename."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# fcntl.h and linux/fs.h
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def write(path: Path, data: str | bytes, *, mode: int = 0o644) -> None:
    """Replace `path` by `data`; after a crash it holds the old content or the new one.

    Raises OSError; the old file is then untouched and no temporary file is left.
    """
    content = data.encode() if isinstance(data, str) else data
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(name, path)
    except BaseException:
        os.unlink(name)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` (what was created, renamed or removed there) last."""
    with _opened(folder, os.O_DIRECTORY) as handle:
        os.fsync(handle)


def sync_content(path: Path) -> None:
    """Have all that was written to a file or device on the disk. Raises OSError."""
    with _opened(path) as handle:
        os.fsync(handle)


def sync_file_system(folder: Path) -> None:
    """Have all that was written to the file system of `folder` on the disk. Raises OSError."""
    # Here and not above: the agent's first line does not wait for it.
    import ctypes

    with _opened(folder, os.O_DIRECTORY) as handle:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(handle) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(folder))


def exchange(first: Path, second: Path) -> None:
    """What was `first` is `second`, and the other way round, whenever the power goes.

    Both must be there, on one file system. Raises OSError.
    """
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.renameat2(
        _AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE
    )
    if done != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(first), None, str(second))


@contextmanager
def _opened(path: Path, flags: int = 0) -> Iterator[int]:
    handle = os.open(path, os.O_RDONLY | flags)
    try:
        yield handle
    finally:
        os.close(handle)
