"""How an upgrade ends: confirmed, failed or taken back; what is noted of it, and removed."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import replace
from pathlib import Path

from edeploy import atomic
from edeploy.node.boot import Loader
from edeploy.node.boot.entries import is_root_itself
from edeploy.node.boot.marker import Marker
from edeploy.node.upgrade.places import Places
from edeploy.node.upgrade.state import Phase, State, read_state, write_state

SILENT = (
    "it did not come up: its kernel or initramfs did not start it, or it hung; "
    "the console of that start says more"
)
NOT_ARMED = "the machine restarted before the boot loader was told to try it"


def confirmed(places: Places, name: str) -> State:
    """`name` runs and does its job: it is the good one; those that nobody goes back to go."""
    old = read_state(places.state)
    before = old.good if old.good != name else old.before
    state = replace(old, phase=Phase.IDLE, good=name, trial="", before=before, why="")
    write_state(places.state, state)
    collect(places, keep={name, before})
    return state


def failed(places: Places, name: str, runs: str) -> State:
    """The trial of `name` is over, `runs` runs again, and why. May be repeated.

    What failed stays for whoever looks into it, until the next upgrade.
    """
    old = read_state(places.state)
    why = SILENT
    if old.phase is Phase.VERIFIED:
        why = NOT_ARMED
    elif old.why and (
        old.phase is Phase.TRIAL or (old.phase, old.trial) == (Phase.ROLLED_BACK, name)
    ):
        why = old.why
    state = replace(old, phase=Phase.ROLLED_BACK, good=runs or old.good, trial=name, why=why)
    write_state(places.state, state)
    return state


def taken_back(places: Places) -> State:
    """An operator did not want the version that waited for its trial: it goes."""
    old = read_state(places.state)
    why = f"an operator took {old.trial} back before it was booted"
    state = replace(old, phase=Phase.ROLLED_BACK, trial="", why=why)
    write_state(places.state, state)
    collect(places, keep={old.good, old.before})
    return state


def went_back(places: Places, good: str, before: str) -> State:
    """An operator went from `before`, which ran, to `good`; both stay."""
    state = State(Phase.ROLLED_BACK, good, "", before, "an operator went back")
    write_state(places.state, state)
    return state


def agreed(places: Places, loader: Loader, runs: str) -> State:
    """The state. The boot loader hears first of a way back: when the power went before that was
    noted, it is noted now. `runs` is "" for the root itself. Raises OSError."""
    state = read_state(places.state)
    if Marker(places).read():
        # A trial: what ends it notes that, too.
        return state
    if state.phase is Phase.ARMED and state.trial != runs and not loader.armed():
        return taken_back(places)
    was = state.trial if state.phase is Phase.TRIAL else state.good
    good = loader.good()
    # Until the restart it is only begun: the same command ends it.
    is_back = good == runs if runs else is_root_itself(good)
    return went_back(places, good, was) if is_back and was not in ("", good) else state


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
