"""Hardware as operators see it: by which marks a machine is known, and what differs."""

from dataclasses import asdict

from sqlalchemy import select
from sqlalchemy.orm import Session

from edeploy.inventory.changes import Change, changes, differences
from edeploy.inventory.identity import KINDS
from edeploy.machines.records import find
from edeploy.machines.refusal import NotFound
from edeploy.machines.reports import before, history, read
from edeploy.machines.schema import IdentityPart, JsonObject, Machine, ReportRow


def known_by(session: Session, machine: Machine) -> JsonObject:
    """The marks of a machine, how its last report was known by them, who is held for it."""
    parts = sorted(machine.identities, key=lambda part: (KINDS.index(part.kind), part.value))
    return {
        "marks": [
            {
                "kind": part.kind,
                "value": part.value,
                "since": part.since,
                "also": _others(session, part),
            }
            for part in parts
        ],
        "verdict": machine.verdict,
        "in_doubt": _in_doubt(session, machine),
    }


def since(
    session: Session, name: str, *, number: int | None, at: float | None, everything: bool
) -> JsonObject:
    """What changed in a machine since an earlier report (see `reports.before`)."""
    machine = find(session, name)
    rows = _reports(session, machine)
    old, new = before(rows, number=number, at=at), rows[0]
    found = changes(read(old), read(new), everything=everything)
    return _difference(_side(machine, old), _side(machine, new), found, everything)


def between(session: Session, name: str, other: str, *, everything: bool) -> JsonObject:
    """What differs between the last reports of two machines."""
    a, b = find(session, name), find(session, other)
    left, right = _reports(session, a)[0], _reports(session, b)[0]
    found = differences(read(left), read(right), everything=everything)
    return _difference(_side(a, left), _side(b, right), found, everything)


def _reports(session: Session, machine: Machine) -> list[ReportRow]:
    rows = history(session, machine)
    if not rows:
        raise NotFound(f"no report of {machine.name} is kept")
    return list(rows)


def _side(machine: Machine, row: ReportRow) -> JsonObject:
    return {"machine": machine.name, "report": row.id, "first": row.first, "last": row.last}


def _difference(
    old: JsonObject, new: JsonObject, found: tuple[Change, ...], everything: bool
) -> JsonObject:
    return {
        "from": old,
        "to": new,
        "all": everything,
        "changes": [{**asdict(change), "text": str(change)} for change in found],
    }


def _others(session: Session, part: IdentityPart) -> list[str]:
    """The other machines with the same mark."""
    return list(
        session.scalars(
            select(Machine.name)
            .join(IdentityPart, IdentityPart.machine_id == Machine.id)
            .where(
                IdentityPart.kind == part.kind,
                IdentityPart.value == part.value,
                Machine.id != part.machine_id,
            )
            .order_by(Machine.name)
        )
    )


def _in_doubt(session: Session, machine: Machine) -> list[str]:
    """The held machines that may be this one."""
    held = session.scalars(select(Machine).where(Machine.hold.is_not(None))).all()
    return sorted(one.name for one in held if machine.name in _doubts(one))


def _doubts(machine: Machine) -> set[str]:
    doubts = (machine.verdict or {}).get("doubts")
    return {str(doubt["machine"]) for doubt in doubts} if isinstance(doubts, list) else set()
