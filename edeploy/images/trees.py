"""Trees and manifests: what a tree is, path by path, and whether it is what a manifest says."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import NamedTuple, Optional

from edeploy.errors import EdeployError
from edeploy.images.manifest import Entry, quote
from edeploy.images.parallel import Side, cores

BLOCK = 1 << 20

Progress = Callable[[int, int], None]
Known = Callable[[bytes], "Entry | None"]
Digest = Callable[[os.stat_result], "str | None"]
# Device and number of an inode with several names. Made at run time: Python 3.9 knows no `|`.
_Inode = Optional[tuple[int, int]]


class Difference(NamedTuple):
    """One way in which a tree is not its manifest; `path` is printable, as in the manifest."""

    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


class NotTheImage(EdeployError):
    """A tree is not what the manifest of its image says."""

    @classmethod
    def told(cls, image: str, found: Sequence[Difference], hint: str) -> NotTheImage:
        """The error that names the first differences of a tree from `image`."""
        lines = [f"\n  | {difference}" for difference in found[:_SHOWN]]
        if len(found) > _SHOWN:
            lines.append(f"\n  | and {len(found) - _SHOWN} more")
        return cls(f"{len(found)} differences from {image}:{''.join(lines)}", hint)


# How many differences an error names.
_SHOWN = 20
_TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "link",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}
# XFS shows root its own store of ACLs beside the system.posix_acl_* names for the same thing.
_NOT_COUNTED = frozenset({"trusted.SGI_ACL_FILE", "trusted.SGI_ACL_DEFAULT"})
_MADE_BY_MKFS = b"lost+found"
_NO_XATTRS = (errno.ENOTSUP, errno.ENODATA)


def scan(
    root: str | os.PathLike[str],
    *,
    workers: int | None = None,
    known: Known = lambda _: None,
    on_progress: Progress | None = None,
) -> list[Entry]:
    """The entries of the tree at `root`; `workers` processes (default: all cores) read files.

    What `known` tells of a path is taken over, but for its hard links, and not read again.
    `on_progress(done, total)` counts bytes of files. Raises EdeployError for a socket, which
    no archive can carry, and OSError for what cannot be read.
    """
    top = os.fsencode(root)
    found = sorted(_walk(top), key=_order)
    groups = _groups((path, _inode(about)) for path, about in found)
    for path, about in found:
        if stat.S_ISSOCK(about.st_mode):
            raise EdeployError(
                f"{quote(path)}: a socket cannot be in an image",
                "Remove it at the end of the role's script.",
            )
    there = {path: entry for path, _ in found for entry in (known(path),) if entry is not None}
    unread = [number for number, (path, _) in enumerate(found) if path not in there]
    files = [found[number][1] for number in unread if stat.S_ISREG(found[number][1].st_mode)]
    total = sum(about.st_size for about in files)
    done = 0
    digests = [""] * len(found)
    holes = [False] * len(found)

    def read(which: int) -> list[str]:
        path, about = found[unread[which]]
        if not stat.S_ISREG(about.st_mode):
            return ["", ""]
        try:
            sha256, sparse = _read(os.path.join(top, path), about)
        except OSError as error:
            return ["", "", error.strerror or "cannot be read"]
        return [sha256, "sparse" if sparse else ""]

    with Side(read, len(unread), workers=workers or cores()) as side:
        for which, (sha256, sparse, *problem) in side.results():
            number = unread[which]
            if problem:
                raise OSError(f"{quote(found[number][0])}: {problem[0]}")
            digests[number], holes[number] = sha256, bool(sparse)
            if on_progress and stat.S_ISREG(found[number][1].st_mode):
                done += found[number][1].st_size
                on_progress(done, total)
    return [
        there[path]._replace(path=path, links=groups.get(path, b""))
        if path in there
        else _entry_of(top, path, about, digests[number], groups.get(path, b""), holes[number])
        for number, (path, about) in enumerate(found)
    ]


def check(
    root: str | os.PathLike[str],
    entries: list[Entry],
    *,
    without: Collection[bytes] = (),
    workers: int | None = None,
    sha256_of: Digest = lambda _: None,
    on_progress: Progress | None = None,
) -> list[Difference]:
    """How the tree at `root` differs from `entries`, sorted by path; [] when it is exact.

    Compared are type, content, size, mode, owner, time, link target, device, xattrs and hard
    links of every path; a path that the manifest does not have is a difference too, but for
    `lost+found` at the root. A file whose digest `sha256_of` tells by its status is not read.
    `on_progress(done, total)` counts bytes of files read. A file that cannot be read is a
    difference. Nothing below the top-level names of `without` is looked at, nor are those
    themselves.
    """
    top = os.fsencode(root)
    entries = [entry for entry in entries if entry.path.partition(b"/")[0] not in without]
    total = sum(entry.size for entry in entries)
    done = 0

    def compare(number: int) -> list[str]:
        return list(_content_differences(top, entries[number], sha256_of))

    with Side(compare, len(entries), workers=workers or cores()) as side:
        # While the others read: what one look at every name can tell.
        differences = list(_name_differences(_walk(top, without), entries))
        for number, content in side.results():
            path = quote(entries[number].path)
            differences.extend(Difference(path, what) for what in content)
            if on_progress and entries[number].type == "file":
                done += entries[number].size
                on_progress(done, total)
    return sorted(differences)


def read_sha256(full: bytes) -> str:
    """The SHA-256 (hex) of a regular file, never through a link. Raises OSError."""
    return _read(full, os.lstat(full))[0]


def _order(item: tuple[bytes, os.stat_result]) -> tuple[bool, bytes]:
    return item[0] != b".", item[0]


def _walk(top: bytes, without: Collection[bytes] = ()) -> Iterator[tuple[bytes, os.stat_result]]:
    """Every path under `top` with its own status, never through a link."""
    yield b".", os.lstat(top)
    folders = [b""]
    while folders:
        folder = folders.pop()
        with os.scandir(os.path.join(top, folder)) as names:
            for name in names:
                path = folder + name.name
                if path in without:
                    continue
                about = name.stat(follow_symlinks=False)
                if stat.S_ISDIR(about.st_mode):
                    folders.append(path + b"/")
                yield path, about


def _inode(about: os.stat_result) -> _Inode:
    if about.st_nlink > 1 and not stat.S_ISDIR(about.st_mode):
        return about.st_dev, about.st_ino
    return None


def _groups(found: Iterable[tuple[bytes, _Inode]]) -> dict[bytes, bytes]:
    """For each path that shares its inode with another: the first path of that inode."""
    inodes: dict[tuple[int, int], list[bytes]] = {}
    for path, inode in found:
        if inode:
            inodes.setdefault(inode, []).append(path)
    return {path: paths[0] for paths in inodes.values() if len(paths) > 1 for path in paths}


def _entry_of(
    top: bytes, path: bytes, about: os.stat_result, sha256: str, links: bytes, sparse: bool
) -> Entry:
    full = os.path.join(top, path)
    kind = _TYPES[stat.S_IFMT(about.st_mode)]
    return Entry(
        path=path,
        type=kind,
        mode=stat.S_IMODE(about.st_mode),
        uid=about.st_uid,
        gid=about.st_gid,
        size=about.st_size if kind == "file" else 0,
        time=about.st_mtime_ns,
        sha256=sha256,
        target=os.readlink(full) if kind == "link" else b"",
        device=_device(about, kind),
        links=links,
        sparse=sparse,
        xattrs=_xattrs(full),
    )


def _device(about: os.stat_result, kind: str) -> tuple[int, int]:
    if kind not in ("char", "block"):
        return (0, 0)
    return os.major(about.st_rdev), os.minor(about.st_rdev)


def _xattrs(full: bytes) -> tuple[tuple[bytes, bytes], ...]:
    try:
        names = os.listxattr(full, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NO_XATTRS:
            return ()
        raise
    return tuple(
        sorted(
            (os.fsencode(name), os.getxattr(full, os.fsencode(name), follow_symlinks=False))
            for name in names
            if name not in _NOT_COUNTED
        )
    )


def _read(full: bytes, about: os.stat_result) -> tuple[str, bool]:
    """The SHA-256 of a regular file, and whether it has holes."""
    handle = _open(full)
    try:
        digest = hashlib.sha256()
        while True:
            block = os.read(handle, BLOCK)
            if not block:
                break
            digest.update(block)
        # Fewer blocks than bytes can also be compression or data inside the inode.
        sparse = (
            about.st_blocks * 512 < about.st_size
            and os.lseek(handle, 0, os.SEEK_HOLE) < about.st_size
        )
        return digest.hexdigest(), sparse
    finally:
        os.close(handle)


def _open(full: bytes) -> int:
    # Never through a link, never waiting for a FIFO's other end.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        # Reading a whole tree should not dirty every inode of it.
        return os.open(full, flags | os.O_NOATIME)
    except PermissionError:
        return os.open(full, flags)


def _content_differences(top: bytes, entry: Entry, sha256_of: Digest) -> Iterator[str]:
    """What only reading tells: bytes, link targets, xattrs. Missing paths are not its matter."""
    full = os.path.join(top, entry.path)
    try:
        about = os.lstat(full)
        if _TYPES[stat.S_IFMT(about.st_mode)] != entry.type:
            return
        if entry.type == "link" and os.readlink(full) != entry.target:
            yield f"points to {quote(os.readlink(full))}, should be {quote(entry.target)}"
        if entry.type == "file" and about.st_size == entry.size:
            if not _is_first_again(top, entry, about):
                sha256 = sha256_of(about) or _read(full, about)[0]
                if sha256 != entry.sha256:
                    yield f"content differs: sha256 {sha256}, should be {entry.sha256}"
        yield from _xattr_differences(dict(_xattrs(full)), dict(entry.xattrs))
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        yield f"cannot be read: {error.strerror}"


def _is_first_again(top: bytes, entry: Entry, about: os.stat_result) -> bool:
    """Whether this name is a hard link of one that is read anyway."""
    if entry.links in (b"", entry.path):
        return False
    try:
        first = os.lstat(os.path.join(top, entry.links))
    except OSError:
        return False
    return (first.st_dev, first.st_ino) == (about.st_dev, about.st_ino)


def _xattr_differences(found: dict[bytes, bytes], wanted: dict[bytes, bytes]) -> Iterator[str]:
    for name in sorted({*found, *wanted}):
        if name not in found:
            yield f"xattr {quote(name)} is missing"
        elif name not in wanted:
            yield f"xattr {quote(name)} should not be there"
        elif found[name] != wanted[name]:
            yield f"xattr {quote(name)} is {found[name].hex()}, should be {wanted[name].hex()}"


def _name_differences(
    found: Iterable[tuple[bytes, os.stat_result]], entries: list[Entry]
) -> Iterator[Difference]:
    wanted = {entry.path: entry for entry in entries}
    # Of what was looked at, only this is kept: a machine has little memory to spare.
    inodes: dict[bytes, _Inode] = {}
    for path, about in found:
        if path in wanted:
            inodes[path] = _inode(about)
            for what in _status_differences(about, wanted[path]):
                yield Difference(quote(path), what)
        elif path.partition(b"/")[0] != _MADE_BY_MKFS:
            yield Difference(quote(path), "is not in the image")
    for path in wanted.keys() - inodes.keys():
        yield Difference(quote(path), "is missing")
    yield from _link_differences(inodes, wanted)


def _status_differences(about: os.stat_result, entry: Entry) -> Iterator[str]:
    kind = _TYPES[stat.S_IFMT(about.st_mode)]
    if kind != entry.type:
        yield f"is a {kind}, should be a {entry.type}"
        return
    if kind == "file" and about.st_size != entry.size:
        yield f"size {about.st_size}, should be {entry.size}"
    if stat.S_IMODE(about.st_mode) != entry.mode:
        yield f"mode {stat.S_IMODE(about.st_mode):04o}, should be {entry.mode:04o}"
    if (about.st_uid, about.st_gid) != (entry.uid, entry.gid):
        yield f"owner {about.st_uid}:{about.st_gid}, should be {entry.uid}:{entry.gid}"
    if about.st_mtime_ns != entry.time:
        yield f"time {_seconds(about.st_mtime_ns)}, should be {_seconds(entry.time)}"
    if _device(about, kind) != entry.device:
        yield f"device {_device(about, kind)}, should be {entry.device}"


def _seconds(time: int) -> str:
    return "{}.{:09d}".format(*divmod(time, 10**9))


def _link_differences(
    found: dict[bytes, _Inode], wanted: dict[bytes, Entry]
) -> Iterator[Difference]:
    known = [(path, found[path]) for path in wanted if path in found]
    groups = _groups(known)
    for path, _ in known:
        is_now, should_be = groups.get(path, b""), wanted[path].links
        if is_now == should_be:
            continue
        if should_be and path != should_be:
            yield Difference(quote(path), f"should be a hard link of {quote(should_be)}")
        elif is_now and path != is_now:
            yield Difference(quote(path), f"should not be a hard link of {quote(is_now)}")
