"""Writes packs: of each new content the smaller of a patch and the whole, all cores at work."""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from edeploy.errors import EdeployError
from edeploy.images import manifest, pack, zstd
from edeploy.images.manifest import Entry, quote
from edeploy.images.pairs import Pair, pairs
from edeploy.images.parallel import cores

# Measured on a Debian 12 of 900 MB with a new kernel: 3 gives 59 MB in 7 s of CPU, 8 gives 55 MB
# in 13 s, 12 gives 52 MB in 50 s.
LEVEL = 8
# No level makes the whole so much smaller than the quickest one does.
_QUICK, _BETTER = 1, 0.6
# Bytes of contents that may be worked on behind the first one that is not done. A large one, such
# as an initrd, keeps one core for seconds; more would be memory for what waits to be written.
_AHEAD = 1 << 28


@dataclass(frozen=True)
class End:
    """One end of an edge: a tree, its manifest, and the manifest's signature ("": none)."""

    version: str
    tree: Path
    manifest: bytes
    signature: str = ""


@dataclass(frozen=True)
class Packed:
    """What a pack has: contents by patch and whole, its size in bytes."""

    patched: int
    whole: int
    size: int


def write_pack(role: str, old: End, new: End, out: IO[bytes], *, level: int = LEVEL) -> Packed:
    """Write the pack from `old` to `new`. Raises EdeployError when a tree is not its manifest."""
    before, after = manifest.parse(old.manifest), manifest.parse(new.manifest)
    rows: list[tuple[int, int, list[int]]] = []
    with TemporaryFile() as blobs:
        for pair, frames in _all_frames(old.tree, before, new.tree, after, level):
            rows.append((pair.new, pair.old, [len(frame) for frame in frames]))
            blobs.writelines(frames)
        names = {
            "role": role,
            "old": old.version,
            "new": new.version,
            "old_signature": old.signature,
            "new_signature": new.signature,
        }
        out.write(_start(names, old.manifest, new.manifest, rows, level))
        blobs.seek(0)
        while piece := blobs.read(pack.CHUNK):
            out.write(piece)
    patched = sum(1 for row in rows if row[1] >= 0)
    return Packed(patched, len(rows) - patched, out.tell())


def _all_frames(
    old_tree: Path, old: list[Entry], new_tree: Path, new: list[Entry], level: int
) -> Iterator[tuple[Pair, list[bytes]]]:
    """Each pair and its frames, in order; the pair has no old file where that is no gain."""

    def one(pair: Pair) -> tuple[Pair, list[bytes]]:
        content = _content(new_tree, new[pair.new])
        source = _content(old_tree, old[pair.old]) if pair.old >= 0 else b""
        return _smaller(pair, content, source, level)

    with _pool() as pool:
        waiting: deque[tuple[Future[tuple[Pair, list[bytes]]], int]] = deque()
        ahead = 0
        for pair in pairs(old, new):
            size = new[pair.new].size
            waiting.append((pool.submit(one, pair), size))
            ahead += size
            while ahead - waiting[0][1] > _AHEAD:
                first, size = waiting.popleft()
                ahead -= size
                yield first.result()
        for first, _ in waiting:
            yield first.result()


def _smaller(pair: Pair, content: bytes, source: bytes, level: int) -> tuple[Pair, list[bytes]]:
    patch = _frames(content, source, level) if source else []
    size = sum(map(len, patch))
    if patch and size < _BETTER * sum(map(len, _frames(content, b"", _QUICK))):
        return pair, patch
    whole = _frames(content, b"", level)
    if patch and size < sum(map(len, whole)):
        return pair, patch
    return Pair(pair.new, -1), whole


def _frames(content: bytes, source: bytes, level: int) -> list[bytes]:
    found = []
    for begin in range(0, max(len(content), 1), pack.CHUNK):
        piece = content[begin : begin + pack.CHUNK]
        first, last = pack.window(begin, len(piece), len(source))
        found.append(zstd.compress(piece, source[first:last], level))
    return found


def _content(tree: Path, entry: Entry) -> bytes:
    """Raises EdeployError when it is not what the manifest says: a pack of it would be useless."""
    try:
        content = Path(os.fsdecode(os.path.join(os.fsencode(tree), entry.path))).read_bytes()
    except OSError as error:
        raise EdeployError(f"{tree}/{quote(entry.path)}: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise EdeployError(
            f"{tree}/{quote(entry.path)}: not what the manifest says",
            "The store is damaged: edeploy image verify says how far.",
        )
    return content


def _start(
    names: dict[str, str],
    old: bytes,
    new: bytes,
    rows: list[tuple[int, int, list[int]]],
    level: int,
) -> bytes:
    """Everything of a pack before its blobs."""
    table = json.dumps(rows, separators=(",", ":")).encode()
    parts = {
        "new_manifest": (zstd.compress(new, old, level), len(new)),
        "table": (zstd.compress(table, level=level), len(table)),
        "old_manifest": (zstd.compress(old, level=level), len(old)),
    }
    digests = {
        "old_sha256": hashlib.sha256(old).hexdigest(),
        "new_sha256": hashlib.sha256(new).hexdigest(),
    }

    def head(base: int) -> bytes:
        places: dict[str, list[int]] = {}
        for name, (frame, size) in parts.items():
            places[name] = [base, len(frame), size]
            base += len(frame)
        return json.dumps({**names, **digests, **places}, sort_keys=True).encode()

    before = len(pack.MAGIC) + pack.LENGTH_BYTES
    # Filled with blanks: the longest numbers that its own length can lead to fit.
    length = len(head(10**12))
    text = head(before + length).ljust(length)
    frames = b"".join(frame for frame, _ in parts.values())
    return pack.MAGIC + length.to_bytes(pack.LENGTH_BYTES, "big") + text + frames


@contextmanager
def _pool() -> Iterator[ThreadPoolExecutor]:
    # Threads: reading, hashing and compressing let others run meanwhile.
    pool = ThreadPoolExecutor(cores())
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
