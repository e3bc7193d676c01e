"""A file of the server of which parts are here: fetched by range, never twice, even when killed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Callable

from edeploy.node.http import Server

# What a kill costs at most. What a power cut leaves is found by the contents' digests.
CHECKPOINT = 1 << 20


class Partial:
    """`file` holds the parts of `path` on `server` that were asked for; `received` counts bytes
    that came over the wire in this process."""

    def __init__(self, server: Server, path: str, file: Path) -> None:
        self._server = server
        self._path = path
        self._file = file
        self._notes = file.with_name(f"{file.name}.parts")
        self._have: list[tuple[int, int]] = self._read_notes()
        self._handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.received = 0

    def __enter__(self) -> Partial:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)

    def read(self, offset: int, length: int) -> bytes:
        """These bytes, fetched now when they are not here; fewer at the end of the file."""
        self.fetch([(offset, offset + length)])
        return os.pread(self._handle, length, offset)

    def fetch(
        self, spans: Iterable[tuple[int, int]], on_bytes: Callable[[int], None] = lambda _: None
    ) -> None:
        """Have all of `spans` (begin, end) here. Raises ServerAway, ServerRefused, BadAnswer."""
        for begin, end in missing(joined(spans), self._have):
            self._fetch(begin, end, on_bytes)

    def _fetch(self, begin: int, end: int, on_bytes: Callable[[int], None]) -> None:
        noted = begin
        with self._server.open(self._path, begin, end) as stream:
            here = begin
            try:
                for chunk in stream.chunks():
                    os.pwrite(self._handle, chunk, here)
                    here += len(chunk)
                    self.received += len(chunk)
                    on_bytes(len(chunk))
                    if here - noted >= CHECKPOINT:
                        noted = here
                        self._add(begin, here)
            finally:
                # Also when the server stays away: the next try begins there.
                self._add(begin, here)

    def _add(self, begin: int, end: int) -> None:
        self._have = joined([*self._have, (begin, end)])
        self._note()

    def _note(self) -> None:
        new = self._notes.with_name(f"{self._notes.name}.new")
        new.write_text(json.dumps(self._have))
        new.replace(self._notes)

    def _read_notes(self) -> list[tuple[int, int]]:
        try:
            size = self._file.stat().st_size
            found = [(int(begin), int(end)) for begin, end in json.loads(self._notes.read_bytes())]
        except (OSError, ValueError, TypeError):
            return []
        return joined((begin, min(end, size)) for begin, end in found)


def joined(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same bytes in as few spans as there can be, in order."""
    found: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if end <= begin:
            continue
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return found


def missing(wanted: list[tuple[int, int]], have: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """What of `wanted` is not in `have`; both as `joined` gives them."""
    found = []
    for begin, end in wanted:
        at = begin
        for first, last in have:
            if last <= at or first >= end:
                continue
            if first > at:
                found.append((at, first))
            at = last
        if at < end:
            found.append((at, end))
    return found
