"""The records as operators see them: JSON objects for the list, one machine, its log."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from edeploy.machines import attempts, health_views, testing, upgrades
from edeploy.machines.entries import label
from edeploy.machines.hardware import known_by
from edeploy.machines.holdings import of_machine
from edeploy.machines.records import find, live_lease, macs
from edeploy.machines.reports import history, read
from edeploy.machines.rounds import last_round
from edeploy.machines.schema import (
    Attempt,
    Event,
    HealthTest,
    Holding,
    JsonObject,
    Lease,
    LogLine,
    Machine,
    Phase,
)
from edeploy.machines.states import State

MAX_EVENTS = 1000
"""Events in one answer; `after` asks for more."""


def machines(session: Session) -> list[JsonObject]:
    """All machines, by name."""
    rows = session.scalars(select(Machine).order_by(Machine.name)).all()
    return [summary(session, machine) for machine in rows]


def summary(session: Session, machine: Machine) -> JsonObject:
    """One line of the list."""
    attempt = attempts.latest(session, machine)
    open_phases = (
        [row for row in attempts.phases(session, attempt) if row.ended is None] if attempt else []
    )
    phase = open_phases[-1] if open_phases and machine.state == State.INSTALLING else None
    test = (
        testing.latest(session, machine)
        if machine.state in (State.TESTING, State.REJECTED)
        else None
    )
    return {
        "name": machine.name,
        "state": machine.state,
        "since": machine.since,
        "profile": machine.profile,
        "role": machine.role,
        "version": machine.version,
        "hostname": machine.hostname,
        "serial": machine.serial,
        "macs": macs(machine),
        "address": machine.address,
        "power": machine.power,
        "phase": phase.name if phase else machine.failed_phase or _upgrade_phase(machine),
        "done": phase.done if phase else None,
        "total": phase.total if phase else None,
        "unit": phase.unit if phase else None,
        "deadline": machine.deadline,
        "last_seen": machine.last_seen,
        "reason": machine.failed_reason
        or _waits_for(machine)
        or (test.reason if test and machine.state == State.REJECTED else None)
        or _why_back(machine)
        or None,
        "hold": machine.hold,
        "disk_touched": machine.disk_touched,
        **(_how_far(session, test) if test and machine.state == State.TESTING else {}),
    }


def machine(session: Session, name: str) -> JsonObject:
    """All about one machine but its log."""
    row = find(session, name)
    lease = live_lease(session, row)
    kept = history(session, row)
    attempt = attempts.latest(session, row)
    return {
        **summary(session, row),
        "uuid": row.uuid,
        "created": row.created,
        "why": row.why,
        "failed_from": row.failed_from,
        "upgrade": row.upgrade,
        "kernel": row.kernel,
        "boot_id": row.boot_id,
        "on_success": row.on_success,
        "on_failure": row.on_failure,
        "exhausted": (row.exhausted or "").splitlines(),
        "lease": _lease(session, lease) if lease else None,
        "holds": [held_entry(holding) for holding in of_machine(session, row)],
        "phases": _phases(session, attempt) if attempt else [],
        "health": health_views.health(session, row),
        **known_by(session, row),
        "reports": [{"id": one.id, "first": one.first, "last": one.last} for one in kept],
        "report": read(kept[0]).rows() if kept else [],
    }


def log(session: Session, name: str) -> JsonObject:
    """Everything that happened to one machine: attempts with phases and lines, events."""
    row = find(session, name)
    rows = session.scalars(
        select(Attempt).where(Attempt.machine_id == row.id).order_by(Attempt.id)
    ).all()
    listed = session.scalars(
        select(Event).where(Event.machine_id == row.id).order_by(Event.id.desc()).limit(MAX_EVENTS)
    ).all()
    return {
        "name": row.name,
        "state": row.state,
        "attempts": [_attempt(session, attempt) for attempt in rows],
        "events": [_event(event, row.name) for event in reversed(listed)],
    }


def events(session: Session, *, after: int) -> list[JsonObject]:
    """Events with a higher number than `after`, oldest first, MAX_EVENTS at most."""
    rows = session.execute(
        select(Event, Machine.name)
        .outerjoin(Machine, Machine.id == Event.machine_id)
        .where(Event.id > after)
        .order_by(Event.id)
        .limit(MAX_EVENTS)
    ).all()
    return [_event(event, name) for event, name in rows]


def held_entry(holding: Holding) -> JsonObject:
    """A CMDB entry in a machine's hands."""
    return {
        "profile": holding.profile,
        "name": label(holding.entry),
        "entry": holding.entry,
        "since": holding.since,
        "why": holding.why,
        "lasting": holding.lasting,
        "origin": holding.origin,
        "copy": holding.copy,
    }


def _lease(session: Session, lease: Lease) -> JsonObject:
    holding = session.get(Holding, lease.holding_id) if lease.holding_id else None
    return {
        "profile": lease.profile,
        "state": lease.state,
        "entry": holding.entry if holding else None,
        "vars": lease.vars,
        "plan": lease.plan,
    }


def _waits_for(machine: Machine) -> str | None:
    """What a machine without a lease would have, if others had not."""
    waits = machine.state == State.DISCOVERED and machine.profile is None
    return machine.exhausted if waits else None


def _upgrade_phase(machine: Machine) -> str | None:
    """How far an upgrade is, or that the next boot tries one."""
    told = machine.upgrade or {}
    waits = machine.state == State.ACTIVE and told.get("phase") == upgrades.Phase.ARMED
    if machine.state == State.UPGRADING or waits:
        return f"{told.get('phase')} {told.get('goal')}"
    return None


def _why_back(machine: Machine) -> str | None:
    """Why the last upgrade of a machine ended where it began."""
    told = machine.upgrade or {}
    if machine.state == State.ACTIVE and told.get("phase") == upgrades.Phase.BACK:
        return f"still {machine.version}, not {told.get('goal')}: {told.get('why')}"
    return None


def _how_far(session: Session, test: HealthTest) -> JsonObject:
    """A machine that measures has no phases of an install, but stages."""
    news = last_round(session, test).progress or {}
    return {
        "phase": news.get("stage") or f"{test.profile}: {test.state}",
        "done": news.get("stages_done"),
        "total": news.get("stages_total"),
        "unit": "stages",
    }


def _attempt(session: Session, attempt: Attempt) -> JsonObject:
    lines = session.scalars(
        select(LogLine).where(LogLine.attempt_id == attempt.id).order_by(LogLine.id)
    ).all()
    return {
        "number": attempt.number,
        "started": attempt.started,
        "redeemed": attempt.redeemed,
        "ended": attempt.ended,
        "phases": _phases(session, attempt),
        "log": [{"at": line.at, "phase": line.phase, "text": line.text} for line in lines],
    }


def _phases(session: Session, attempt: Attempt) -> list[JsonObject]:
    return [_phase(row) for row in attempts.phases(session, attempt)]


def _phase(row: Phase) -> JsonObject:
    return {
        "name": row.name,
        "started": row.started,
        "ended": row.ended,
        "elapsed": round(row.ended - row.started, 3) if row.ended is not None else None,
        "seconds": row.seconds,
        "failed": row.failed,
        "reason": row.reason,
        "done": row.done,
        "total": row.total,
        "unit": row.unit,
    }


def _event(event: Event, name: str | None) -> JsonObject:
    return {
        "id": event.id,
        "at": event.at,
        "machine": name,
        "kind": event.kind,
        "state": event.state,
        "text": event.text,
    }
