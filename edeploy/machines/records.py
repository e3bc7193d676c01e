"""Machines and events in the records: enrol, find, note, move from state to state."""

import hashlib
import json
from collections.abc import Sequence

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from edeploy.inventory.identity import Identity, same_machine
from edeploy.inventory.items import Item, Report
from edeploy.machines.refusal import BadRequest, NotFound, Refusal
from edeploy.machines.schema import Event, IdentityPart, Lease, Machine, ReportRow
from edeploy.machines.states import Standing, State, Verb, after

KEPT_REPORTS = 10
"""Different reports kept of each machine; an equal one makes no new row."""


def note(
    session: Session, kind: str, text: str, *, now: float, machine: Machine | None = None
) -> None:
    """Add an event. `text` never holds a secret."""
    session.add(
        Event(
            at=now,
            machine_id=machine.id if machine else None,
            kind=kind,
            state=machine.state if machine else None,
            text=text,
        )
    )


def move(
    session: Session,
    machine: Machine,
    verb: Verb,
    text: str,
    *,
    now: float,
    deadline: float | None = None,
) -> None:
    """Take the way `verb`: state, deadline and event at once; NotAllowed when there is none."""
    target = after(State(machine.state), verb)
    if machine.state != target:
        machine.since = now
    machine.state = target
    machine.deadline = deadline
    if target is not State.FAILED:
        machine.failed_from = machine.failed_phase = machine.failed_reason = None
    note(session, verb, text, now=now, machine=machine)


def standing(session: Session, machine: Machine) -> Standing:
    """What decides the machine's network boot."""
    lease = live_lease(session, machine)
    return Standing(
        State(machine.state),
        finished=lease is not None and lease.finished is not None,
        failed_from=State(machine.failed_from) if machine.failed_from else None,
    )


def live_lease(session: Session, machine: Machine) -> Lease | None:
    """The lease that the machine has now: held, spent or kept."""
    return session.scalar(
        select(Lease).where(Lease.machine_id == machine.id, Lease.state != "returned")
    )


def enrol(
    session: Session, identity: Identity, report: Report, *, address: str, now: float
) -> tuple[Machine, bool]:
    """The machine that this report is of, its parts and report stored; True when it is new."""
    if not (identity.serial or identity.uuid or identity.macs):
        raise BadRequest(
            "the report has no serial number, UUID or network card to know this machine by",
            "Items wanted: system/product/serial, system/product/uuid or network/…/serial.",
        )
    machine = known(session, identity, now=now)
    new = machine is None
    if machine is None:
        machine = Machine(
            name=_free_name(session, identity.name),
            state=State.DISCOVERED,
            since=now,
            created=now,
            last_seen=now,
        )
        session.add(machine)
        session.flush()
        note(session, "discovered", f"first report, from {address}", now=now, machine=machine)
    machine.last_seen = now
    machine.address = address
    machine.serial = identity.serial or machine.serial
    machine.uuid = identity.uuid or machine.uuid
    _remember(machine, identity)
    _store_report(session, machine, report, now)
    return machine, new


def known(session: Session, identity: Identity, *, now: float) -> Machine | None:
    """The machine with this identity; Refusal when two fit equally well: never guess."""
    scored = [
        machine
        for machine in _sharing(session, identity)
        if same_machine(identity_of(machine), identity)
    ]
    if len(scored) <= 1:
        return scored[0] if scored else None
    strict = [m for m in scored if m.serial == identity.serial and m.uuid == identity.uuid]
    if len(strict) == 1:
        return strict[0]
    names = ", ".join(sorted(machine.name for machine in scored))
    note(session, "collision", f"a report of {identity.name} fits {names}", now=now)
    raise Refusal(
        f"this report fits more than one machine: {names}",
        "Two machines share serial, UUID or network cards; correct their SMBIOS strings.",
    )


def booting(session: Session, *, mac: str, uuid: str, serial: str) -> Machine | None:
    """The machine whose firmware asks for a boot script; firmware knows one MAC only."""
    identity = Identity(
        name=mac or "unknown", serial=serial or None, uuid=uuid or None, macs=(mac,) if mac else ()
    )
    sharing = _sharing(session, identity)
    same = [machine for machine in sharing if same_machine(identity_of(machine), identity)]
    by_mac = [machine for machine in sharing if mac in identity_of(machine).macs]
    for machines in (same, by_mac):
        if len(machines) == 1:
            return machines[0]
    return None


def identity_of(machine: Machine) -> Identity:
    """All parts that the machine was seen with."""
    macs = tuple(sorted(part.value for part in machine.identities if part.kind == "mac"))
    return Identity(name=machine.name, serial=machine.serial, uuid=machine.uuid, macs=macs)


def find(session: Session, wanted: str) -> Machine:
    """The machine of that name, hostname, serial or MAC; NotFound or Refusal when not one."""
    parts = select(IdentityPart.machine_id).where(
        or_(IdentityPart.value == wanted, IdentityPart.value == wanted.lower())
    )
    rows = session.scalars(
        select(Machine).where(
            or_(Machine.name == wanted, Machine.hostname == wanted, Machine.id.in_(parts))
        )
    ).all()
    exact = [machine for machine in rows if machine.name == wanted] or list(rows)
    if not exact:
        raise NotFound(f"no machine is called {wanted!r}", "`edeploy machine ls` lists them.")
    if len(exact) > 1:
        names = ", ".join(sorted(machine.name for machine in exact))
        raise Refusal(f"{wanted!r} means more than one machine: {names}", "Use the name.")
    return exact[0]


def last_report(session: Session, machine: Machine) -> Report | None:
    """What the machine said last about its hardware."""
    row = session.scalar(
        select(ReportRow).where(ReportRow.machine_id == machine.id).order_by(ReportRow.last.desc())
    )
    if row is None:
        return None
    return Report(tuple(Item(*fields) for fields in json.loads(row.body)))


def _sharing(session: Session, identity: Identity) -> Sequence[Machine]:
    wanted = [("mac", mac) for mac in identity.macs]
    wanted += [("serial", identity.serial)] if identity.serial else []
    wanted += [("uuid", identity.uuid)] if identity.uuid else []
    if not wanted:
        return []
    ids = select(IdentityPart.machine_id).where(
        or_(*((IdentityPart.kind == k) & (IdentityPart.value == v) for k, v in wanted))
    )
    return session.scalars(select(Machine).where(Machine.id.in_(ids)).order_by(Machine.id)).all()


def _remember(machine: Machine, identity: Identity) -> None:
    """The serial and UUID of now, and the network cards of the last report."""
    wanted = {("mac", mac) for mac in identity.macs}
    wanted |= {("serial", machine.serial)} if machine.serial else set()
    wanted |= {("uuid", machine.uuid)} if machine.uuid else set()
    have = {(part.kind, part.value): part for part in machine.identities}
    for key, part in have.items():
        if key not in wanted:
            machine.identities.remove(part)
    for kind, value in sorted(wanted - have.keys()):
        machine.identities.append(IdentityPart(kind=kind, value=value))


def _free_name(session: Session, name: str) -> str:
    like = Machine.name.startswith(name, autoescape=True)
    taken = set(session.scalars(select(Machine.name).where(like)))
    candidates = (name if n == 1 else f"{name}-{n}" for n in range(1, len(taken) + 2))
    return next(candidate for candidate in candidates if candidate not in taken)


def _store_report(session: Session, machine: Machine, report: Report, now: float) -> None:
    body = json.dumps(report.rows(), ensure_ascii=False)
    digest = hashlib.sha256(body.encode()).hexdigest()
    rows = session.scalars(
        select(ReportRow).where(ReportRow.machine_id == machine.id).order_by(ReportRow.last.desc())
    ).all()
    same = next((row for row in rows if row.sha256 == digest), None)
    if same is not None:
        same.last = now
        return
    session.add(ReportRow(machine_id=machine.id, first=now, last=now, sha256=digest, body=body))
    for row in rows[KEPT_REPORTS - 1 :]:
        session.delete(row)
