"""How a trial ends: confirmed or gone back; and what is removed then."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import replace
from pathlib import Path

from edeploy import atomic
from edeploy.node.boot.entries import is_root_itself
from edeploy.node.upgrade.places import Places
from edeploy.node.upgrade.state import Phase, State, read_state, write_state


def confirmed(places: Places, name: str) -> State:
    """`name` runs and does its job: it is the good one; those that nobody goes back to go."""
    old = read_state(places.state)
    before = old.good if old.good != name else old.before
    state = replace(old, phase=Phase.IDLE, good=name, trial="", before=before, why="")
    write_state(places.state, state)
    collect(places, keep={name, before})
    return state


def went_back(places: Places, why: str) -> State:
    """The good one runs again, and why; the version that was tried goes."""
    old = read_state(places.state)
    state = replace(old, phase=Phase.ROLLED_BACK, trial="", why=why)
    write_state(places.state, state)
    collect(places, keep={old.good, old.before})
    return state


def bootable(places: Places, *wanted: str) -> list[str]:
    """The versions that can be started: all trees, and the root itself when `wanted` names it."""
    roots = [name for name in wanted if name and is_root_itself(name)]
    return [*dict.fromkeys([*places.deployed(), *roots])]


def collect(places: Places, keep: set[str]) -> list[str]:
    """Remove all versions but those of `keep`; their names.

    The tree goes first, under a name that is none: a version is whole or not there.
    """
    gone = [name for name in places.deployed() if name not in keep]
    for name in gone:
        tree = places.tree(name)
        doomed = tree.with_name(f".gone-{name}")
        with contextlib.suppress(FileNotFoundError):
            tree.rename(doomed)
        atomic.sync_folder(tree.parent)
    for path in _leftovers(places):
        shutil.rmtree(path, ignore_errors=True)
    for name in gone:
        shutil.rmtree(places.etc_base(name), ignore_errors=True)
        for file in (places.manifest(name), places.manifest(f"{name}.sig")):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(file)
    return gone


def _leftovers(places: Places) -> list[Path]:
    folder = places.top / "deploy"
    names = (".gone-*", ".etc-*")
    return [path for name in names for path in folder.glob(name)] if folder.is_dir() else []
