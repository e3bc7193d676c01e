"""The bench: a tree to be worked on, laid over its parent's, which stays as it is."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.images.build.shared_tree import How, Source
from edeploy.images.manifest import Entry
from edeploy.run import ProgramFailed, run

# `index`: names of one file stay names of one file when one of them is written to.
# `redirect_dir`: folders can be renamed, as on any file system.
_OPTIONS = "index=on,redirect_dir=on,metacopy=off"
_OPAQUE = "trusted.overlay.opaque"
_REDIRECT = "trusted.overlay.redirect"


@dataclass(frozen=True)
class Bench:
    """`tree` is to be worked on; `parent` is what it is laid over (None: nothing), `upper` what
    an overlay has of its own (None: the tree is no overlay). `shared` is for its programs to
    read, `log` has their output, `epoch` is what they take for the time of the build."""

    tree: Path
    parent: Path | None
    upper: Path | None
    shared: Path
    log: Path
    epoch: int


@contextmanager
def opened(
    folder: Path, parent: Path | None, epoch: int, tell: Callable[[str], None]
) -> Iterator[Bench]:
    """A bench in `folder`, for as long as the context lasts.

    It needs a mount namespace of its own: the overlay is mounted there, and gone with it. Where
    there is no overlayfs the parent's tree is copied, by reflink if the file system can.
    """
    for name in ("tree", "upper", "work", "shared"):
        (folder / name).mkdir(parents=True)
    (folder / "log").touch()
    mounted = parent is not None and _mount(folder, parent, tell)
    upper = folder / "upper" if mounted else None
    try:
        yield Bench(folder / "tree", parent, upper, folder / "shared", folder / "log", epoch)
    finally:
        if mounted:
            run(["umount", folder / "tree"])


def _mount(folder: Path, parent: Path, tell: Callable[[str], None]) -> bool:
    # By short names: the store's path may have a comma or a colon.
    (folder / "lower").symlink_to(parent)
    options = f"lowerdir=lower,upperdir=upper,workdir=work,{_OPTIONS}"
    try:
        run(["mount", "-t", "overlay", "-o", options, "overlay", "tree"], cwd=folder)
        return True
    except ProgramFailed as error:
        reason = error.message.splitlines()[1:2] or [error.message]
    tell(f"no overlayfs here ({reason[0].strip(' |')}): copying {parent}")
    run(["cp", "--archive", "--reflink=auto", "--", f"{parent}/.", folder / "tree"], timeout=None)
    return False


def bring_up_hard_links(bench: Bench, linked: Collection[bytes]) -> None:
    """Give each name of a file that was written to its place among what the overlay has.

    `linked` are the paths with hard links in the parent's tree. When one of them is written to,
    overlayfs keeps the content in its index, where the others have it, and shows it there only.
    """
    if bench.upper is None or not linked:
        return
    origins = Origins(bench)
    top, lower = os.fsencode(bench.tree), os.fsencode(bench.parent or "")
    for where, _, names in os.walk(top):
        for name in names:
            full = os.path.join(where, name)
            place = origins.below(os.path.relpath(full, top))
            if place is not None and place in linked:
                now = os.lstat(full)
                # What is only below has that file's own time of change.
                if now.st_ctime_ns != os.lstat(os.path.join(lower, place)).st_ctime_ns:
                    times = (now.st_atime_ns, now.st_mtime_ns)
                    os.utime(full, ns=times, follow_symlinks=False)


class Origins:
    """For each path of a bench's tree where its content really is."""

    def __init__(self, bench: Bench) -> None:
        self._tree = os.fsencode(bench.tree)
        self._upper = os.fsencode(bench.upper) if bench.upper else None
        self._lower = os.fsencode(bench.parent) if bench.parent else b""
        self._folder = cache(self._look_at_folder)

    def below(self, path: bytes) -> bytes | None:
        """The path in the parent's tree, when the overlay has nothing of its own there."""
        if self._upper is None:
            return None
        folder, _, name = path.rpartition(b"/")
        in_upper, lower = self._folder(folder)
        if in_upper and _exists(os.path.join(self._upper, path)):
            return None
        return os.path.join(lower, name) if lower is not None else None

    def source(self, entry: Entry, names: Sequence[bytes]) -> Source:
        """The content of a file with these names; it is the bench's own if one of them is."""
        if self._upper is None:
            return Source(os.path.join(self._tree, entry.path), How.MOVE)
        found = [(name, self.below(name)) for name in names]
        for name, lower in found:
            if lower is None:
                return Source(os.path.join(self._upper, name), How.MOVE)
        return Source(os.path.join(self._lower, found[0][1] or b""), How.LINK)

    def _look_at_folder(self, path: bytes) -> tuple[bool, bytes | None]:
        """Whether the overlay has the folder itself, and where it is in the parent's tree."""
        if self._upper is None:
            raise EdeployError("there is no overlay")
        if not path:
            return True, b""
        above, _, name = path.rpartition(b"/")
        in_upper, lower = self._folder(above)
        there = os.path.join(lower, name) if lower is not None else None
        own = os.path.join(self._upper, path)
        if not in_upper or not _exists(own):
            return False, there
        if _xattr(own, _OPAQUE) == b"y":
            return True, None
        moved = _xattr(own, _REDIRECT)
        if moved.startswith(b"/"):
            return True, moved[1:]
        if moved:
            return True, os.path.join(lower or b"", moved)
        return True, there


def _exists(path: bytes) -> bool:
    """Whether something is there that is no whiteout."""
    try:
        about = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return not (stat.S_ISCHR(about.st_mode) and about.st_rdev == 0)


def _xattr(path: bytes, name: str) -> bytes:
    try:
        return os.getxattr(path, name, follow_symlinks=False)
    except OSError:
        return b""
