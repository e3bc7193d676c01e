"""Builds the tree of a version beside the one it comes from: shared where equal, new where not.

Nothing is ever written into a file that the old tree has: a new file comes under a new inode.
What could not be built is told, not raised: another way of fetching may still bring it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

from edeploy.errors import EdeployError
from edeploy.images.manifest import Entry, quote
from edeploy.node.upgrade.etc import ETC
from edeploy.node.upgrade.metadata import make_special, put_metadata
from edeploy.node.upgrade.sharing import Sharing, copy_content

# Writes the content with this SHA-256 to a path that does not exist; False: it does not have it.
Restore = Callable[[str, bytes], bool]


@dataclass(frozen=True)
class Old:
    """A tree, its /etc as the image has it, and what both should be.

    `sharing`: how a file that is equal in all gets into the new tree. A tree that programs still
    write to (a root that was not made by an upgrade) must not be linked.
    """

    root: Path
    etc_base: Path
    entries: list[Entry]
    sharing: Sharing

    def path(self, relative: bytes) -> bytes:
        """Where the content of a path as the image has it should be."""
        if relative.startswith(ETC):
            return os.path.join(os.fsencode(self.etc_base), relative[len(ETC) :])
        return os.path.join(os.fsencode(self.root), relative)


@dataclass
class Built:
    """What came of it: paths that were shared, copied and restored, and those that are missing."""

    shared: int = 0
    copied: int = 0
    restored: int = 0
    missing: list[bytes] = field(default_factory=list)


def build(
    root: Path,
    entries: list[Entry],
    old: Old,
    restore: Restore,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Built:
    """Fill the empty folder `root` with what `entries` say.

    Unchanged paths come from the old tree unread: the caller checks all contents at the end. Raises
    OSError when the disk does not take it.
    """
    work = _Work(os.fsencode(root), old, restore)
    folders = []
    for number, entry in enumerate(entries):
        path = os.path.join(work.top, entry.path)
        if entry.type == "dir":
            if entry.path != b".":
                os.mkdir(path, 0o700)
            folders.append((path, entry))
        elif entry.type == "file":
            work.file(path, entry)
        elif entry.links not in (b"", entry.path):
            os.link(os.path.join(work.top, entry.links), path, follow_symlinks=False)
        else:
            make_special(path, entry)
            put_metadata(path, entry)
        on_progress(number + 1, len(entries))
    # Last: what is put into a folder changes its time.
    for path, entry in reversed(folders):
        put_metadata(path, entry)
    return work.built


class _Work:
    def __init__(self, top: bytes, old: Old, restore: Restore) -> None:
        self.top = top
        self.built = Built()
        self._source = old.path
        self._sharing = old.sharing
        self._restore = restore
        self._old = {entry.path: entry for entry in old.entries}
        self._contents = {entry.sha256: entry.path for entry in old.entries if entry.type == "file"}
        self._made: dict[str, bytes] = {}

    def file(self, path: bytes, entry: Entry) -> None:
        """One file, from wherever its content is."""
        try:
            if self._again(path, entry) or self._share(path, entry):
                return
            if self._copy(path, entry) or self._new(path, entry):
                put_metadata(path, entry)
                self._made[entry.sha256] = path
                return
        except FileNotFoundError:
            pass
        self._drop(path)
        self.built.missing.append(entry.path)

    def _again(self, path: bytes, entry: Entry) -> bool:
        """A further name of a file that is there already."""
        if entry.links in (b"", entry.path):
            return False
        os.link(os.path.join(self.top, entry.links), path)
        return True

    def _share(self, path: bytes, entry: Entry) -> bool:
        if self._old.get(entry.path) != entry:
            return False
        source = self._source(entry.path)
        if os.path.islink(source) or not os.path.isfile(source):
            return False
        linked = entry.links == b"" and not entry.path.startswith(ETC)
        if self._sharing is Sharing.LINK and linked:
            os.link(source, path, follow_symlinks=False)
        else:
            copy_content(source, path, self._sharing)
            put_metadata(path, entry)
        self.built.shared += 1
        return True

    def _copy(self, path: bytes, entry: Entry) -> bool:
        """Content that is there under another name, or with another owner, mode or time."""
        source = self._made.get(entry.sha256)
        if source is None:
            known = self._contents.get(entry.sha256)
            if known is None:
                return False
            source = self._source(known)
        try:
            copy_content(source, path, self._sharing)
        except OSError as error:
            if not isinstance(error, (FileNotFoundError, IsADirectoryError)):
                raise
            return False
        self.built.copied += 1
        return True

    def _new(self, path: bytes, entry: Entry) -> bool:
        try:
            if not self._restore(entry.sha256, path):
                return False
        except EdeployError:
            # Its old file was edited, or the pack is damaged here: told by being missing.
            return False
        self.built.restored += 1
        return True

    def _drop(self, path: bytes) -> None:
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass


def shown(paths: list[bytes], most: int = 5) -> str:
    """Paths as text for people, the first ones when there are many."""
    more = f" and {len(paths) - most} more" if len(paths) > most else ""
    return ", ".join(quote(path) for path in paths[:most]) + more
