"""The way from n to n+1, and the way back."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable

from edeploy import atomic
from edeploy.errors import EdeployError
from edeploy.images import manifest
from edeploy.images.manifest import Entry
from edeploy.images.ways import Edge
from edeploy.node.boot import Loader
from edeploy.node.upgrade import etc, source
from edeploy.node.upgrade.here import Here, alone, current
from edeploy.node.upgrade.owned import state_paths
from edeploy.node.upgrade.places import DATABASES
from edeploy.node.upgrade.settle import agreed, bootable, collect, taken_back, went_back
from edeploy.node.upgrade.sharing import Sharing
from edeploy.node.upgrade.stage import (
    Current,
    Job,
    Tell,
    copy_etc,
    find_way,
    stage,
    versions,
)
from edeploy.node.upgrade.state import Phase, State, read_state, write_state
from edeploy.node.upgrade.tree import Old, build


class NotNow(EdeployError):
    """What was asked for would lose the only version that is known to work, or does nothing."""


@dataclass(frozen=True)
class Upgraded:
    """A version that the next boot tries: how it came, /etc files that overlap, bytes received;
    `goal` is another version when a barrier stopped the way there."""

    name: str
    version: str
    goal: str
    ways: tuple[str, ...]
    overlaps: tuple[str, ...]
    received: int


def upgrade(
    machine: Here,
    version: str,
    loader: Loader,
    tell: Tell,
    on_phase: Callable[[str], None] = lambda _: None,
) -> Upgraded:
    """Make `version` complete beside the one that runs, and let the next boot try it.

    `on_phase` hears of each of the server's phases that begins.

    May be repeated after any interruption. Raises EdeployError; the machine then boots what it
    booted before.
    """
    with alone(machine.places):
        state = _ready(machine, version, loader)
        now = current(machine)
        job = make_job(machine, now, version, tell)
        reached = job.wanted.version
        write_state(machine.places.state, replace(state, phase=Phase.STAGING, good=now.name))
        on_phase("stage")
        name = machine.places.new_name(now.role, reached)
        staged = stage(job, name)
        overlaps = tuple(os.fsdecode(path) for path in staged.merge.overlaps)
        state = State(Phase.VERIFIED, now.name, name, state.before, "", overlaps)
        write_state(machine.places.state, state)
        arm(machine, name, loader)
        return Upgraded(name, reached, version, tuple(staged.ways), overlaps, staged.received)


def make_job(machine: Here, now: Current, version: str, tell: Tell) -> Job:
    """From `now` to `version`, or as far as the first barrier allows."""
    edges: list[Edge] = find_way(machine.server, now.role, now.version, version)
    reached = edges[-1].new if edges else version
    wanted = source.offer(machine.server, now.role, reached)
    return Job(machine.places, machine.server, now, wanted, edges, machine.signers, tell)


def arm(machine: Here, name: str, loader: Loader) -> None:
    """Let the next boot try a complete version; the one commit of an upgrade is the loader's."""
    places = machine.places
    state = read_state(places.state)
    put_shared(places.tree(name), machine.root, manifest.parse(places.manifest(name).read_bytes()))
    loader.prepare(bootable(places, state.good, state.before), state.good)
    atomic.sync_file_system(places.top)
    loader.arm(name)
    write_state(places.state, replace(state, phase=Phase.ARMED, trial=name))


def put_shared(tree: Path, root: Path, entries: list[Entry]) -> int:
    """Put what the version has below /var and its like into the machine's own where nothing is;
    how many.

    What is there stays as it is, whatever it is.
    """
    top, new = os.fsencode(root), []
    shared = tuple(os.fsencode(path) + b"/" for path in state_paths(tree))
    for entry in entries:
        if not entry.path.startswith(shared) or entry.path.startswith(DATABASES):
            continue
        if not os.path.lexists(os.path.join(top, entry.path)):
            new.append(entry)
    return len(new) - len(_put(new, tree, top))


def _put(new: list[Entry], tree: Path, top: bytes) -> list[bytes]:
    chosen = [entry._replace(links=b"") for entry in new]
    old = Old(tree, tree / "etc", chosen, Sharing.COPY)
    return build(Path(os.fsdecode(top)), chosen, old, lambda _sha256, _path: False).missing


def rollback(machine: Here, loader: Loader) -> str:
    """Take back an upgrade that was not booted yet, or let the next boot be the version before.

    The words for what was done. Raises NotNow when there is no version to go back to.
    """
    places = machine.places
    with alone(places):
        state = read_state(places.state)
        waiting = state.phase in (Phase.VERIFIED, Phase.ARMED, Phase.TRIAL)
        if waiting and state.trial != machine.name:
            loader.disarm()
            taken_back(places)
            return f"{state.trial} will not be tried; {state.good} stays"
        state = agreed(places, loader, machine.name)
        before = state.good if state.trial == machine.name else state.before
        if not before or (before not in versions(places) and not before.endswith(".0")):
            raise NotNow(
                f"{machine.name} runs, and no version before it is kept here",
                "Upgrade to the version that you want: edeploy-node list",
            )
        loader.prepare(bootable(places, before, machine.name), before)
        loader.confirm(before)
        went_back(places, before, machine.name)
        return f"the next boot is {before}; {machine.name} is kept until the next upgrade"


def merge_late(machine: Here) -> list[str]:
    """At shutdown: /etc of the armed version anew, with what was edited since; overlapping paths.

    Nothing when no version waits. Raises EtcConflict; the /etc that was merged before stays.
    """
    places = machine.places
    state = read_state(places.state)
    if state.phase is not Phase.ARMED or not places.tree(state.trial).is_dir():
        return []
    now = current(machine)
    tree, pristine = places.tree(state.trial), places.etc_base(state.trial)
    work = tree.parent / f".etc-{state.trial}"
    copy_etc(pristine, work, manifest.parse(places.manifest(state.trial).read_bytes()))
    merged = etc.merge(now.pristine_etc, now.etc, pristine, work)
    atomic.sync_file_system(work)
    atomic.exchange(work, tree / "etc")
    atomic.sync_folder(tree)
    shutil.rmtree(work, ignore_errors=True)
    return [os.fsdecode(path) for path in merged.overlaps]


def _ready(machine: Here, version: str, loader: Loader) -> State:
    """The state, when an upgrade may begin; what an interrupted one left is removed."""
    places = machine.places
    state = agreed(places, loader, machine.name)
    if state.trial == machine.name and state.phase in (Phase.ARMED, Phase.TRIAL):
        raise NotNow(
            f"{machine.name} is on trial and not confirmed yet: {state.good} is the way back",
            "Wait for edeploy-health, or run `edeploy-node rollback`.",
        )
    if version == machine.node.version:
        raise NotNow(f"{machine.node.role} {version} runs already", "Run: edeploy-node list")
    if state.trial:
        collect(places, keep={state.good, state.before, machine.name})
    good = state.good if state.good in {*versions(places), machine.name} else machine.name
    return replace(state, good=good, trial="")
