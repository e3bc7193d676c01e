"""The pack of an edge: what turns the files of one version into those of the next, and its reader.

    #edeploy-pack 1\\n
    4 bytes      length of the head, big-endian
    head         JSON: role, versions, signatures, and where the parts are
    parts        zstd frames: the new manifest against the old one, the table, the old manifest
    blobs        zstd frames: contents that the old version does not have, in the table's order

A blob is one content, in frames of CHUNK bytes of it. With `source` each frame is against the
piece of that old file around the same place (`window`), so that no reader needs much memory.
Read it from any place: whoever has the old manifest, or some of the contents, skips them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

from edeploy.errors import EdeployError
from edeploy.images import manifest, zstd
from edeploy.images.manifest import Entry

MAGIC = b"#edeploy-pack 1\n"
LENGTH_BYTES = 4
CHUNK = 4 << 20
# What lies before a place in the new file was at most so far away in the old one.
MARGIN = 8 << 20
MAX_HEAD = 1 << 20
MAX_PART = 1 << 30

Read = Callable[[int, int], bytes]


class BadPack(EdeployError):
    """A pack that is damaged, cut off, or not made of these manifests."""


@dataclass(frozen=True)
class Part:
    """A frame: where it begins in the pack, its length there, and of what it holds; in bytes."""

    offset: int
    length: int
    size: int


@dataclass(frozen=True)
class Head:
    """What a pack is for. Digests are SHA-256 in hex; a signature is "" when there is none."""

    role: str
    old: str
    new: str
    old_sha256: str
    new_sha256: str
    old_signature: str
    new_signature: str
    old_manifest: Part
    new_manifest: Part
    table: Part


@dataclass(frozen=True)
class Blob:
    """One content: its SHA-256, size in bytes, and that of the old content it is told against
    ("" and 0: none); `frames` are the lengths of its frames from `offset` on."""

    sha256: str
    size: int
    source: str
    source_size: int
    offset: int
    frames: tuple[int, ...]

    @property
    def length(self) -> int:
        """Bytes in the pack."""
        return sum(self.frames)


@dataclass(frozen=True)
class Pack:
    """A pack whose manifests and table were read; `blobs` by the SHA-256 of their content."""

    head: Head
    old_entries: list[Entry]
    new_entries: list[Entry]
    new_manifest: bytes
    blobs: dict[str, Blob]


def read_pack(read: Read, old_manifest: bytes | None = None) -> Pack:
    """Manifests and table of the pack that `read(offset, length)` reads.

    An old manifest that is there already is not read. Nothing is trusted yet: check the manifest's
    signature, and each content that comes of it. Raises BadPack, BadManifest, ZstdFailed.
    """
    head = read_head(read)
    old = old_manifest
    if old is None or _sha256(old) != head.old_sha256:
        old = _part(read, head.old_manifest, b"", head.old_sha256)
    new = _part(read, head.new_manifest, old, head.new_sha256)
    old_entries = manifest.parse(old)
    new_entries = manifest.parse(new, manifest.by_line(old, old_entries))
    table = _part(read, head.table, b"", "")
    begin = head.old_manifest.offset + head.old_manifest.length
    blobs = _blobs(table, old_entries, new_entries, begin)
    return Pack(head, old_entries, new_entries, new, {blob.sha256: blob for blob in blobs})


def read_head(read: Read) -> Head:
    """What the pack is for. Raises BadPack."""
    start = read(0, len(MAGIC) + LENGTH_BYTES)
    if start[: len(MAGIC)] != MAGIC or len(start) < len(MAGIC) + LENGTH_BYTES:
        raise _bad("it does not begin as one does")
    length = int.from_bytes(start[len(MAGIC) :], "big")
    if length > MAX_HEAD:
        raise _bad(f"a head of {length} bytes")
    try:
        data = json.loads(read(len(start), length))
        parts = {name: Part(*map(int, data.pop(name))) for name in _PARTS}
        text = {name: str(data[name]) for name in _TEXTS}
        head = Head(
            role=text["role"],
            old=text["old"],
            new=text["new"],
            old_sha256=text["old_sha256"],
            new_sha256=text["new_sha256"],
            old_signature=text["old_signature"],
            new_signature=text["new_signature"],
            **parts,
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _bad(f"its head: {error}") from error
    if any(not 0 <= part.size <= MAX_PART or part.length < 0 for part in parts.values()):
        raise _bad("its head: a part of an impossible size")
    return head


def restored(blob: Blob, read: Read, source: BinaryIO | None) -> Iterator[bytearray]:
    """The content of a blob, a piece at a time; `read` reads its pack, `source` is the old file
    when it has one.

    Raises BadPack when it does not come out as it should: the pack or the source are not what
    they were.
    """
    digest, done, position = hashlib.sha256(), 0, blob.offset
    for length in blob.frames:
        size = min(CHUNK, blob.size - done)
        prefix = b""
        if source is not None and blob.source:
            begin, end = window(done, size, blob.source_size)
            source.seek(begin)
            prefix = source.read(end - begin)
        try:
            piece = zstd.decompress(read(position, length), size, prefix)
        except zstd.ZstdFailed as error:
            raise _not_restored(blob, error.message) from error
        digest.update(piece)
        position, done = position + length, done + size
        yield piece
    if digest.hexdigest() != blob.sha256:
        raise _not_restored(blob, f"SHA-256 {digest.hexdigest()}")


def window(done: int, size: int, source_size: int) -> tuple[int, int]:
    """Begin and end of the old file's piece against which the frame at `done` is told."""
    end = min(source_size, done + size + MARGIN)
    # A file that became shorter in front: the last piece of the old one may still be near.
    return min(max(0, done - MARGIN), max(0, source_size - MARGIN)), end


_PARTS = ("old_manifest", "new_manifest", "table")
_TEXTS = ("role", "old", "new", "old_sha256", "new_sha256", "old_signature", "new_signature")


def _blobs(
    table: bytes, old_entries: list[Entry], new_entries: list[Entry], offset: int
) -> Iterator[Blob]:
    try:
        rows = cast("list[tuple[int, int, list[int]]]", json.loads(table))
        for new, old, lengths in rows:
            entry = new_entries[new]
            source = old_entries[old] if old >= 0 else None
            frames = tuple(int(length) for length in lengths)
            if entry.type != "file" or min(frames) < 0:
                raise _bad(f"its table: {new} is no file")
            if len(frames) != max(1, -(-entry.size // CHUNK)):
                raise _bad(f"its table: {len(frames)} frames for {entry.size} bytes")
            yield Blob(
                sha256=entry.sha256,
                size=entry.size,
                source=source.sha256 if source else "",
                source_size=source.size if source else 0,
                offset=offset,
                frames=frames,
            )
            offset += sum(frames)
    except (ValueError, TypeError, IndexError) as error:
        raise _bad(f"its table: {error}") from error


def _part(read: Read, part: Part, prefix: bytes, sha256: str) -> bytes:
    data = bytes(zstd.decompress(read(part.offset, part.length), part.size, prefix))
    if sha256 and _sha256(data) != sha256:
        raise _bad("a manifest in it has another SHA-256")
    return data


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _not_restored(blob: Blob, why: str) -> BadPack:
    against = f" against {blob.source}" if blob.source else ""
    return BadPack(
        f"content {blob.sha256}{against} did not come out: {why}",
        "The pack is damaged, or the old file was changed.",
    )


def _bad(what: str) -> BadPack:
    return BadPack(f"not a pack: {what}", "Fetch it again, or run `edeploy edge make` again.")
