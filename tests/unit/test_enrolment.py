"""Whose report it is, in the records: known again, new, held; and the ways out."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from fleet import Parts, server
from old_records import insert, records_at
from sqlalchemy import select

from edeploy.inventory.identity import identify
from edeploy.inventory.items import Item, Report
from edeploy.machines import attempts, conflicts, hardware, installs, reports, views
from edeploy.machines.database import Database
from edeploy.machines.enrolment import MANY, booting, enrol
from edeploy.machines.leases import candidates
from edeploy.machines.policy import Policy
from edeploy.machines.records import find, standing
from edeploy.machines.refusal import BadRequest, NotFound, Refusal
from edeploy.machines.reporting import Answer, take_report
from edeploy.machines.schema import Event, Machine
from edeploy.machines.states import Boot, boot
from edeploy.match.profiles import load_profiles

A, B = server(1), server(2)
POLICY = Policy(reserve_minutes=10, deadline_minutes=60, first_boot_minutes=15)


class Site:
    """The records, and machines that report to them; time goes on by itself."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(folder / "db")
        self.now = 1000.0
        profiles = folder / "profiles"
        profiles.mkdir()
        (profiles / "state").write_text("[('web', '*')]\n")
        (profiles / "web.specs").write_text("[('system', 'product', 'vendor', 'Makers')]\n")
        (profiles / "web.configure").write_text("set_role('web', '1', disk='sda')\n")
        self.profiles = load_profiles(profiles).profiles

    def report(self, parts: Parts | Report) -> str:
        """The name of the machine that the report was taken for."""
        said = parts.report() if isinstance(parts, Parts) else parts
        self.now += 60
        with self.database.write() as session:
            machine, _ = enrol(session, identify(said), said, address="10.0.0.9", now=self.now)
            return machine.name

    def ask(self, parts: Parts) -> Answer:
        """The whole way of a report."""
        self.now += 60
        said = parts.report()
        offered = candidates(self.profiles, said)
        return take_report(self.database, said, offered, POLICY, address="a", now=self.now)

    def hold(self, name: str) -> str | None:
        with self.database.read() as session:
            return find(session, name).hold

    def names(self) -> list[str]:
        with self.database.read() as session:
            return list(session.scalars(select(Machine.name).order_by(Machine.id)))

    def events(self, name: str, *kinds: str) -> list[str]:
        with self.database.read() as session:
            machine = find(session, name)
            rows = session.scalars(select(Event).where(Event.machine_id == machine.id))
            return [row.text for row in rows if not kinds or row.kind in kinds]

    def do(self, order: Callable[..., object], *words: str) -> None:
        self.now += 60
        with self.database.write() as session:
            order(session, *words, now=self.now)

    def show(self, name: str) -> dict[str, object]:
        with self.database.read() as session:
            return views.machine(session, name)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_machine_keeps_its_name_through_all_swaps(site: Site) -> None:
    name = site.report(A)
    assert name == "Box-Makers-CZ000001A"
    site.report(B)
    parts = A.but(macs=("ac:1f:6b:00:00:01", A.macs[1]))
    assert site.report(parts) == name
    parts = parts.but(disks=("WD9X", "WD8X"))
    assert site.report(parts) == name
    parts = parts.but(uuid=B.uuid[:-1] + "f" if B.uuid else None, board="PH9X")
    assert site.report(parts) == name
    parts = parts.but(serial="CZ999999Z")
    assert site.report(parts) == name
    assert len(site.names()) == 2
    assert len(site.events(name, "hardware-changed")) == 4


def test_one_junk_serial_gives_two_machines(site: Site) -> None:
    junk = "To be filled by O.E.M."
    assert site.report(A.but(serial=junk)) != site.report(B.but(serial=junk))


def test_one_real_serial_gives_two_machines_that_are_told_apart(site: Site) -> None:
    twin = B.but(serial=A.serial)
    assert [site.report(parts) for parts in (A, twin, A, twin)] == [
        "Box-Makers-CZ000001A",
        "Box-Makers-CZ000001A-2",
        "Box-Makers-CZ000001A",
        "Box-Makers-CZ000001A-2",
    ]
    assert site.hold("Box-Makers-CZ000001A-2") is None
    assert "another machine than Box-Makers-CZ000001A" in site.events(twin.macs[0])[0]


def test_without_marks_a_machine_is_refused(site: Site) -> None:
    for parts in (Parts(), Parts("Empty"), Parts(chassis="CH1X", disks=("WD1X",))):
        with pytest.raises(BadRequest, match="nothing to know this machine by"):
            site.report(parts)
    assert site.names() == []
    with site.database.read() as session:
        texts = list(session.scalars(select(Event.text).where(Event.kind == "nameless")))
    assert len(texts) == 3 and all("10.0.0.9" in text for text in texts)


def test_a_serial_that_its_maker_gave_to_all(site: Site) -> None:
    """Unknown junk: each of the first is told apart by hand or by its UUID, then it is known."""
    for number in range(1, MANY + 1):
        site.report(server(number).but(serial="WHITEBOX-9"))
    site.report(Parts("WHITEBOX-9", macs=("ac:1f:6b:00:00:01",)))
    assert all(site.hold(name) is None for name in site.names())
    with pytest.raises(BadRequest):
        site.report(Parts("WHITEBOX-9"))


def test_a_conflict_holds_the_machine_and_says_why(site: Site) -> None:
    first = site.report(A)
    stranger = B.but(disks=A.disks)
    answer = site.ask(stranger)
    assert answer.machine != first and answer.do == "hold" and answer.token is None
    reason = site.hold(answer.machine)
    assert reason is not None and answer.why == reason
    assert f"{first}: " in reason and "2 of 2 disks +100" in reason
    assert f"edeploy machine same {answer.machine} {first} --yes" in reason
    assert f"edeploy machine new {answer.machine}" in reason
    assert site.events(answer.machine, "held") == [reason]
    assert answer.machine in site.events(first, "conflict")[0]
    assert site.show(first)["in_doubt"] == [answer.machine]
    # However often it reports: no other record, no lease.
    assert [site.ask(stranger).do for _ in range(3)] == ["hold"] * 3
    assert len(site.names()) == 2
    assert site.show(answer.machine)["lease"] is None
    with site.database.read() as session:
        assert boot(standing(session, find(session, answer.machine))) is Boot.HOLD
    assert site.ask(A).do == "install"


def test_a_serial_of_one_and_the_rest_of_another(site: Site) -> None:
    one, two = site.report(A), site.report(B)
    mixed = site.report(B.but(serial=A.serial))
    reason = site.hold(mixed)
    assert reason is not None and reason.startswith("not clear which machine this is")
    for name in (one, two):
        assert f"as {name}: " in reason and f"edeploy machine same {mixed} {name} --yes" in reason


def test_same(site: Site) -> None:
    first = site.report(A)
    site.ask(A)
    stranger = B.but(disks=A.disks)
    held = site.ask(stranger).machine
    site.do(conflicts.same, held, first)
    assert site.names() == [first]
    assert site.hold(first) is None
    assert site.report(stranger) == first
    shown = site.show(first)
    assert shown["serial"] == B.serial and shown["state"] == "reserved"
    assert any(held in text for text in site.events(first, "same"))
    assert "network" in site.events(first, "hardware-changed")[0]
    with pytest.raises(NotFound):
        site.show(held)
    assert site.ask(stranger).do == "install"


def test_same_of_an_old_conflict_leaves_the_marks_of_now(site: Site) -> None:
    first = site.report(A)
    held = site.report(B.but(disks=A.disks))
    site.report(A)
    site.do(conflicts.same, held, first)
    assert site.show(first)["serial"] == A.serial
    assert site.report(A) == first
    assert "Box" in site.report(B) and len(site.names()) == 2


def test_same_keeps_attempts_and_the_number_of_each(site: Site) -> None:
    first = site.ask(A).machine
    held = site.ask(B.but(disks=A.disks)).machine
    site.do(conflicts.same, held, first)
    with site.database.read() as session:
        log = views.log(session, first)
        assert [attempt["number"] for attempt in log["attempts"]] == [1, 2]  # type: ignore[attr-defined]
        latest = attempts.latest(session, find(session, first))
        assert latest is not None and latest.number == 2


def test_same_never_drops_a_lease(site: Site) -> None:
    first, second = site.ask(A).machine, site.ask(B).machine
    with pytest.raises(Refusal, match="holds a lease of web"):
        site.do(conflicts.same, first, second)
    with pytest.raises(BadRequest):
        site.do(conflicts.same, first, first)
    assert len(site.names()) == 2


def test_new(site: Site) -> None:
    first = site.report(A)
    stranger = B.but(disks=A.disks)
    held = site.ask(stranger).machine
    site.do(conflicts.new, held)
    assert site.hold(held) is None
    assert site.ask(stranger).do == "install"
    assert site.report(A) == first
    # What the two still have in common is known to tell nothing.
    assert site.report(stranger.but(macs=B.macs[:2])) == held
    with pytest.raises(Refusal, match="not held"):
        site.do(conflicts.new, held)


def test_a_doubt_ends_with_its_cause(site: Site) -> None:
    first = site.report(A)
    held = site.report(B.but(disks=A.disks))
    site.report(A.but(disks=("WD7X", "WD6X")))
    assert site.hold(held) is not None
    assert site.report(B.but(disks=A.disks)) == held
    assert site.hold(held) is None
    assert len(site.events(held, "released")) == 1
    assert site.show(first)["in_doubt"] == []


def test_a_hold_ends_no_install_but_begins_none(site: Site) -> None:
    token = site.ask(A).token
    assert token is not None
    with site.database.write() as session:
        find(session, str(A.serial)).hold = "an operator's word"
    with pytest.raises(Refusal, match="is held"), site.database.write() as session:
        installs.redeem(session, token, POLICY, now=site.now)


def test_a_kind_of_marks_that_a_report_lacks_is_not_forgotten(site: Site) -> None:
    """The probe of disks failed, or the ramdisk lacks a driver."""
    name = site.report(A)
    site.report(A.but(disks=(), board=None))
    assert site.report(B.but(serial="ZZ9X", disks=A.disks)) != name
    kinds = {str(mark["kind"]) for mark in site.show(name)["marks"]}  # type: ignore[attr-defined]
    assert kinds == {"serial", "uuid", "board", "chassis", "mac", "disk"}


def test_by_which_marks_and_how_sure(site: Site) -> None:
    name = site.report(A)
    assert site.show(name)["verdict"]["same"] is None  # type: ignore[index]
    site.report(B.but(chassis=A.chassis))
    site.report(A.but(disks=(A.disks[0], "WD9X")))
    shown = site.show(name)
    marks = {(mark["kind"], mark["value"]): mark for mark in shown["marks"]}  # type: ignore[attr-defined]
    assert marks["chassis", "ch000001c"]["also"] == ["Box-Makers-CZ000002A"]
    assert marks["disk", "wd000001-0x"]["since"] == 1060.0
    assert marks["disk", "wd9x"]["since"] == 1180.0
    same = shown["verdict"]["same"]  # type: ignore[index]
    assert same["machine"] == name and same["points"] == 290
    assert {"kind": "disk", "points": 50, "text": "1 of 2 disks"} in same["evidence"]


def test_found_by_what_is_printed_on_it(site: Site) -> None:
    name = site.report(A)
    for word in (A.serial, A.macs[1].upper(), A.uuid, A.disks[0], name, str(A.serial).lower()):
        with site.database.read() as session:
            assert find(session, str(word)).name == name


def test_the_boot_script_is_for_the_machine_that_asks(site: Site) -> None:
    name = site.report(A)
    other = site.report(B.but(serial=A.serial))
    with site.database.read() as session:
        for parts, expected in ((A, name), (B, other)):
            asked = {"mac": parts.macs[2], "uuid": str(parts.uuid).upper(), "serial": A.serial}
            found = booting(session, **asked)  # type: ignore[arg-type]
            assert found is not None and found.name == expected
        assert booting(session, mac="", uuid="", serial="") is None
        assert booting(session, mac="ac:1f:6b:00:00:01", uuid="", serial="None") is None


def test_two_first_reports_at_once_are_one_machine(tmp_path: Path) -> None:
    sites = [Database(tmp_path / "db") for _ in range(2)]
    gate = threading.Barrier(8)
    names = []

    def enrols(database: Database) -> None:
        gate.wait()
        with database.write() as session:
            machine, _ = enrol(session, identify(A.report()), A.report(), address="a", now=1.0)
            names.append(machine.name)

    threads = [threading.Thread(target=enrols, args=(sites[n % 2],)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names == ["Box-Makers-CZ000001A"] * 8


def test_reports_are_kept_while_they_differ(site: Site) -> None:
    name = site.report(A)
    for _ in range(3):
        site.report(A)
    linked = Report((*A.report().items, Item("network", "eth0", "link", "yes")))
    site.report(linked)
    with site.database.read() as session:
        rows = reports.history(session, find(session, name))
        assert [(row.first, row.last) for row in rows] == [(1060.0, 1300.0)]
        assert reports.last_report(session, find(session, name)) == linked
    for version, flags in (("6.1", "fpu"), ("6.2", "fpu avx")):
        of_kernel = (
            Item("system", "kernel", "version", version),
            Item("cpu", "physical_0", "flags", flags),
        )
        site.report(A.but(more=(*of_kernel, Item("cpu", "physical_0", "product", "P"))))
    with site.database.read() as session:
        assert len(reports.history(session, find(session, name))) == 2
    for number in range(reports.KEPT + 5):
        site.report(A.but(disks=(f"WD{number}00X",)))
    with site.database.read() as session:
        rows = reports.history(session, find(session, name))
        assert len(rows) == reports.KEPT
        assert all(old.last < new.first for new, old in zip(rows, rows[1:], strict=False))
        assert reports.read(rows[0]).value("disk", "sda", "serial") == f"WD{number}00X"


def test_neighbours_are_kept_until_others_are_heard(site: Site) -> None:
    def heard(switch: str) -> Report:
        return Report((*A.report().items, Item("lldp", "eth0", "switch", switch)))

    name = site.report(A)
    for said in (heard("tor-1"), A.report()):
        site.report(said)
        with site.database.read() as session:
            assert reports.last_report(session, find(session, name)) == heard("tor-1")
    assert site.events(name, "hardware-changed") == []
    site.report(heard("tor-2"))
    assert site.events(name, "hardware-changed") == ["lldp eth0 switch tor-1 → tor-2"]


def test_diff(site: Site) -> None:
    name = site.report(A)
    with site.database.read() as session:
        alone = hardware.since(session, name, number=None, at=None, everything=False)
        assert alone["changes"] == [] and alone["from"] == alone["to"]
    site.report(A.but(disks=A.disks[:1]))
    site.report(A.but(disks=(A.disks[0], "WD9X")))
    with site.database.read() as session:
        last = hardware.since(session, name, number=None, at=None, everything=False)
        assert [change["text"] for change in last["changes"]] == ["disk sdb (WD9X) is new"]  # type: ignore[attr-defined]
        oldest = last["from"]["report"] - 1  # type: ignore[index]
        for asked in ({"number": oldest, "at": None}, {"number": None, "at": 1.0}):
            found = hardware.since(session, name, everything=False, **asked)
            assert [change["text"] for change in found["changes"]] == [  # type: ignore[attr-defined]
                "disk sdb serial WD000001-1X → WD9X"
            ]
        with pytest.raises(NotFound, match="no report 99"):
            hardware.since(session, name, number=99, at=None, everything=False)
    other = site.report(B.but(disks=B.disks[:1]))
    with site.database.read() as session:
        found = hardware.between(session, name, other, everything=False)
        assert [change["text"] for change in found["changes"]] == ["disk sdb gone"]  # type: ignore[attr-defined]


def test_records_of_before_are_known_again(tmp_path: Path) -> None:
    """A database of revision 0002 with a serial as it was stored then."""
    with records_at(tmp_path / "db", "0002") as connection:
        insert(connection, "machines", id=1, name="old", state="discovered", created=1060.0)
        for kind, value in (("serial", "CZ 0001 Ab"), ("mac", A.macs[0])):
            insert(connection, "identities", machine_id=1, kind=kind, value=value)
    site = Site(tmp_path)
    site.report(A.but(serial="CZ 0001 Ab", macs=(), uuid=None))
    assert site.names() == ["old"]
    assert site.show(A.macs[0])["marks"][0]["since"] == 1060.0  # type: ignore[index]
