"""Carries actions out so that they can be done again after any kill, and taken back.

Each action is one rename or one call, and says by what is there whether it was done. Before a path
is replaced or removed, what it was gets a second name in `undo/`, under the action's number.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from edeploy import atomic
from edeploy.errors import EdeployError
from edeploy.node.upgrade.live.plan import Action, Do

# Where a path of the version really is: behind read-only and shared mounts.
Physical = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Was:
    """A folder's owner, mode and time (nanoseconds) before."""

    uid: int
    gid: int
    mode: int
    time: int


@dataclass(frozen=True)
class Journal:
    """The actions, and what folders were before; in `folder`, with `tree/` and `undo/`."""

    folder: Path
    actions: tuple[Action, ...]
    folders: dict[bytes, Was]

    @property
    def undo_folder(self) -> bytes:
        """What was replaced and removed."""
        return os.fsencode(self.folder / "undo")

    @property
    def staged(self) -> bytes:
        """What is to come."""
        return os.fsencode(self.folder / "tree")


def begin(folder: Path, actions: Sequence[Action], physical: Physical) -> Journal:
    """Write the journal down; nothing is changed yet. Raises OSError."""
    folders = {}
    for action in actions:
        if action.do in (Do.ATTRIBUTES, Do.REMOVE):
            was = _folder_before(action.path, physical)
            if was is not None:
                folders[action.path] = was
    # Of another upgrade, killed when this folder had just ceased to be its own.
    shutil.rmtree(folder / "undo", ignore_errors=True)
    (folder / "undo").mkdir()
    data = {
        "actions": [[action.do.value, os.fsdecode(action.path)] for action in actions],
        "folders": {
            os.fsdecode(path): [was.uid, was.gid, was.mode, was.time]
            for path, was in folders.items()
        },
    }
    atomic.write(folder / "journal.json", json.dumps(data), mode=0o600)
    return Journal(folder, tuple(actions), folders)


def read_journal(folder: Path) -> Journal | None:
    """The journal of a change that was begun; None when none was. Raises EdeployError."""
    file = folder / "journal.json"
    try:
        data = json.loads(file.read_bytes())
        return Journal(
            folder,
            tuple(Action(Do(do), os.fsencode(path)) for do, path in data["actions"]),
            {os.fsencode(path): Was(*was) for path, was in data["folders"].items()},
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise EdeployError(
            f"{file}: damaged: {error}", "edeploy-node verify says how far."
        ) from error


def apply(journal: Journal, physical: Physical) -> None:
    """Do all actions, or those that are left. Raises OSError: do it again, or `undo`."""
    for number, action in enumerate(journal.actions):
        path = physical(action.path)
        kept = os.path.join(journal.undo_folder, str(number).encode())
        if action.do is Do.FOLDER:
            _make_folder(path, kept)
        elif action.do is Do.PUT:
            _put(os.path.join(journal.staged, action.path), path, kept)
        elif action.do is Do.REMOVE:
            _take(path, kept)
        elif os.path.isdir(path):
            staged = os.path.join(journal.staged, action.path)
            about = os.lstat(staged)
            os.chown(path, about.st_uid, about.st_gid)
            # Mode, time and attributes.
            shutil.copystat(staged, path)


def undo(journal: Journal, physical: Physical) -> None:
    """Make everything what it was before, as far as it was changed. May be repeated."""
    for number, action in reversed(list(enumerate(journal.actions))):
        path = physical(action.path)
        kept = os.path.join(journal.undo_folder, str(number).encode())
        if action.do is Do.PUT:
            _give_back(path, kept, os.path.join(journal.staged, action.path))
        elif action.do is Do.REMOVE:
            if action.path in journal.folders and not os.path.lexists(path):
                os.mkdir(path, 0o700)
            elif os.path.lexists(kept):
                os.rename(kept, path)
        elif action.do is Do.FOLDER:
            with contextlib.suppress(OSError):
                os.rmdir(path)
            if os.path.lexists(kept):
                os.rename(kept, path)
    for name in sorted(journal.folders, reverse=True):
        was, path = journal.folders[name], physical(name)
        if os.path.isdir(path):
            os.chown(path, was.uid, was.gid)
            os.chmod(path, was.mode)
            os.utime(path, ns=(was.time, was.time))


def _folder_before(path: bytes, physical: Physical) -> Was | None:
    """What a folder is; None when it is none, or when its name leads through a link."""
    parts = path.split(b"/")
    above = [b"/".join(parts[:count]) for count in range(1, len(parts))]
    if any(os.path.islink(physical(folder)) for folder in above):
        return None
    try:
        about = os.lstat(physical(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISDIR(about.st_mode):
        return None
    return Was(about.st_uid, about.st_gid, stat.S_IMODE(about.st_mode), about.st_mtime_ns)


def _make_folder(path: bytes, kept: bytes) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        return
    if os.path.lexists(path):
        os.rename(path, kept)
    os.mkdir(path, 0o700)


def _put(staged: bytes, path: bytes, kept: bytes) -> None:
    if not os.path.lexists(staged):
        return
    if os.path.isdir(path) and not os.path.islink(path):
        if not os.path.lexists(kept):
            os.rename(path, kept)
    elif os.path.lexists(path) and not os.path.lexists(kept):
        os.link(path, kept, follow_symlinks=False)
    os.rename(staged, path)


def _take(path: bytes, kept: bytes) -> None:
    if not os.path.lexists(path):
        return
    if os.path.isdir(path) and not os.path.islink(path):
        # Something of the machine's own may be in it: then it stays.
        with contextlib.suppress(OSError):
            os.rmdir(path)
    elif os.path.lexists(kept):
        os.unlink(path)
    else:
        os.rename(path, kept)


def _give_back(path: bytes, kept: bytes, staged: bytes) -> None:
    if os.path.lexists(staged):
        # It was not put; a second name may have been made.
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):
            os.unlink(kept)
        return
    if os.path.lexists(path):
        os.rename(path, staged)
    if os.path.lexists(kept):
        os.rename(kept, path)
