"""Objects: each file of the store's trees once, by all that it is; trees are links to it."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from edeploy.images import manifest
from edeploy.images.manifest import Entry

# A file has as many names as its file system allows, and some allow one only.
_CANNOT_LINK = (errno.EMLINK, errno.EXDEV, errno.EPERM, errno.ENOTSUP)


class Objects:
    """A folder of files, each under its key; a file that no tree has any more has one name left.

    Nothing is locked: linking either gets the file or does not, and whoever does not makes it.
    """

    def __init__(self, folder: Path) -> None:
        self._top = os.fsencode(folder)
        self._folders: set[bytes] = set()

    def link(self, key: str, target: bytes) -> bool:
        """Make `target` a name of the file with this key; whether there is one."""
        try:
            os.link(self._path(key), target, follow_symlinks=False)
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno in _CANNOT_LINK:
                return False
            raise
        return True

    def keep(self, key: str, source: bytes) -> None:
        """Let others link to the file `source`, which nobody changes any more."""
        path = self._path(key)
        folder = os.path.dirname(path)
        if folder not in self._folders:
            os.makedirs(folder, exist_ok=True)
            self._folders.add(folder)
        try:
            os.link(source, path, follow_symlinks=False)
        except FileExistsError:
            return
        except OSError as error:
            if error.errno not in _CANNOT_LINK:
                raise

    def forget(self, key: str) -> None:
        """Have the next build make the file again; the trees that have it keep it."""
        with suppress(FileNotFoundError):
            os.unlink(self._path(key))

    def remove_unused(self) -> int:
        """Remove what no tree has any more; bytes that became free."""
        freed = 0
        for folder in _folders(self._top):
            for file in list(os.scandir(folder)):
                with suppress(FileNotFoundError):
                    about = file.stat(follow_symlinks=False)
                    if about.st_nlink == 1:
                        # Who links it at this moment keeps the file; only its name goes.
                        os.unlink(file.path)
                        freed += about.st_blocks * 512
        return freed

    def _path(self, key: str) -> bytes:
        return os.path.join(self._top, key[:2].encode(), key[2:].encode())


def key_of(entry: Entry, names: Iterable[bytes]) -> str:
    """The key of a file, link, device or FIFO with these names: a digest of all that it is.

    Its names count, so that two equal files of one tree stay two; holes are a matter of the
    file system and do not.
    """
    said = [manifest.line(entry._replace(path=b".", links=b"", sparse=False))]
    said += [manifest.quote(name) for name in names]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:40]


def _folders(top: bytes) -> list[bytes]:
    try:
        return [entry.path for entry in os.scandir(top) if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
