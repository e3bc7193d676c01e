"""Tells the server what runs here and how far an upgrade is; nothing here waits for that."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Callable

from edeploy.errors import EdeployError
from edeploy.node.boot.marker import Marker
from edeploy.node.callhome import BOOT_ID
from edeploy.node.http import Retry, Server, ServerRefused
from edeploy.node.upgrade.here import Here, here
from edeploy.node.upgrade.live.live import read_live
from edeploy.node.upgrade.state import Phase, read_state
from edeploy.node.upgrade.trial import note_return

# The phases of an upgrade as the server knows them (docs/reference/http-api.md).
STAGE, PRE, APPLY, BOOT, CHECK = "stage", "pre", "apply", "boot", "check"
ARMED, BACK, FAILED, NOTHING = "armed", "back", "failed", ""
_HALF_WAY = (APPLY,)

ONCE = Retry(give_up=0.0)
_WHY_BYTES = 2000


class Standing:
    """The words of one machine: each is tried once, and after one that was lost none is."""

    def __init__(self, machine: Here) -> None:
        self._machine = machine
        self._server = _server(machine, ONCE)
        self._silent = not machine.node.secret
        self._phase = NOTHING

    @contextmanager
    def upgrade(self, goal: str) -> Iterator[Callable[[str], None]]:
        """Yields who hears of the phases of an upgrade to `goal`; its failure is told."""

        def hear(phase: str) -> None:
            self._phase = phase
            self.tell(phase, goal)

        try:
            yield hear
        except BaseException as error:
            if self._phase:
                why = error.message if isinstance(error, EdeployError) else "it was interrupted"
                self.tell(FAILED if self._phase in _HALF_WAY else BACK, goal, why)
            raise

    def tell(self, phase: str, goal: str = "", why: str = "") -> None:
        """How far it is."""
        if self._silent:
            return
        try:
            _post(self._server, self._machine, phase, goal, why)
        except (EdeployError, OSError):
            self._silent = True

    def tell_all(self) -> None:
        """What the machine's own files say now."""
        machine = here(self._machine.root, lambda _: None)
        phase, goal, why = standing(machine)
        self._machine = machine
        self.tell(phase, goal, why)


def tell_at_start(root: Path = Path("/")) -> str:
    """Tell it until the server has it; a line for the journal. Raises EdeployError: not yet."""
    machine = here(root, print)
    if not machine.node.secret:
        return ""
    if not machine.deployed:
        # The system from before the first upgrade has no unit that notes the end of a trial.
        with suppress(EdeployError, OSError):
            note_return(root)
    phase, goal, why = standing(machine)
    try:
        _post(_server(machine, Retry()), machine, phase, goal, why)
    except ServerRefused as error:
        return f"the server does not want to know what runs here: {error.message}"
    words = f": {phase} {goal}" if phase else ""
    return f"{machine.node.machine}: {machine.name} runs{words}"


def tell_check(root: Path = Path("/")) -> None:
    """That the version on trial has to show now that it does its job: tried once, as the verdict
    waits for nobody, and may be there before `tell_at_start` has found a network."""
    with suppress(EdeployError, OSError):
        machine = here(root, lambda _: None)
        if Marker(machine.places).read() == machine.name:
            Standing(machine).tell_all()


def standing(machine: Here) -> tuple[str, str, str]:
    """Phase, goal, and why an upgrade ended where it began, by what the last one left."""
    places = machine.places
    state = read_state(places.state)
    goal = version_of(state.trial, machine.node.role)
    live = read_live(machine)
    if live is not None and live.half_way:
        why = "it was interrupted: run it again, or rollback"
        return FAILED if live.pre else BACK, live.new, why
    if machine.name == Marker(places).read():
        return CHECK, version_of(machine.name, machine.node.role), ""
    if state.phase is Phase.ARMED:
        return ARMED, goal, ""
    if state.phase in (Phase.TRIAL, Phase.ROLLED_BACK):
        return BACK, goal, state.why
    if state.phase in (Phase.STAGING, Phase.VERIFIED):
        return BACK, goal, "it was interrupted: run it again"
    return NOTHING, "", ""


def version_of(name: str, role: str) -> str:
    """The version in the name of a deployed one."""
    return name.removeprefix(f"{role}-").rpartition(".")[0]


def _server(machine: Here, retry: Retry) -> Server:
    return Server(machine.node.server, bearer=machine.node.secret, retry=retry)


def _post(server: Server, machine: Here, phase: str, goal: str, why: str) -> None:
    body = {
        "role": machine.node.role,
        "version": machine.node.version,
        "boot_id": BOOT_ID.read_text().strip(),
        "kernel": os.uname().release,
        "phase": phase,
        "goal": goal,
        "why": why[:_WHY_BYTES],
    }
    server.post("/v1/standing", body)
