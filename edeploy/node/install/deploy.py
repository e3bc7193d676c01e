"""A new machine's first version: the tree that was fetched becomes one of several that its disk
may hold, and the new root is seen from now on as that version will see it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edeploy import atomic
from edeploy.images.manifest import Entry
from edeploy.node.install.image import Contents
from edeploy.node.mounts import below, mount
from edeploy.node.upgrade.metadata import make_special, put_metadata
from edeploy.node.upgrade.owned import PATHS, state_paths
from edeploy.node.upgrade.places import DATABASES, Places

BOOT = "boot"


def why_alone(root: Path, entries: Sequence[Entry]) -> str:
    """Why the new system must be the only one of its disk; "" when it need not be."""
    if not (root / PATHS).is_file():
        return f"the image has no /{PATHS}"
    image = {entry.path.partition(b"/")[0] for entry in entries}
    shared = {os.fsencode(path) for path in (*state_paths(root), BOOT)}
    for point in _mounted(root):
        if os.fsencode(point) in image - shared:
            return f"/{point} has file systems of its own"
    return ""


def deploy(root: Path, image: Contents, role: str, version: str) -> str:
    """Make the tree in the new root its first version, and show that at the same place.

    The disk's own root is at /sysroot in it. Returns the version's name on the disk. Raises
    OSError, ProgramFailed.
    """
    state = state_paths(root)
    name = Places(root).new_name(role, version)
    disk = _Disk(Places(root), name, image.entries)
    disk.make_version()
    for path in state:
        disk.give_state(path)
    disk.keep_pristine_etc()
    disk.keep_manifest(image.manifest, image.signature)
    disk.show((*state, BOOT))
    return name


@dataclass(frozen=True)
class _Disk:
    """The new machine's disk at `places.root`, for the version `name` of which it has `entries`."""

    places: Places
    name: str
    entries: Sequence[Entry]

    @property
    def _root(self) -> Path:
        return self.places.root

    @property
    def _tree(self) -> Path:
        return self.places.tree(self.name)

    def make_version(self) -> None:
        """All of the image to its folder; what has file systems of its own is copied."""
        # Old versions have old holes.
        self.places.top.mkdir(mode=0o700)
        self._tree.mkdir(parents=True)
        mounted = _mounted(self._root)
        for entry in self.entries:
            if b"/" in entry.path or entry.path == b".":
                continue
            path = os.fsdecode(entry.path)
            if path in mounted:
                copy_below(self.entries, path, self._root / path, self._tree / path)
            else:
                (self._root / path).rename(self._tree / path)
        (self._root / BOOT).mkdir(exist_ok=True)
        for entry in self.entries:
            if entry.path == b".":
                put_metadata(os.fsencode(self._tree), entry)

    def give_state(self, path: str) -> None:
        """What an image has for the machine's own part, where that is."""
        if (self._tree / path).is_dir() and not (self._root / path).exists():
            here, there = self._tree / path, self._root / path
            copy_below(self.entries, path, here, there, but=DATABASES)

    def keep_pristine_etc(self) -> None:
        """/etc before it becomes this machine's."""
        etc = self.places.etc_base(self.name)
        etc.parent.mkdir()
        copy_below(self.entries, "etc", self._tree / "etc", etc)

    def keep_manifest(self, text: bytes, signature: bytes) -> None:
        """What the version must be, and who said so."""
        path = self.places.manifest(self.name)
        path.parent.mkdir()
        atomic.write(path, text)
        if signature:
            atomic.write(path.with_name(f"{path.name}.sig"), signature)

    def show(self, shared: Sequence[str]) -> None:
        """As the initramfs does at every start: roles/base/files/usr/lib/edeploy/pivot."""
        private = "--make-rprivate"
        for path in shared:
            if (self._tree / path).is_dir():
                mount(str(self._root / path), self._tree / path, "--rbind", private)
        mount(str(self._root), self._tree / "sysroot", "--bind", private)
        mount(str(self._tree), self._root, "--rbind", private)


def copy_below(
    entries: Sequence[Entry],
    folder: str,
    source: Path,
    target: Path,
    *,
    but: tuple[bytes, ...] = (),
) -> None:
    """Make the folder `target` what `entries` have below `folder`, with contents of `source`.

    Paths that begin as one of `but` are left out. Raises OSError.
    """
    top, made = os.fsencode(folder), []
    for entry in entries:
        if entry.path != top and not entry.path.startswith(top + b"/"):
            continue
        if entry.path.startswith(but):
            continue
        relative = os.fsdecode(entry.path[len(top) + 1 :])
        place = target / relative
        path = os.fsencode(place)
        if entry.type == "dir":
            place.mkdir(exist_ok=True)
            made.append((path, entry))
        elif entry.type == "file":
            shutil.copyfile(source / relative, place)
            put_metadata(path, entry)
        else:
            make_special(path, entry)
            put_metadata(path, entry)
    # What is put into a folder changes its time.
    for path, entry in reversed(made):
        put_metadata(path, entry)


def _mounted(root: Path) -> set[str]:
    """The top-level paths at or below which something is mounted."""
    top = root.resolve()
    points = [entry.point.relative_to(top) for entry in below(root) if entry.point != top]
    return {point.parts[0] for point in points}
