"""What machines said of their hardware: kept while it differs, and what changed in it."""

import json
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session, defer

from edeploy.inventory.changes import changes, fingerprint, summary
from edeploy.inventory.items import Item, Report
from edeploy.machines.records import note
from edeploy.machines.refusal import NotFound
from edeploy.machines.schema import Machine, ReportRow

NEIGHBOUR = "lldp"
"""The type of the items about what is at the other end of a cable."""

KEPT = 20
"""Reports kept of each machine, the newest; one that says nothing new makes no new row."""


def store(session: Session, machine: Machine, report: Report, *, now: float) -> None:
    """Keep the report; an event says what changed since the last one.

    Neighbours are heard some time after a report, if at all: one without them keeps those that
    were heard before.
    """
    rows = history(session, machine)
    newest = rows[0] if rows else None
    if newest is not None and not report.all(NEIGHBOUR):
        report = Report((*report.items, *read(newest).all(NEIGHBOUR)))
    body = json.dumps(report.rows(), ensure_ascii=False)
    digest = fingerprint(report)
    changed = changes(read(newest), report) if newest and newest.sha256 != digest else ()
    if newest is not None and not changed:
        newest.last, newest.sha256 = now, digest
        if newest.body != body:
            newest.body = body
        return
    session.add(ReportRow(machine_id=machine.id, first=now, last=now, sha256=digest, body=body))
    for row in rows[KEPT - 1 :]:
        session.delete(row)
    if changed:
        note(session, "hardware-changed", summary(changed), now=now, machine=machine)


def history(session: Session, machine: Machine) -> Sequence[ReportRow]:
    """The kept reports, the newest first; what is in one is fetched when it is read."""
    return session.scalars(
        select(ReportRow)
        .options(defer(ReportRow.body))
        .where(ReportRow.machine_id == machine.id)
        .order_by(ReportRow.last.desc(), ReportRow.id.desc())
    ).all()


def newest_number(session: Session, machine: Machine) -> int | None:
    """The number of the newest kept report: it grows when the hardware changes."""
    rows = history(session, machine)
    return rows[0].id if rows else None


def last_report(session: Session, machine: Machine) -> Report | None:
    """What the machine said last about its hardware."""
    rows = history(session, machine)
    return read(rows[0]) if rows else None


def newest_of_all(session: Session) -> dict[int, tuple[int, float]]:
    """Machine's id → the number of its newest kept report, and when it was said last."""
    rows = session.execute(
        select(ReportRow.machine_id, ReportRow.last, ReportRow.id).order_by(
            ReportRow.last, ReportRow.id
        )
    )
    return {machine: (number, last) for machine, last, number in rows}


def read(row: ReportRow) -> Report:
    """The report in a row."""
    return Report(tuple(Item(*fields) for fields in json.loads(row.body)))


def before(rows: Sequence[ReportRow], *, number: int | None, at: float | None) -> ReportRow:
    """Of a history, the report with that number, or of that time, or the one before the newest.

    What was kept longest stands in for a time before it, the newest for one that has none before.
    Raises NotFound.
    """
    if number is not None:
        found = next((row for row in rows if row.id == number), None)
        if found is None:
            kept = ", ".join(str(row.id) for row in rows)
            raise NotFound(f"it has no report {number}", f"Kept are: {kept}.")
        return found
    if at is not None:
        return next((row for row in rows if row.first <= at), rows[-1])
    return rows[min(1, len(rows) - 1)]
