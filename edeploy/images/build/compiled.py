"""Files of Python's compiler: which source each is of, and of what time it takes that to be."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from importlib.util import source_from_cache

SECOND = 10**9
# PEP 552: magic, flags (0: the source's time and size follow), both as the low 32 bits.
_HEAD = struct.Struct("<4sIII")
_WORD = 0xFFFFFFFF


@dataclass(frozen=True)
class Compiled:
    """A compiled file, and the source whose time it says."""

    path: bytes
    source: bytes

    def tell(self, seconds: int) -> None:
        """Have it say that the source has this time."""
        with open(self.path, "r+b") as stream:
            magic, flags, _, size = _HEAD.unpack(stream.read(_HEAD.size))
            stream.seek(0)
            stream.write(_HEAD.pack(magic, flags, seconds & _WORD, size))


def source_of(path: bytes) -> bytes:
    """The source that a compiled file at `path` would be of; b"" when it is no such path."""
    try:
        return os.fsencode(source_from_cache(os.fsdecode(path)))
    except (ValueError, NotImplementedError):
        return b""


def by_time(path: bytes) -> Compiled | None:
    """The compiled file at `path` when it goes by its source's time, and fits it as it is now."""
    source = source_of(path)
    try:
        about = os.lstat(source)
        with open(path, "rb") as stream:
            _, flags, time, size = _HEAD.unpack(stream.read(_HEAD.size))
    except (OSError, struct.error):
        return None
    fits = (time, size) == (about.st_mtime_ns // SECOND & _WORD, about.st_size & _WORD)
    return Compiled(path, source) if flags == 0 and fits else None
