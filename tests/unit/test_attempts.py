"""What the server measures itself: power-on, boot script, report; and what it stores at most."""

import json
from pathlib import Path

import pytest
from sqlalchemy import func, select

from edeploy.inventory.identity import identify
from edeploy.inventory.items import parse_report
from edeploy.machines import attempts
from edeploy.machines.database import Database
from edeploy.machines.enrolment import enrol
from edeploy.machines.refusal import BadRequest
from edeploy.machines.schema import BootScript, LogLine

MAC = "52:54:00:00:00:01"
REPORT = parse_report(
    json.dumps(
        [["system", "product", "serial", "EDL1"], ["network", "eth0", "serial", MAC]]
    ).encode()
)
ASKED = attempts.BootRequest(mac=MAC, uuid="", serial="EDL1", platform="efi")


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "db")


def arrive(database: Database, now: float) -> dict[str, tuple[float, float | None]]:
    with database.write() as session:
        identity = identify(REPORT)
        machine, _ = enrol(session, identity, REPORT, address="10.0.0.9", now=now)
        attempt = attempts.arrive(session, machine, identity, now=now)
        rows = attempts.phases(session, attempt)
        return {row.name: (row.started, row.ended) for row in rows}


@pytest.mark.parametrize(
    "bmc", [{"serial": "EDL1", "mac": None}, {"serial": None, "mac": MAC}], ids=["serial", "mac"]
)
def test_power_script_report(database: Database, bmc: dict[str, str | None]) -> None:
    with database.write() as session:
        attempts.power_given(session, bmc="b1", now=100.0, **bmc)
        attempts.power_given(session, bmc="b2", serial="EDL2", mac=None, now=101.0)
        attempts.script_served(session, ASKED, None, "ramdisk", now=107.5)
    assert arrive(database, 119.0) == {"firmware": (100.0, 107.5), "ramdisk": (107.5, 119.0)}
    # The next report without a boot between is of the same attempt.
    assert arrive(database, 130.0) == {"firmware": (100.0, 107.5), "ramdisk": (107.5, 119.0)}


def test_without_power_the_script_is_the_beginning(database: Database) -> None:
    with database.write() as session:
        attempts.script_served(session, ASKED, None, "ramdisk", now=50.0)
    assert arrive(database, 60.0) == {"firmware": (50.0, 50.0), "ramdisk": (50.0, 60.0)}


def test_a_power_on_counts_for_one_boot(database: Database) -> None:
    with database.write() as session:
        attempts.power_given(session, bmc="b1", serial="EDL1", mac=None, now=100.0)
        attempts.script_served(session, ASKED, None, "ramdisk", now=105.0)
    arrive(database, 110.0)
    with database.write() as session:
        attempts.script_served(session, ASKED, None, "ramdisk", now=205.0)
    assert arrive(database, 210.0) == {"firmware": (205.0, 205.0), "ramdisk": (205.0, 210.0)}


def test_an_old_boot_script_is_no_beginning(database: Database) -> None:
    with database.write() as session:
        attempts.script_served(session, ASKED, None, "ramdisk", now=50.0)
    assert arrive(database, 50.0 + attempts.BOOT_TO_REPORT + 1) == {}


def test_strangers_do_not_fill_the_disk(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "KEPT_BOOT_SCRIPTS", 5)
    for number in range(20):
        asked = attempts.BootRequest(f"52:54:00:00:00:{number:02x}", "", "", "efi")
        with database.write() as session:
            attempts.script_served(session, asked, None, "ramdisk", now=float(number))
    with database.read() as session:
        assert session.scalar(select(func.count(BootScript.id))) == 5


def test_an_agent_gone_mad_does_not_fill_the_disk(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "MAX_LOG_LINES", 10)
    with database.write() as session:
        machine, _ = enrol(session, identify(REPORT), REPORT, address="", now=1.0)
        attempt = attempts.begin(session, machine, now=1.0)
        for _ in range(5):
            attempts.add_log(session, attempt, "fetch", ["x" * 5000] * 4, now=2.0)
    with database.read() as session:
        lines = list(session.scalars(select(LogLine.text).order_by(LogLine.id)))
    assert len(lines) == 10 and "only 10 lines" in lines[-1]
    assert max(map(len, lines)) <= attempts.MAX_LOG_LINE


def test_a_report_that_names_nobody(database: Database) -> None:
    nobody = parse_report(b'[["cpu", "logical", "number", "2"]]')
    with pytest.raises(BadRequest, match="to know this machine by"), database.write() as session:
        enrol(session, identify(nobody), nobody, address="", now=1.0)
