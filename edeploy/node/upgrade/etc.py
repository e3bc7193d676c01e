"""/etc of a new version: its own defaults, and all that was changed on this machine.

Three trees are compared by what they hold, not by times: `base` (the old version's /etc as its
image had it), `mine` (the machine's) and `new` (the new version's as its image has it).
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from edeploy.errors import EdeployError
from edeploy.images.manifest import Entry, quote
from edeploy.node.upgrade.accounts import ACCOUNTS, merged_accounts
from edeploy.node.upgrade.sharing import Sharing, copy_content

SHOWN = 10
# Where it is in a manifest. Programs write there: never one file under two names.
ETC = b"etc/"


class EtcConflict(EdeployError):
    """What was changed on the machine does not fit what the new version has there."""


class Thing(NamedTuple):
    """What a path is; `content` is a file's SHA-256 in hex or a link's target."""

    kind: int
    mode: int
    uid: int
    gid: int
    content: bytes
    xattrs: tuple[tuple[bytes, bytes], ...]


@dataclass
class Merge:
    """What came of it, by path. `overlaps`: changed here and in the image; ours stayed."""

    kept: list[bytes] = field(default_factory=list)
    overlaps: list[bytes] = field(default_factory=list)
    merged: list[bytes] = field(default_factory=list)


def merge(base: Path, mine: Path, new: Path, target: Path) -> Merge:
    """Make `target`, which holds a copy of `new`, what this machine's /etc will be.

    Raises EtcConflict before anything is written when a file stands against a folder.
    """
    ours = _look(mine)
    result, todo = _decide(_look(base), ours, _look(new))
    _carry_out(todo, ours, mine, target)
    for path in result.merged:
        _merge_accounts(path, base, mine, new, target)
    return result


def foresee(base: list[Entry], mine: Path, new: list[Entry]) -> Merge:
    """What `merge` would say, from the manifests of both versions. Raises EtcConflict."""
    return _decide(_things(base), _look(mine), _things(new))[0]


def entries_of_etc(entries: list[Entry]) -> list[Entry]:
    """What a manifest has in /etc, as the manifest of that folder would have it."""
    root = [entry._replace(path=b".") for entry in entries if entry.path == ETC[:-1]]
    return root + [
        entry._replace(
            path=entry.path[len(ETC) :],
            links=entry.links[len(ETC) :] if entry.links.startswith(ETC) else b"",
        )
        for entry in entries
        if entry.path.startswith(ETC)
    ]


def _decide(
    base: dict[bytes, Thing], mine: dict[bytes, Thing], new: dict[bytes, Thing]
) -> tuple[Merge, list[bytes]]:
    """What to tell, and the paths that become as they are in `mine`."""
    result, todo, clashes = Merge(), [], []
    for path in sorted({*base, *mine}):
        was, is_now, comes = base.get(path), mine.get(path), new.get(path)
        if is_now == was or is_now == comes:
            continue
        if _clash(is_now, comes) or (is_now and _below_no_folder(path, mine, new)):
            clashes.append(path)
            continue
        if path in ACCOUNTS and was and is_now and comes:
            result.merged.append(path)
            continue
        todo.append(path)
        (result.kept if comes == was else result.overlaps).append(path)
    if clashes:
        names = ", ".join(f"/etc/{quote(path)}" for path in clashes[:SHOWN])
        raise EtcConflict(
            f"a file here is a folder in the new version, or the other way round: {names}",
            "Move it away, or make it what the new version has, and run the upgrade again.",
        )
    return result, todo


def _clash(is_now: Thing | None, comes: Thing | None) -> bool:
    if is_now is None or comes is None:
        return False
    return (is_now.kind == stat.S_IFDIR) != (comes.kind == stat.S_IFDIR)


def _below_no_folder(path: bytes, mine: dict[bytes, Thing], new: dict[bytes, Thing]) -> bool:
    """Whether the folder of a path of ours is something else in the new version."""
    folder = path.rpartition(b"/")[0]
    there = new.get(folder)
    return bool(folder) and there is not None and there.kind != stat.S_IFDIR and folder in mine


def _carry_out(todo: list[bytes], wanted: dict[bytes, Thing], mine: Path, target: Path) -> None:
    top = os.fsencode(target)
    gone = [path for path in todo if path not in wanted]
    # What is inside goes before what it is in.
    for path in reversed(gone):
        _remove(os.path.join(top, path))
    for path in todo:
        if path in wanted:
            _put(wanted[path], os.path.join(os.fsencode(mine), path), os.path.join(top, path))


def _put(thing: Thing, source: bytes, target: bytes) -> None:
    if thing.kind == stat.S_IFDIR:
        if not os.path.isdir(target):
            os.mkdir(target, 0o700)
    elif thing.kind == stat.S_IFLNK:
        _remove(target)
        os.symlink(thing.content, target)
    elif thing.kind == stat.S_IFREG:
        _remove(target)
        copy_content(source, target, Sharing.COPY)
    else:
        return
    os.chown(target, thing.uid, thing.gid, follow_symlinks=False)
    if thing.kind != stat.S_IFLNK:
        os.chmod(target, thing.mode)
    for name, value in thing.xattrs:
        os.setxattr(target, name, value, follow_symlinks=False)
    about = os.lstat(source)
    os.utime(target, ns=(about.st_mtime_ns, about.st_mtime_ns), follow_symlinks=False)


def _remove(path: bytes) -> None:
    """Away with it; a folder with something in it stays: the new version has that."""
    try:
        os.rmdir(path) if stat.S_ISDIR(os.lstat(path).st_mode) else os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError:
        if not os.path.isdir(path):
            raise


def _merge_accounts(path: bytes, base: Path, mine: Path, new: Path, target: Path) -> None:
    texts = [
        Path(os.fsdecode(os.path.join(os.fsencode(tree), path))).read_bytes()
        for tree in (base, mine, new)
    ]
    place = os.path.join(os.fsencode(target), path)
    about = os.lstat(place)
    temporary = place + b".edeploy-new"
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as writer:
        writer.write(merged_accounts(*texts))
    os.chown(temporary, about.st_uid, about.st_gid)
    os.chmod(temporary, stat.S_IMODE(about.st_mode))
    os.replace(temporary, place)


def _look(root: Path) -> dict[bytes, Thing]:
    """Everything below a folder, but for sockets and devices, which no program configures."""
    found: dict[bytes, Thing] = {}
    top = os.fsencode(root)
    folders = [b""]
    while folders:
        folder = folders.pop()
        with os.scandir(os.path.join(top, folder)) as names:
            for name in names:
                path = folder + name.name
                thing = _thing(name.path, name.stat(follow_symlinks=False))
                if thing is None:
                    continue
                found[path] = thing
                if thing.kind == stat.S_IFDIR:
                    folders.append(path + b"/")
    return found


def _thing(path: bytes, about: os.stat_result) -> Thing | None:
    kind = stat.S_IFMT(about.st_mode)
    if kind == stat.S_IFREG:
        with open(path, "rb") as reader:
            content = hashlib.sha256(reader.read()).hexdigest().encode()
    elif kind == stat.S_IFLNK:
        content = os.readlink(path)
    elif kind == stat.S_IFDIR:
        content = b""
    else:
        return None
    mode = 0 if kind == stat.S_IFLNK else stat.S_IMODE(about.st_mode)
    names = sorted(map(os.fsencode, os.listxattr(path, follow_symlinks=False)))
    xattrs = tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in names)
    return Thing(kind, mode, about.st_uid, about.st_gid, content, xattrs)


def _things(entries: list[Entry]) -> dict[bytes, Thing]:
    """The same of what a manifest has below /etc."""
    kinds = {"file": stat.S_IFREG, "dir": stat.S_IFDIR, "link": stat.S_IFLNK}
    return {
        entry.path[len(ETC) :]: Thing(
            kind=kinds[entry.type],
            mode=0 if entry.type == "link" else entry.mode,
            uid=entry.uid,
            gid=entry.gid,
            content=entry.target or entry.sha256.encode(),
            xattrs=entry.xattrs,
        )
        for entry in entries
        if entry.path.startswith(ETC) and entry.type in kinds
    }
