"""Which old file a new content is most like: the one at its path, or at the path that it had."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from edeploy.images.manifest import Entry

# `6.1.0-50-amd64`, `3.0.17`, `11`: what a new release of a kernel or a library changes in names.
_RELEASE = re.compile(rb"\d+(?:[.~+-]\d+)*")


@dataclass(frozen=True)
class Pair:
    """Numbers of entries: the new content's first file, and the old file it is like (-1: none)."""

    new: int
    old: int


def pairs(old: list[Entry], new: list[Entry]) -> Iterator[Pair]:
    """A pair for each content of `new` that `old` does not have, once, in the order of `new`."""
    known = {entry.sha256 for entry in old if entry.type == "file"}
    by_path = {entry.path: number for number, entry in enumerate(old) if entry.type == "file"}
    gone = _by_pattern(old, {entry.path for entry in new})
    for number, entry in enumerate(new):
        if entry.type != "file" or entry.sha256 in known:
            continue
        known.add(entry.sha256)
        same = by_path.get(entry.path)
        yield Pair(number, same if same is not None else gone.get(_pattern(entry.path), -1))


def _by_pattern(old: list[Entry], stay: set[bytes]) -> dict[bytes, int]:
    """Old files whose path is gone, by that path without release numbers."""
    return {
        _pattern(entry.path): number
        for number, entry in enumerate(old)
        if entry.type == "file" and entry.path not in stay
    }


def _pattern(path: bytes) -> bytes:
    return _RELEASE.sub(b"#", path)
