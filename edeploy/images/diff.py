"""What is different between two images, in the words of who has to answer for it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edeploy.images import changes, manifest
from edeploy.images.manifest import Entry, quote
from edeploy.images.packages import rpm
from edeploy.images.store import Image

NO_PACKAGE = "(no package)"

_CAPABILITY = b"security.capability"
_INFO = "var/lib/dpkg/info"
_UNITS = ("etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system")
_WANTED = re.compile(rb"etc/systemd/system/[^/]+\.(?:wants|requires)/(?P<unit>[^/]+)\Z")
_LISTEN = re.compile(r"^Listen(?:Stream|Datagram|SequentialPacket|FIFO)\s*=\s*(\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Files:
    """How many files of one package are new, gone, changed; `size` bytes more (or less)."""

    added: int
    removed: int
    changed: int
    size: int


@dataclass(frozen=True)
class Diff:
    """From one image to another. Packages: name → version (changed: both). `files` by package,
    `loose` the paths of those that no package has. Accounts as lines of passwd and group.
    `privileged` are new files with setuid, setgid or capabilities, `units` newly enabled units,
    with what their sockets listen on. Sizes in bytes."""

    added: dict[str, str]
    removed: dict[str, str]
    changed: dict[str, tuple[str, str]]
    files: dict[str, Files]
    loose: list[str]
    accounts: list[str]
    privileged: list[str]
    units: list[str]
    size: tuple[int, int]
    archive_size: tuple[int, int]

    @property
    def is_empty(self) -> bool:
        """Whether the trees are equal."""
        return not (self.files or self.added or self.removed or self.changed)


def compare(old: Image, new: Image) -> Diff:
    """From `old` to `new`. Raises BadManifest, EdeployError, OSError."""
    before, after = _entries(old), _entries(new)
    packages = changes.compare(
        *(image.packages.read_text(encoding="utf-8") for image in (old, new))
    )
    paths = _changed_paths(before, after)
    owners = {**owners_of(old.tree), **owners_of(new.tree)}
    files = _by_package(paths, before, after, owners)
    records = old.record(), new.record()
    return Diff(
        added=packages.added,
        removed=packages.removed,
        changed=packages.changed,
        files=files,
        loose=[quote(path) for path in paths if path not in owners],
        accounts=list(_accounts(old.tree, new.tree)),
        privileged=list(_privileged(before, after)),
        units=list(_units(before, after, new.tree)),
        size=(records[0].size, records[1].size),
        archive_size=(records[0].archive_size, records[1].archive_size),
    )


def lines(diff: Diff) -> Iterator[str]:
    """The difference as an operator reads it."""
    for name, version in diff.added.items():
        yield f"package {name} {version} is new"
    for name, version in diff.removed.items():
        yield f"package {name} {version} is gone"
    for name, (one, other) in diff.changed.items():
        yield f"package {name} {one} → {other}"
    for name, files in diff.files.items():
        counts = ((files.added, "new"), (files.removed, "gone"), (files.changed, "changed"))
        said = ", ".join(f"{count} {what}" for count, what in counts if count)
        yield f"files of {name}: {said} ({files.size:+d} bytes)"
    yield from (f"file /{path}" for path in diff.loose)
    yield from (f"account {line}" for line in diff.accounts)
    yield from (f"privileged: {line}" for line in diff.privileged)
    yield from (f"enabled: {line}" for line in diff.units)
    for what, sizes in (("tree", diff.size), ("archive", diff.archive_size)):
        yield f"{what}: {sizes[0] / 1e6:.1f} MB → {sizes[1] / 1e6:.1f} MB"


def _entries(image: Image) -> dict[bytes, Entry]:
    return {entry.path: entry for entry in manifest.parse(image.manifest.read_bytes())}


def _changed_paths(before: Mapping[bytes, Entry], after: Mapping[bytes, Entry]) -> list[bytes]:
    """All but folders that only have another time."""
    return [
        path
        for path in sorted({*before, *after})
        if _without_time(before.get(path)) != _without_time(after.get(path))
    ]


def _without_time(entry: Entry | None) -> Entry | None:
    if entry is None:
        return None
    return entry._replace(sparse=False, time=0 if entry.type == "dir" else entry.time)


def _by_package(
    paths: list[bytes],
    before: Mapping[bytes, Entry],
    after: Mapping[bytes, Entry],
    owners: Mapping[bytes, str],
) -> dict[str, Files]:
    counts: Counter[tuple[str, str]] = Counter()
    for path in paths:
        owner = owners.get(path, NO_PACKAGE)
        old, new = before.get(path), after.get(path)
        what = "added" if old is None else "removed" if new is None else "changed"
        counts[owner, what] += 1
        counts[owner, "size"] += (new.size if new else 0) - (old.size if old else 0)
    names = sorted({owner for owner, _ in counts})
    return {
        name: Files(
            counts[name, "added"],
            counts[name, "removed"],
            counts[name, "changed"],
            counts[name, "size"],
        )
        for name in names
    }


def owners_of(tree: Path) -> dict[bytes, str]:
    """By path, the package that has brought it, or that dpkg keeps the file about."""
    if rpm.is_rpm(tree):
        return rpm.owners_of(tree)
    found: dict[bytes, str] = {}
    for listed in (tree / _INFO).glob("*.list"):
        package = listed.name.removesuffix(".list").partition(":")[0]
        for path in listed.read_bytes().splitlines():
            found[path[1:]] = package
            # Where folders are merged, packages may still say `/bin`.
            found[b"usr" + path] = package
        # The folder may be a link to where /usr has it.
        home = listed.parent.resolve().relative_to(tree.resolve())
        prefix = f"{home}/{listed.name.removesuffix('list')}".encode()
        for kind in (b"list", b"md5sums", b"postinst", b"prerm", b"postrm", b"preinst",
                     b"conffiles", b"triggers", b"shlibs", b"symbols", b"templates"):  # fmt: skip
            found[prefix + kind] = package
    return found


def _accounts(old: Path, new: Path) -> Iterator[str]:
    for name in ("passwd", "group"):
        one, other = _account_lines(old / "etc" / name), _account_lines(new / "etc" / name)
        for account in sorted({*one, *other}):
            if account not in one:
                yield f"{account} is new in {name}: {other[account]}"
            elif account not in other:
                yield f"{account} is gone from {name}: {one[account]}"
            elif one[account] != other[account]:
                yield f"{account} changed in {name}: {one[account]} → {other[account]}"


def _account_lines(path: Path) -> dict[str, str]:
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return {line.partition(":")[0]: line for line in text.splitlines()}


def _privileged(before: Mapping[bytes, Entry], after: Mapping[bytes, Entry]) -> Iterator[str]:
    for path, entry in sorted(after.items()):
        rights = _rights(entry)
        old = before.get(path)
        if rights and (old is None or _rights(old) != rights):
            yield f"/{quote(path)} {rights}"


def _rights(entry: Entry) -> str:
    """What a program gets beside its caller's rights; "" for nothing."""
    if entry.type != "file":
        return ""
    found = [f"setuid {entry.uid}"] if entry.mode & 0o4000 else []
    if entry.mode & 0o2000 and entry.mode & 0o010:
        found.append(f"setgid {entry.gid}")
    found += ["capabilities" for name, _ in entry.xattrs if name == _CAPABILITY]
    return ", ".join(found)


def _units(
    before: Mapping[bytes, Entry], after: Mapping[bytes, Entry], tree: Path
) -> Iterator[str]:
    for path in sorted(after.keys() - before.keys()):
        found = _WANTED.match(path)
        if found:
            unit = found["unit"].decode("utf-8", "replace")
            ports = ", ".join(_listens(tree, unit))
            yield f"{unit} listens on {ports}" if ports else unit


def _listens(tree: Path, unit: str) -> list[str]:
    for folder in _UNITS:
        path = tree / folder / unit
        if path.is_file() and not path.is_symlink():
            return _LISTEN.findall(path.read_text(encoding="utf-8", errors="replace"))
    return []
