"""Gives the accounts of a tree the ids that the store's table has for them."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from edeploy import atomic
from edeploy.errors import EdeployError
from edeploy.images.build.bench import Bench
from edeploy.images.ids import Account, Ids, Kind
from edeploy.images.recipe import Recipe
from edeploy.names import under

_FILES = {Kind.USER: "passwd", Kind.GROUP: "group"}
_ACLS = ("system.posix_acl_access", "system.posix_acl_default")
# acl(5), as the kernel stores it: a version, then tag, permissions and id of each entry.
_ENTRY = struct.Struct("<HHI")
_TAGS = {0x02: Kind.USER, 0x08: Kind.GROUP}


def settle_ids(recipe: Recipe, bench: Bench, ids: Ids) -> None:
    """Number the tree's accounts as in every other tree, and its files with them.

    Raises IdConflict and EdeployError.
    """
    settled = ids.settle(_accounts(recipe, bench.tree), recipe.name)
    changed = {
        kind: {each.number: number for each, number in settled.items()
               if each.kind is kind and each.number != number}
        for kind in Kind
    }  # fmt: skip
    if any(changed.values()):
        _number_files(bench, changed)
        _number_accounts(bench.tree, settled)


def chosen_accounts(tree: Path) -> list[Account]:
    """The accounts of a finished tree whose numbers the store's table decided."""
    found = (
        Account(kind, name, int(number)) for kind in Kind for name, number in _lines(tree, kind)
    )
    return sorted(
        (each for each in found if not each.is_given),
        key=lambda each: (each.kind, each.number, each.name),
    )


def _accounts(recipe: Recipe, tree: Path) -> list[Account]:
    said: dict[tuple[Kind, str], str] = {}
    for user in recipe.users:
        place = recipe.origins.get(f"users.{user.name}", recipe.name)
        said[Kind.USER, user.name] = said[Kind.GROUP, user.group] = place
    return [
        Account(kind, name, int(number), said.get((kind, name), ""))
        for kind in Kind
        for name, number in _lines(tree, kind)
    ]


def _lines(tree: Path, kind: Kind) -> Iterator[tuple[str, str]]:
    path = under(tree, "etc") / _FILES[kind]
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = line.split(":")
        if len(fields) < 4 or not fields[2].isdigit():
            raise EdeployError(f"/etc/{path.name}: not a line of it: {line!r}")
        yield fields[0], fields[2]


def _number_accounts(tree: Path, settled: Mapping[Account, int]) -> None:
    numbers = {(each.kind, each.name): number for each, number in settled.items()}
    groups = {each.number: number for each, number in settled.items() if each.kind is Kind.GROUP}
    for kind, name in _FILES.items():
        path = under(tree, "etc") / name
        lines = []
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
            fields = line.split(":")
            fields[2] = str(numbers[kind, fields[0]])
            if kind is Kind.USER and fields[3].isdigit():
                fields[3] = str(groups.get(int(fields[3]), int(fields[3])))
            lines.append(":".join(fields) + "\n")
        if lines:
            atomic.write(path, "".join(lines))


def _number_files(bench: Bench, changed: Mapping[Kind, Mapping[int, int]]) -> None:
    """All are looked at before the first is changed: numbers may change places."""
    wanted: dict[bytes, tuple[int, int]] = {}
    acls: dict[tuple[bytes, str], bytes] = {}
    for path, about in _own_paths(bench):
        owner = (
            changed[Kind.USER].get(about.st_uid, about.st_uid),
            changed[Kind.GROUP].get(about.st_gid, about.st_gid),
        )
        if owner != (about.st_uid, about.st_gid):
            wanted[path] = owner
        for name, acl in _acls(path, about):
            numbered = _numbered(acl, changed)
            if numbered != acl:
                acls[path, name] = numbered
    for path, owner in wanted.items():
        _change_owner(path, *owner)
    for (path, name), acl in acls.items():
        os.setxattr(path, name, acl)


def _own_paths(bench: Bench) -> Iterator[tuple[bytes, os.stat_result]]:
    """What the bench has of its own: below it, nothing belongs to accounts that are new."""
    top, looked_at = os.fsencode(bench.tree), os.fsencode(bench.upper or bench.tree)
    for where, folders, names in os.walk(looked_at):
        for name in (*folders, *names):
            path = os.path.join(top, os.path.relpath(where, looked_at), name)
            try:
                yield path, os.lstat(path)
            except FileNotFoundError:
                continue


def _change_owner(path: bytes, uid: int, gid: int) -> None:
    """The kernel takes set-id bits and capabilities from a file that changes hands."""
    about = os.lstat(path)
    capability = _xattr(path, "security.capability") if stat.S_ISREG(about.st_mode) else b""
    os.lchown(path, uid, gid)
    if not stat.S_ISLNK(about.st_mode):
        os.chmod(path, stat.S_IMODE(about.st_mode))
    if capability:
        os.setxattr(path, "security.capability", capability)


def _acls(path: bytes, about: os.stat_result) -> Iterator[tuple[str, bytes]]:
    if stat.S_ISREG(about.st_mode) or stat.S_ISDIR(about.st_mode):
        for name in _ACLS:
            value = _xattr(path, name)
            if value:
                yield name, value


def _numbered(acl: bytes, changed: Mapping[Kind, Mapping[int, int]]) -> bytes:
    entries = []
    for tag, rights, number in _ENTRY.iter_unpack(acl[4:]):
        kind = _TAGS.get(tag)
        entries.append((tag, rights, changed[kind].get(number, number) if kind else number))
    # The kernel wants them in the order of their numbers.
    entries.sort(key=lambda entry: (entry[0], entry[2]))
    return acl[:4] + b"".join(_ENTRY.pack(*entry) for entry in entries)


def _xattr(path: bytes, name: str) -> bytes:
    try:
        return os.getxattr(path, name, follow_symlinks=False)
    except OSError:
        return b""
