"""How a machine's leased state ends badly: by its agent's word or by the server's deadline."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from edeploy.machines import attempts, testing
from edeploy.machines.leases import give_back
from edeploy.machines.records import live_lease, move
from edeploy.machines.schema import Machine, Phase
from edeploy.machines.states import LEASED, State, Verb

SILENCE = 60.0
"""Seconds without news that count as silence: agents report progress every few seconds."""


def fail(session: Session, machine: Machine, reason: str, *, phase: str | None, now: float) -> None:
    """The machine failed: lease given back, secrets dead, phase and reason kept."""
    before = machine.state
    attempt = attempts.latest(session, machine)
    if attempt is not None and phase in attempts.ALL_PHASES:
        row = attempts.phase(session, attempt, phase, now=now)
        row.ended, row.failed, row.reason = row.ended or now, True, reason
    if attempt is not None:
        attempts.end(attempt, now=now)
    lease = live_lease(session, machine)
    if lease is not None and lease.state == "held":
        give_back(session, lease, now=now)
    text = f"in {phase}: {reason}" if phase else reason
    move(session, machine, Verb.FAIL, text, now=now)
    machine.failed_from, machine.failed_phase, machine.failed_reason = before, phase, reason


def end_due(session: Session, *, now: float) -> list[str]:
    """End every leased state whose deadline has passed; the names of the machines."""
    due = session.scalars(
        select(Machine).where(Machine.deadline <= now, Machine.state.in_(LEASED))
    ).all()
    for machine in due:
        _end(session, machine, now)
    return [machine.name for machine in due]


def next_deadline(session: Session) -> float | None:
    """When the next leased state ends, in unix seconds."""
    return session.scalar(select(func.min(Machine.deadline)).where(Machine.state.in_(LEASED)))


def _end(session: Session, machine: Machine, now: float) -> None:
    state = State(machine.state)
    if state is State.RESERVED:
        lease = live_lease(session, machine)
        if lease is not None:
            give_back(session, lease, now=now)
        move(session, machine, Verb.EXPIRE, "the agent never began: lease given back", now=now)
        return
    if state is State.TESTING:
        test_failed = testing.expire(session, machine, now=now)
        if test_failed is not None:
            fail(session, machine, test_failed, phase=None, now=now)
        return
    if state is State.UPGRADING:
        told = machine.upgrade or {}
        reason = f"it said nothing more on its way to {told.get('goal')}, since "
        reason += _clock(machine.last_seen)
        fail(session, machine, reason, phase=str(told.get("phase")), now=now)
        return
    phase = _open_phase(session, machine)
    if phase is None:
        fail(session, machine, "its deadline passed before any phase", phase=None, now=now)
    elif phase.name == "first-boot":
        reason = f"the installed system did not call home since {_clock(phase.started)}"
        fail(session, machine, reason, phase=phase.name, now=now)
    elif now - phase.last >= SILENCE:
        reason = f"no sign of life in phase {phase.name} since {_clock(phase.last)}"
        fail(session, machine, reason, phase=phase.name, now=now)
    else:
        reason = f"phase {phase.name} was not done by the deadline{_progress(phase)}"
        fail(session, machine, reason, phase=phase.name, now=now)


def _open_phase(session: Session, machine: Machine) -> Phase | None:
    attempt = attempts.latest(session, machine)
    rows = attempts.phases(session, attempt) if attempt else []
    waiting = [row for row in rows if row.ended is None]
    candidates = waiting or rows
    return candidates[-1] if candidates else None


def _progress(phase: Phase) -> str:
    if phase.done is None or not phase.total:
        return ""
    return f": {phase.done} of {phase.total} {phase.unit or ''}".rstrip()


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().isoformat(sep=" ", timespec="seconds")
