"""The manifest of an image as text: what every path of its tree is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from edeploy.errors import EdeployError

HEADER = "#edeploy-manifest 1"
IMAGE = "#image "


class BadManifest(EdeployError):
    """A manifest that is not in the format; the message names the line."""


class Entry(NamedTuple):
    """One path of a tree.

    `path` is relative to the root, `.` for the root itself. `type` is file, dir, link, char,
    block or fifo. `mode` has the permission bits only, `time` is in nanoseconds. `size` (bytes)
    and `sha256` are of files, `target` of links, `device` (major, minor) of char and block.
    `links` is the first path of the hard links to one file, itself among them; b"" for a single
    name. `xattrs` are sorted names and values, ACLs and capabilities among them.
    """

    path: bytes
    type: str
    mode: int
    uid: int
    gid: int
    size: int
    time: int
    sha256: str = ""
    target: bytes = b""
    device: tuple[int, int] = (0, 0)
    links: bytes = b""
    sparse: bool = False
    xattrs: tuple[tuple[bytes, bytes], ...] = ()


_WORD = r"[!-$&-<>-~]|%[0-9A-F]{2}"
_LINE = re.compile(
    rf"(?P<path>(?:{_WORD})+)"
    r" type=(?P<type>file|dir|link|char|block|fifo)"
    r" mode=(?P<mode>[0-7]{4}) uid=(?P<uid>\d+) gid=(?P<gid>\d+)"
    r"(?: size=(?P<size>\d+))? time=(?P<seconds>-?\d+)\.(?P<nano>\d{9})"
    rf"(?: sha256=(?P<sha256>[0-9a-f]{{64}})| target=(?P<target>(?:{_WORD})+)"
    r"| device=(?P<major>\d+),(?P<minor>\d+))?"
    rf"(?: links=(?P<links>(?:{_WORD})+))?(?P<sparse> sparse=1)?"
    rf"(?P<xattrs>(?: xattr\.(?:{_WORD})+=(?:[0-9a-f]{{2}})*)*)\Z"
)
_PLAIN = re.compile(rb"[!-$&-<>-~]*\Z")
_ESCAPED = re.compile(r"%([0-9A-F]{2})")
_NOTHING: Mapping[str, Entry] = MappingProxyType({})
# What each type has beside the fields that all have.
_NEEDS = {"file": "sha256", "link": "target", "char": "major", "block": "major"}


def quote(raw: bytes) -> str:
    """Bytes as manifest text: printable ASCII but space, % and = as it is, the rest as %XX."""
    if _PLAIN.match(raw):
        return raw.decode("ascii")
    return "".join(
        chr(byte) if 0x21 <= byte <= 0x7E and byte not in b"%=" else f"%{byte:02X}" for byte in raw
    )


def unquote(text: str) -> bytes:
    """The bytes that `quote` made `text` of."""
    if "%" not in text:
        return text.encode("ascii")
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text).encode("latin-1")


def dump(entries: list[Entry], image: str = "") -> bytes:
    """The manifest's text; equal entries give equal bytes.

    `image` says whose manifest it is (`web 1.0.0`): a signature over it holds for no other image.
    """
    about = [f"{IMAGE}{image}"] if image else []
    return "\n".join([HEADER, *about, *map(line, entries), ""]).encode("ascii")


def image_of(data: bytes) -> str:
    """The image that the manifest names (`web 1.0.0`); "" when it names none."""
    second = data.split(b"\n", 2)[1:2]
    text = second[0].decode("ascii", "replace") if second else ""
    return text[len(IMAGE) :] if text.startswith(IMAGE) else ""


def line(entry: Entry) -> str:
    """The entry's line, without its end."""
    words = [
        f"{quote(entry.path)} type={entry.type} mode={entry.mode:04o} uid={entry.uid}"
        f" gid={entry.gid}"
    ]
    if entry.type == "file":
        words.append(f"size={entry.size}")
    seconds, nano = divmod(entry.time, 10**9)
    words.append(f"time={seconds}.{nano:09d}")
    if entry.type == "file":
        words.append(f"sha256={entry.sha256}")
    elif entry.type == "link":
        words.append(f"target={quote(entry.target)}")
    elif entry.type in ("char", "block"):
        words.append(f"device={entry.device[0]},{entry.device[1]}")
    if entry.links:
        words.append(f"links={quote(entry.links)}")
    if entry.sparse:
        words.append("sparse=1")
    words.extend(f"xattr.{quote(name)}={value.hex()}" for name, value in entry.xattrs)
    return " ".join(words)


def parse(data: bytes, known: Mapping[str, Entry] = _NOTHING) -> list[Entry]:
    """The entries of a manifest, sorted by path with `.` first; those of lines that `known` has
    are taken from there.

    Raises BadManifest, naming the line: wrong header or field, an absolute path or one with
    `..`, a path out of order or given twice, one whose folder is not in the manifest.
    """
    try:
        lines = data.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise _bad(number, "a byte outside ASCII") from error
    if lines[0] != HEADER:
        raise _bad(1, f"not {HEADER!r}")
    if len(lines) < 2 or lines[-1] != "":
        raise _bad(len(lines), "the file is cut off")
    entries: list[Entry] = []
    folders: set[bytes] = set()
    firsts: set[bytes] = set()
    last = b""
    first = 2 if lines[1].startswith(IMAGE) else 1
    for number, text in enumerate(lines[first:-1], first + 1):
        entry = known.get(text) or _entry(text, number)
        if last and entry.path <= last:
            raise _bad(number, f"{quote(entry.path)} is out of order or given twice")
        _check_place(entry, number, folders)
        if entry.links == entry.path:
            firsts.add(entry.path)
        elif entry.links and entry.links not in firsts:
            raise _bad(number, f"links={quote(entry.links)} is no earlier path with that group")
        if entry.type == "dir":
            folders.add(entry.path)
        # `.` is first whatever its byte is: `!x` sorts before it.
        last = entry.path if entry.path != b"." else b""
        entries.append(entry)
    if not entries:
        raise _bad(2, "no entries")
    return entries


def by_line(data: bytes, entries: list[Entry]) -> dict[str, Entry]:
    """The entries of a manifest by their lines: another one shares most of them."""
    lines = data.decode("ascii").split("\n")
    return dict(zip(lines[-1 - len(entries) : -1], entries))


def _entry(text: str, number: int) -> Entry:
    found = _LINE.match(text)
    if not found:
        raise _bad(number, f"not a manifest line: {text[:200]!r}")
    (path, kind, mode, uid, gid, size, seconds, nano, sha256, target, major, minor) = (
        found.groups()[:12]
    )
    links, sparse, xattrs = found.groups()[12:]
    needed = _NEEDS.get(kind)
    given = "sha256" if sha256 else "target" if target else "major" if major else None
    if needed != given or (kind == "file") != (size is not None) or int(mode, 8) > 0o7777:
        raise _bad(number, f"fields that do not fit type={kind}")
    return Entry(
        path=_exact(path, number),
        type=kind,
        mode=int(mode, 8),
        uid=int(uid),
        gid=int(gid),
        size=int(size or 0),
        time=int(seconds) * 10**9 + int(nano),
        sha256=sha256 or "",
        target=_exact(target, number) if target else b"",
        device=(int(major), int(minor)) if major else (0, 0),
        links=_exact(links, number) if links else b"",
        sparse=bool(sparse),
        xattrs=_xattrs_of(xattrs, number) if xattrs else (),
    )


def _xattrs_of(text: str, number: int) -> tuple[tuple[bytes, bytes], ...]:
    pairs = (word[len("xattr.") :].split("=") for word in text.split())
    found = tuple((_exact(name, number), bytes.fromhex(value)) for name, value in pairs)
    if list(found) != sorted(dict(found).items()):
        raise _bad(number, "xattrs are out of order or given twice")
    return found


def _exact(text: str, number: int) -> bytes:
    raw = unquote(text)
    if "%" in text and quote(raw) != text:
        raise _bad(number, f"{text!r} escapes what needs no escape")
    return raw


def _check_place(entry: Entry, number: int, folders: set[bytes]) -> None:
    path = entry.path
    if not folders:
        if path != b"." or entry.type != "dir":
            raise _bad(number, "the first path must be `.`, the root folder")
        return
    folder, _, name = path.rpartition(b"/")
    if name in (b"", b".", b"..") or path.startswith(b"/") or b"\0" in path:
        raise _bad(number, f"{quote(path)} is no path inside a tree")
    if (folder or b".") not in folders:
        raise _bad(number, f"{quote(path)}: its folder is not in the manifest")


def _bad(number: int, what: str) -> BadManifest:
    return BadManifest(
        f"manifest line {number}: {what}", "Fetch it again, or build the image again."
    )
