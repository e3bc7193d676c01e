"""Which machine a report is of: looked up by its marks, made new, or held when nobody can know."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from edeploy.inventory import likeness
from edeploy.inventory.identity import KINDS, Identity, Mark, firmware_identity
from edeploy.inventory.items import Report
from edeploy.inventory.likeness import Known, Scored, Verdict, decide
from edeploy.machines import reports
from edeploy.machines.records import note
from edeploy.machines.refusal import BadRequest
from edeploy.machines.schema import IdentityPart, JsonObject, Machine
from edeploy.machines.states import State

MANY = 16
"""Machines with one and the same mark, from which on it tells nothing and is not looked up."""

LISTED = 5
"""Other machines that a verdict names."""


def enrol(
    session: Session, identity: Identity, report: Report, *, address: str, now: float
) -> tuple[Machine, bool]:
    """The machine that this report is of, its marks and report stored; True when it is new.

    When it may be one of several, or a new one, it gets a record of its own that is held: what
    is known stays as it is until an operator says which it is (see `conflicts`).
    """
    worn = _worn(session, identity.marks)
    marks = identity.marks - worn
    if not (identity.tells and marks):
        text = f"a report from {address} has nothing to know its machine by"
        note(session, "nameless", text, now=now)
        raise BadRequest(
            "the report has nothing to know this machine by: its serial number, UUID and network"
            " cards are missing, known junk, or the same in many machines",
            "Set the serial number in its firmware; docs/reference/identity.md says what counts.",
        )
    known = _candidates(session, marks, worn)
    verdict = decide(marks, known)
    machine = session.get(Machine, verdict.same.known.id) if verdict.same else None
    new = machine is None
    if machine is None:
        machine = _add(session, identity, verdict, address, now)
    elif machine.hold is not None:
        others = [one for one in known if one.id != machine.id]
        verdict = _again(session, machine, verdict, decide(marks, others), now)
    machine.verdict = _told(verdict, now)
    machine.last_seen = now
    machine.address = address
    remember(machine, identity, now=now)
    reports.store(session, machine, report, now=now)
    return machine, new


def booting(session: Session, *, mac: str, uuid: str, serial: str) -> Machine | None:
    """The machine whose firmware asks for a boot script; None: unknown, or not clear."""
    asked = firmware_identity(mac, uuid, serial).marks
    worn = _worn(session, asked)
    found = likeness.booting(asked - worn, _candidates(session, asked - worn, worn))
    return session.get(Machine, found.id) if found else None


def remember(machine: Machine, identity: Identity, *, now: float) -> None:
    """The machine's marks are those of this report; of a kind that it lacks, those of before."""
    machine.serial = identity.serial or machine.serial
    machine.uuid = identity.uuid or machine.uuid
    for kind in KINDS:
        wanted = {mark.value for mark in identity.marks if mark.kind == kind}
        have = {part.value: part for part in machine.identities if part.kind == kind}
        if not wanted:
            continue
        for value in have.keys() - wanted:
            machine.identities.remove(have[value])
        for value in sorted(wanted - have.keys()):
            machine.identities.append(IdentityPart(kind=kind, value=value, since=now))


def _candidates(session: Session, marks: frozenset[Mark], worn: frozenset[Mark]) -> list[Known]:
    """The machines that share one of these marks, with all of theirs but the worn ones."""
    shared = _any_of(marks)
    if shared is None:
        return []
    owners = select(IdentityPart.machine_id).where(shared)
    rows = session.execute(
        select(Machine.id, Machine.name, Machine.hold, IdentityPart.kind, IdentityPart.value)
        .join(IdentityPart, IdentityPart.machine_id == Machine.id)
        .where(Machine.id.in_(owners))
    ).all()
    found: dict[int, Known] = {}
    theirs: dict[int, set[Mark]] = {}
    for id_, name, hold, kind, value in rows:
        theirs.setdefault(id_, set()).add(Mark(kind, value))
        found[id_] = Known(id_, name, frozenset(), held=hold is not None)
    return [
        Known(id_, one.name, frozenset(theirs[id_] - worn), one.held) for id_, one in found.items()
    ]


def _worn(session: Session, marks: frozenset[Mark]) -> frozenset[Mark]:
    """Those of the marks that MANY machines have: a serial that its maker gave to all."""
    shared = _any_of(marks)
    if shared is None:
        return frozenset()
    worn = session.execute(
        select(IdentityPart.kind, IdentityPart.value)
        .where(shared)
        .group_by(IdentityPart.kind, IdentityPart.value)
        .having(func.count() >= MANY)
    ).all()
    return frozenset(Mark(kind, value) for kind, value in worn)


def _any_of(marks: Iterable[Mark]) -> ColumnElement[bool] | None:
    """Rows with one of these marks, in the form that the index by kind and value answers."""
    wanted: dict[str, list[str]] = {}
    for mark in sorted(marks):
        wanted.setdefault(mark.kind, []).append(mark.value)
    each = [
        and_(IdentityPart.kind == kind, IdentityPart.value.in_(values))
        for kind, values in wanted.items()
    ]
    return or_(*each) if each else None


def _add(
    session: Session, identity: Identity, verdict: Verdict, address: str, now: float
) -> Machine:
    machine = Machine(
        name=_free_name(session, identity.name),
        state=State.DISCOVERED,
        since=now,
        created=now,
        last_seen=now,
    )
    session.add(machine)
    session.flush()
    text = f"first report, from {address}"
    for other in verdict.others[:1]:
        text += f"; another machine than {other.known.name}, {other.likeness}"
    note(session, "discovered", text, now=now, machine=machine)
    if verdict.doubts:
        machine.hold = _reason(machine, verdict.doubts)
        note(session, "held", machine.hold, now=now, machine=machine)
        for doubt in verdict.doubts:
            rival = session.get(Machine, doubt.known.id)
            text = f"{machine.name} is held: it may be this machine, {doubt.likeness}"
            note(session, "conflict", text, now=now, machine=rival)
    return machine


def _again(
    session: Session, machine: Machine, own: Verdict, against: Verdict, now: float
) -> Verdict:
    """A held machine reports again: the hold lasts as long as there are others that it may be."""
    doubts = against.doubts or ((against.same,) if against.same else ())
    if doubts:
        machine.hold = _reason(machine, doubts)
        return Verdict(own.same, doubts, against.others)
    machine.hold = None
    text = "nothing is in doubt any more: what other machines report has changed"
    note(session, "released", text, now=now, machine=machine)
    return own


def _reason(machine: Machine, doubts: Sequence[Scored]) -> str:
    """Whose it may be, with the evidence, and what an operator can say to it."""
    names = " or ".join(doubt.known.name for doubt in doubts)
    lines = [f"not clear which machine this is: {names}, or one of its own"]
    lines += [f"as {doubt.known.name}: {doubt.likeness}" for doubt in doubts]
    lines += [
        f"if it is: edeploy machine same {machine.name} {doubt.known.name} --yes"
        for doubt in doubts
    ]
    return "\n".join([*lines, f"if it is its own: edeploy machine new {machine.name}"])


def _told(verdict: Verdict, now: float) -> JsonObject:
    return {
        "at": now,
        "same": _scored(verdict.same) if verdict.same else None,
        "doubts": [_scored(one) for one in verdict.doubts],
        "others": [_scored(one) for one in verdict.others[:LISTED]],
    }


def _scored(one: Scored) -> JsonObject:
    return {"machine": one.known.name, **asdict(one.likeness)}


def _free_name(session: Session, name: str) -> str:
    like = Machine.name.startswith(name, autoescape=True)
    taken = set(session.scalars(select(Machine.name).where(like)))
    candidates = (name if n == 1 else f"{name}-{n}" for n in range(1, len(taken) + 2))
    return next(candidate for candidate in candidates if candidate not in taken)
