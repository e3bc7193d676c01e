"""Upgrades as the records see them: a machine says how far it is, and how it ended."""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy.orm import Session

from edeploy.machines.credentials import Bearer, Kind, bearer
from edeploy.machines.failures import fail
from edeploy.machines.policy import Policy
from edeploy.machines.records import move, note
from edeploy.machines.refusal import Refusal
from edeploy.machines.schema import Machine
from edeploy.machines.states import State, Verb


class Phase(StrEnum):
    """How far an upgrade is, by the machine's own word."""

    STAGE = "stage"  # the next version is fetched and built
    PRE = "pre"  # live mode: the hook before
    APPLY = "apply"  # live mode: paths are replaced, the hook after
    BOOT = "boot"  # the machine restarts into the next version
    CHECK = "check"  # it runs and has to show that it does its job
    ARMED = "armed"  # the next boot tries it; until then nothing happens
    BACK = "back"  # it ended where it began, for a reason
    FAILED = "failed"  # it ended half-way
    NONE = ""  # nothing is under way


_UNDER_WAY = frozenset({Phase.STAGE, Phase.PRE, Phase.APPLY, Phase.BOOT, Phase.CHECK})


@dataclass(frozen=True)
class Standing:
    """What an installed system says of itself: `version` runs, `goal` is where it goes or went."""

    role: str
    version: str
    boot_id: str
    kernel: str
    phase: Phase
    goal: str = ""
    why: str = ""


def take_standing(
    session: Session, secret: str, said: Standing, rules: Policy, *, address: str, now: float
) -> None:
    """Record what the system says, and go where that leads. The same again changes nothing.

    It is told when the server can be reached, so any word may be missing: each stands alone.
    """
    machine = _speaker(session, secret).machine
    machine.last_seen, machine.address = now, address
    machine.role, machine.version = said.role, said.version
    machine.kernel, machine.boot_id = said.kernel, said.boot_id
    before = machine.upgrade or {}
    is_new = (before.get("phase", ""), before.get("goal", ""), before.get("why", "")) != (
        said.phase, said.goal, said.why,
    )  # fmt: skip
    if is_new:
        machine.upgrade = _kept(said, now) if said.phase else None
    if said.phase in _UNDER_WAY:
        _go_on(session, machine, said, is_new, now + rules.upgrade_minutes * 60, now)
    elif said.phase is Phase.FAILED:
        if State(machine.state) is not State.FAILED:
            _enter(session, machine, said, deadline=now, now=now)
            phase = str(before.get("phase") or Phase.APPLY)
            fail(session, machine, f"{said.goal}: {said.why}", phase=phase, now=now)
    else:
        _end(session, machine, said, is_new, now)


def _speaker(session: Session, secret: str) -> Bearer:
    holder = bearer(session, secret, Kind.SYSTEM)
    machine = holder.machine
    ours = State(machine.state) in (State.ACTIVE, State.UPGRADING) or (
        machine.state == State.FAILED and machine.failed_from == State.UPGRADING
    )
    if holder.credential.revoked is not None or not ours:
        raise Refusal(
            f"{machine.name} is {machine.state}: its system is not expected to run",
            f"`edeploy machine show {machine.name}` says why.",
        )
    return holder


def _kept(said: Standing, now: float) -> dict[str, object]:
    return {"phase": str(said.phase), "goal": said.goal, "why": said.why, "since": now}


def _go_on(
    session: Session, machine: Machine, said: Standing, is_new: bool, deadline: float, now: float
) -> None:
    if State(machine.state) is not State.UPGRADING:
        _enter(session, machine, said, deadline=deadline, now=now)
    elif is_new:
        note(session, "upgrade-phase", f"{said.phase}: {said.goal}", now=now, machine=machine)
    machine.deadline = deadline


def _enter(
    session: Session, machine: Machine, said: Standing, *, deadline: float, now: float
) -> None:
    if State(machine.state) is not State.UPGRADING:
        text = f"{said.version} to {said.goal}: {said.phase}"
        move(session, machine, Verb.UPGRADE, text, now=now, deadline=deadline)


def _end(session: Session, machine: Machine, said: Standing, is_new: bool, now: float) -> None:
    texts = {
        Phase.ARMED: f"{said.goal} is complete, the next boot tries it; {said.version} runs",
        Phase.BACK: f"{said.version} runs: {said.goal}: {said.why}",
    }
    text = texts.get(said.phase, f"{said.role} {said.version} runs")
    if State(machine.state) is not State.ACTIVE:
        move(session, machine, Verb.UPGRADED, text, now=now)
    elif is_new and said.phase:
        # The words on the way were lost.
        note(session, "upgrade-phase", text, now=now, machine=machine)
