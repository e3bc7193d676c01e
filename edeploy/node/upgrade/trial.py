"""After a start: the version on trial is confirmed or given up, and what came of it is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Callable

from edeploy.errors import EdeployError
from edeploy.node import timeouts
from edeploy.node.boot import Loader, booted, loader_of
from edeploy.node.boot.health import declared, problem_of
from edeploy.node.boot.marker import Marker, boot_id
from edeploy.node.upgrade.here import alone
from edeploy.node.upgrade.places import Places
from edeploy.node.upgrade.settle import SILENT, agreed, bootable, confirmed, failed
from edeploy.node.upgrade.state import Phase, State, read_state, write_state
from edeploy.run import run


def judge(root: Path = Path("/"), find_loader: Callable[[Places], Loader] = loader_of) -> str:
    """Confirm the version on trial if it does its job, else restart; a line for the journal.

    In the good version: the trial is over, and `why` says what it failed by. Raises EdeployError.
    """
    places = Places(booted.physical_root(root))
    marker = Marker(places)
    name = marker.read()
    if not name:
        return "nothing is on trial"
    loader, runs = find_loader(places), booted.running(root)
    if runs != name:
        if marker.put_in(boot_id(root)):
            return f"the next start is {name}"
        return _gone_back(places, loader, name, runs)
    state = replace(read_state(places.state), phase=Phase.TRIAL, trial=name)
    # A start that does not get as far as a verdict has this for a reason.
    write_state(places.state, replace(state, why=SILENT))
    problem = _problem(root)
    if problem:
        return give_up(places, state, problem)
    # The loader last: while it knows of a trial, a start that was cut here comes back to this.
    good = confirmed(places, name)
    loader.confirm(name)
    loader.prepare(bootable(places, good.good, good.before), name)
    words = ["systemctl", "stop", "edeploy-trial-deadline.timer"]
    run(words, timeout=timeouts.PROGRAM, check=False)
    return f"{name} does its job and is confirmed"


def note_return(
    root: Path = Path("/"), find_loader: Callable[[Places], Loader] = loader_of
) -> None:
    """Keep that a trial or a way back is over when nobody has noted it: the system from before the
    first upgrade has no unit for that, and the power may go. Raises EdeployError, OSError."""
    places, runs = Places(booted.physical_root(root)), booted.running(root)
    name = Marker(places).read()
    if name and runs != name:
        judge(root, find_loader)
    elif not name and places.state.is_file():
        with alone(places):
            agreed(places, find_loader(places), runs)


def give_up(places: Places, state: State, problem: str) -> str:
    """Keep the reason and restart: the boot loader has tries left for it, or goes back."""
    write_state(places.state, replace(state, phase=Phase.TRIAL, why=problem))
    run(["systemctl", "reboot"], timeout=timeouts.PROGRAM)
    return f"{state.trial} does not do its job, restarting: {problem}"


def overdue(root: Path = Path("/")) -> str:
    """A trial that came to no verdict in time is given up."""
    places = Places(booted.physical_root(root))
    name = Marker(places).read()
    if not name or booted.running(root) != name:
        return "nothing is on trial"
    state = replace(read_state(places.state), trial=name)
    return give_up(places, state, "it came to no verdict in time: it did not finish starting")


def _problem(root: Path) -> str:
    try:
        checks = declared(root)
    except EdeployError as error:
        return str(error)
    return problem_of(checks)


def _gone_back(places: Places, loader: Loader, name: str, runs: str) -> str:
    # The loader last, as it takes away what says that there is a trial.
    state = failed(places, name, runs)
    loader.disarm()
    return f"back in {state.good}: {name} failed its trial: {state.why}"
