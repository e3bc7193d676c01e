"""Reports of any mixture of parts: no doubt ever installs, and no machine has two records."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import select

from edeploy.errors import EdeployError
from edeploy.inventory.items import Item, Report
from edeploy.machines import conflicts, views
from edeploy.machines.database import Database
from edeploy.machines.leases import candidates
from edeploy.machines.policy import Policy
from edeploy.machines.records import standing
from edeploy.machines.reporting import Answer, take_report
from edeploy.machines.schema import Attempt, Event, Lease, Machine, ReportRow
from edeploy.machines.states import Boot, boot, may_write
from edeploy.match.profiles import load_profiles

POLICY = Policy(reserve_minutes=10, deadline_minutes=60, first_boot_minutes=15)
FROM = st.integers(0, 3)  # whose part; 0: none, or junk
PARTS = st.tuples(FROM, FROM, FROM, FROM, FROM)


def mixed(parts: tuple[int, int, int, int, int]) -> Report:
    """The serial of one, the UUID of another, …"""
    serial, uuid, board, card, disk = parts
    rows = [
        ("system", "product", "vendor", "Makers"),
        ("system", "product", "serial", f"CZ{serial}77A" if serial else "Default string"),
        ("system", "chassis", "serial", "CHASSIS7"),
    ]
    if uuid:
        rows.append(("system", "product", "uuid", f"4c4c4544-0035-3010-8048-{uuid:012x}"))
    if board:
        rows.append(("system", "motherboard", "serial", f"PH{board}77B"))
    if card:
        rows.append(("network", "eth0", "serial", f"d8:9d:67:00:00:0{card}"))
    if disk:
        rows.append(("disk", "sda", "serial", f"WD{disk}77X"))
    return Report(tuple(Item(*row) for row in rows))


class Mixtures(RuleBasedStateMachine):
    """Whole machines, mixtures of them, and an operator who decides as chance has it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        root = Path(self.folder.name)
        (root / "state").write_text("[('web', '*')]\n")
        (root / "web.specs").write_text("[('system', 'product', 'vendor', 'Makers')]\n")
        (root / "web.configure").write_text("set_role('web', '1', disk='sda')\n")
        self.profiles = load_profiles(root).profiles
        self.database = Database(root / "db")
        self.now = 1000.0

    def teardown(self) -> None:
        self.database.close()
        self.folder.cleanup()

    def take(self, report: Report) -> Answer:
        self.now += 1
        offered = candidates(self.profiles, report)
        return take_report(self.database, report, offered, POLICY, address="a", now=self.now)

    @rule(number=st.integers(1, 3))
    def whole(self, number: int) -> None:
        self.reports((number,) * 5)

    @rule(parts=PARTS)
    def reports(self, parts: tuple[int, int, int, int, int]) -> None:
        report = mixed(parts)
        try:
            first = self.take(report)
        except EdeployError:
            assert not any(parts[:4]), "a report with marks was refused"
            return
        second = self.take(report)
        assert (first.machine, first.do) == (second.machine, second.do)
        with self.database.read() as session:
            held = session.scalar(select(Machine.hold).where(Machine.name == first.machine))
        assert (first.do == "hold") == (held is not None)

    @precondition(lambda self: self.held())
    @rule(which=st.integers(0, 9))
    def its_own(self, which: int) -> None:
        names = self.held()
        with self.database.write() as session:
            apart = conflicts.new(session, names[which % len(names)], now=self.now)
            assert apart.hold is None

    @precondition(lambda self: self.held())
    @rule(which=st.integers(0, 9), other=st.integers(0, 9))
    def the_same(self, which: int, other: int) -> None:
        held, names = self.held(), self.names()
        name, known = held[which % len(held)], names[other % len(names)]
        if name == known:
            return
        with self.database.write() as session:
            assert conflicts.same(session, name, known, now=self.now).name == known
        assert name not in self.names()

    def held(self) -> list[str]:
        with self.database.read() as session:
            rows = session.scalars(select(Machine.name).where(Machine.hold.is_not(None)))
            return sorted(rows)

    def names(self) -> list[str]:
        with self.database.read() as session:
            return sorted(session.scalars(select(Machine.name)))

    @invariant()
    def what_is_held_is_left_alone(self) -> None:
        with self.database.read() as session:
            for machine in session.scalars(select(Machine).where(Machine.hold.is_not(None))):
                assert machine.hold is not None
                leases = session.scalars(select(Lease).where(Lease.machine_id == machine.id)).all()
                assert leases == []
                assert not may_write(standing(session, machine))
                assert boot(standing(session, machine)) is Boot.HOLD
                doubts = (machine.verdict or {})["doubts"]
                assert isinstance(doubts, list) and doubts
                for doubt in doubts:
                    assert f"as {doubt['machine']}: {doubt['points']} points" in machine.hold

    @invariant()
    def nothing_points_to_a_record_that_is_gone(self) -> None:
        with self.database.read() as session:
            ids = set(session.scalars(select(Machine.id)))
            for table in (Attempt, Event, ReportRow, Lease):
                assert set(session.scalars(select(table.machine_id))) <= ids | {None}
            for name in self.names():
                assert views.machine(session, name)["marks"] != []
                views.log(session, name)


TestMixtures = Mixtures.TestCase
TestMixtures.settings = settings(
    max_examples=12,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
