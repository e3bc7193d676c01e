"""The first difference of two builds of one tree, and who or what has made it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edeploy.images.build.layers import Kind, Layer
from edeploy.images.build.role_files import overlay_files
from edeploy.images.diff import owners_of
from edeploy.images.manifest import Entry, quote
from edeploy.images.recipe import Recipe, line_of

_AROUND = 24
_LISTED = 5
_CHUNK = 1 << 20
_DIGITS = re.compile(rb"[0-9]")
_GZIP, _GZIP_TIME = b"\x1f\x8b", range(4, 8)
_PYTHON_TIME = range(8, 12)
_INFO = "var/lib/dpkg/info"
_INITRAMFS = b"boot/initrd.img-"


@dataclass(frozen=True)
class Builder:
    """What of a machine and its operator may get into a tree by mistake."""

    host: str
    store: str
    home: str
    umask: int


@dataclass(frozen=True)
class Unlike:
    """The first path that differs, in which layer (`packages of base`), how, who wrote it and
    the likely cause ("": not known); `others` differ too."""

    layer: str
    path: str
    what: str
    writer: str
    cause: str
    others: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """As an operator reads it."""
        yield f"first difference: /{self.path} ({self.layer})"
        yield f"  {self.what}"
        yield f"  written by: {self.writer}"
        yield f"  likely cause: {self.cause or 'not known: a random number, an id, an order'}"
        if self.others:
            named = ", ".join(f"/{path}" for path in self.others[:_LISTED])
            more = len(self.others) - _LISTED
            yield f"  {len(self.others)} more: {named}{f' and {more} more' if more > 0 else ''}"


def first_difference(
    one: Layer, other: Layer, builders: Sequence[Builder], recipe: Recipe
) -> Unlike | None:
    """Between two builds of a layer; None when they are equal. Raises BadManifest, OSError."""
    before, after = one.entries(), other.entries()
    paths = [path for path in sorted({*before, *after}) if before.get(path) != after.get(path)]
    if not paths:
        return None
    # A folder's time only says that something in it is another way.
    path = next(
        (path for path in paths if not _is_folder(before.get(path), after.get(path))), paths[0]
    )
    about = one.about()
    what, cause = _compared(path, (one, other), (before.get(path), after.get(path)), builders)
    others = tuple(quote(each) for each in paths if each != path)
    writer = _writer(path, one, other, recipe)
    return Unlike(f"{about.kind} of {about.role}", quote(path), what, writer, cause, others)


def first_of_archives(one: Path, other: Path) -> Unlike | None:
    """Between two archives of equal trees."""
    offset = _first_byte(one, other)
    if offset is None:
        return None
    return Unlike("archive", "", f"the archives differ from byte {offset} on", "tar or zstd", "")


def _is_folder(*entries: Entry | None) -> bool:
    return all(entry is not None and entry.type == "dir" for entry in entries)


def _compared(
    path: bytes,
    layers: tuple[Layer, Layer],
    entries: tuple[Entry | None, Entry | None],
    builders: Sequence[Builder],
) -> tuple[str, str]:
    """How a path differs, and why it may."""
    one, other = entries
    if one is None or other is None:
        return f"is only in the {'second' if one is None else 'first'} build", ""
    if one.type != other.type:
        return f"is a {one.type}, and a {other.type} in the second build", ""
    if one.type == "file" and one.sha256 != other.sha256:
        first, second = (layer.tree / os.fsdecode(path) for layer in layers)
        return _contents(first, second, builders)
    for name in one._fields:
        values = getattr(one, name), getattr(other, name)
        if values[0] != values[1]:
            return _field(name, values, builders)
    return "differs", ""


def _field(
    name: str, values: tuple[object, object], builders: Sequence[Builder]
) -> tuple[str, str]:
    if name == "mode" and isinstance(values[0], int) and isinstance(values[1], int):
        bits = values[0] ^ values[1]
        cause = "the builder's umask" if not bits & ~(builders[0].umask ^ builders[1].umask) else ""
        return f"mode {values[0]:04o}, then {values[1]:04o}", cause
    cause = "the time of the build" if name == "time" else ""
    return f"{name} {values[0]!r}, then {values[1]!r}", cause


def _contents(first: Path, second: Path, builders: Sequence[Builder]) -> tuple[str, str]:
    offset = _first_byte(first, second) or 0
    start = max(0, offset - _AROUND)
    pieces = []
    for path in (first, second):
        with open(path, "rb") as stream:
            stream.seek(start)
            pieces.append(stream.read(offset - start + _AROUND))
    shown = ", then ".join(_shown(piece) for piece in pieces)
    with open(first, "rb") as stream:
        magic = stream.read(2)
    return f"content, from byte {offset} on: {shown}", _cause(
        first, offset, magic, pieces, offset - start, builders
    )


def _cause(
    path: Path,
    offset: int,
    magic: bytes,
    pieces: Sequence[bytes],
    inside: int,
    builders: Sequence[Builder],
) -> str:
    if magic == _GZIP and offset in _GZIP_TIME:
        return "the time in a gzip header (gzip -n leaves it out)"
    if path.suffix == ".pyc" and offset in _PYTHON_TIME:
        return (
            "the source's time in Python bytecode (compileall --invalidation-mode unchecked-hash)"
        )
    known = (
        ("the builder's host name", [builder.host for builder in builders]),
        ("the place of the store", [builder.store for builder in builders]),
        ("the builder's home", [builder.home for builder in builders]),
    )
    for what, words in known:
        if any(word and _is_around(piece, word.encode(), inside)
               for piece, word in zip(pieces, words, strict=True)):  # fmt: skip
            return what
    if all(_DIGITS.match(piece, inside) for piece in pieces):
        return "a time or a number that counts (SOURCE_DATE_EPOCH is set for scripts)"
    return ""


def _is_around(piece: bytes, word: bytes, inside: int) -> bool:
    """Whether the place of the difference is in `word`, as far as the piece shows it."""
    for start in range(max(0, inside - len(word) + 1), inside + 1):
        if piece[start : start + len(word)] == word[: len(piece) - start]:
            return True
    return False


def _first_byte(one: Path, other: Path) -> int | None:
    """Where two files begin to differ; None when they do not."""
    done = 0
    with open(one, "rb") as first, open(other, "rb") as second:
        while True:
            pieces = first.read(_CHUNK), second.read(_CHUNK)
            if pieces[0] != pieces[1]:
                pairs = enumerate(zip(*pieces, strict=False))
                short = min(map(len, pieces))
                return done + next((at for at, (a, b) in pairs if a != b), short)
            if not pieces[0]:
                return None
            done += len(pieces[0])


def _shown(piece: bytes) -> str:
    return repr(piece)[1:]


def _writer(path: bytes, one: Layer, other: Layer, recipe: Recipe) -> str:
    """Whose doing it is, as far as the tree tells."""
    about = one.about()
    if path.startswith(_INITRAMFS):
        return "update-initramfs, of what the tree has"
    owner = owners_of(one.tree).get(path) or owners_of(other.tree).get(path)
    by = f", changed after {owner} was unpacked" if owner else ""
    if about.kind is Kind.SETUP:
        part = next(each for each in line_of(recipe) if each.name == about.role).parts[-1]
        if os.fsdecode(path) in overlay_files(part):
            by += ", of its files/ overlay"
        where = part.script or f"the setup of role {about.role}"
        return f"{where}{by}"
    scripts = _mentions(one, path)
    if scripts:
        return f"one of {', '.join(scripts[:_LISTED])}{by}"
    return f"a maintainer script or trigger of a package of {about.role}{by}"


def _mentions(layer: Layer, path: bytes) -> list[str]:
    """The maintainer scripts that have the path, or its folder when none has it."""
    for wanted in (b"/" + path, b"/" + os.path.dirname(path)):
        found = [
            script.name
            for script in sorted((layer.tree / _INFO).glob("*.p*"))
            if script.suffix in (".postinst", ".preinst", ".prerm", ".postrm")
            and wanted in script.read_bytes()
        ]
        if found or wanted.count(b"/") < 2:
            return found
    return []
