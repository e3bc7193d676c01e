"""Reports as records keep them: once for each that says something new."""

from pathlib import Path

import pytest
from sqlalchemy import select

from edeploy.inventory.items import Item, Report
from edeploy.machines.database import Database
from edeploy.machines.reports import history, last_report, store
from edeploy.machines.schema import Event, Machine

OWN = Report((Item("system", "product", "serial", "S1"), Item("disk", "sda", "size", "300")))
OTHER_DISK = Report((Item("system", "product", "serial", "S1"), Item("disk", "sda", "size", "600")))


def at_port(report: Report, port: str) -> Report:
    return Report((*report.items, Item("lldp", "eth0", "port", port)))


@pytest.mark.parametrize(
    ("told", "kept", "last"),
    [
        ([OWN, OWN], 1, OWN),
        ([OWN, OTHER_DISK], 2, OTHER_DISK),
        # A neighbour is heard later: the same report, and more of it.
        ([OWN, at_port(OWN, "1")], 1, at_port(OWN, "1")),
        ([at_port(OWN, "1"), OWN], 1, at_port(OWN, "1")),
        ([at_port(OWN, "1"), OTHER_DISK], 2, at_port(OTHER_DISK, "1")),
        # Plugged in elsewhere.
        ([OWN, at_port(OWN, "1"), OWN, at_port(OWN, "2")], 2, at_port(OWN, "2")),
    ],
)
def test_reports_that_are_kept(tmp_path: Path, told: list[Report], kept: int, last: Report) -> None:
    database = Database(tmp_path / "db")
    with database.write() as session:
        machine = Machine(name="m", state="discovered", since=0.0, created=0.0, last_seen=0.0)
        session.add(machine)
        session.flush()
        for now, report in enumerate(told, 1):
            store(session, machine, report, now=float(now))
            session.flush()
        assert len(history(session, machine)) == kept
        assert last_report(session, machine) == last
        assert len(session.scalars(select(Event)).all()) == kept - 1
