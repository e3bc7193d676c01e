"""Tested machines live any life: nobody is installed untested, and no test is left behind."""

import json
import shutil
import tempfile
from pathlib import Path

from blank import empty_records
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from edeploy.errors import EdeployError
from edeploy.inventory.items import Report, parse_report
from edeploy.machines import operate, testing, views
from edeploy.machines.clearance import wanted_test
from edeploy.machines.database import Database
from edeploy.machines.failures import end_due
from edeploy.machines.leases import candidates
from edeploy.machines.policy import Policy
from edeploy.machines.records import find, live_lease
from edeploy.machines.reporting import take_report
from edeploy.machines.rounds import last_round
from edeploy.machines.schema import HealthTest, Lease, Machine
from edeploy.machines.states import LEASED, State
from edeploy.machines.testing import OPEN, RUNNING, WAITING, Action, Outcome
from edeploy.match.profiles import Profile, load_profiles

RULES = Policy(reserve_minutes=10, deadline_minutes=60, first_boot_minutes=15)
QUOTA = 2
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
NUMBERS = st.integers(1, 3)
DISKS = st.sampled_from([(), ("SPARE7X",)])


def profiles(folder: Path) -> tuple[Profile, ...]:
    (folder / "state").write_text(f"[('web', {QUOTA}, {{'health': 'quick'}})]\n")
    (folder / "web.specs").write_text("[('system', 'product', 'vendor', 'Makers')]\n")
    (folder / "web.configure").write_text("set_role('web', '1', disk='sda')\n")
    return load_profiles(folder).profiles


def hardware(number: int, more: tuple[str, ...]) -> Report:
    rows = [
        ["system", "product", "vendor", "Makers"],
        ["system", "product", "serial", f"EDL{number}"],
        ["network", "eth0", "serial", f"52:54:00:00:00:{number:02x}"],
        ["disk", "sda", "serial", f"DISK{number}"],
        *(["disk", "sdb", "serial", disk] for disk in more),
    ]
    return parse_report(json.dumps(rows).encode())


class Gate(RuleBasedStateMachine):
    """Reports, results, judgements, operators and deadlines, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="edeploy-gate-", dir=MEMORY))
        shutil.copy(empty_records(), self.folder / "db")
        self.database = Database(self.folder / "db")
        self.profiles = profiles(self.folder)
        self.now = 1000.0
        self.secrets: list[str] = []

    def teardown(self) -> None:
        self.database.close()
        shutil.rmtree(self.folder)

    @rule(number=NUMBERS, spare=DISKS)
    def report(self, number: int, spare: tuple[str, ...]) -> None:
        said = hardware(number, spare)
        answer = take_report(
            self.database,
            said,
            candidates(self.profiles, said),
            RULES,
            address="a",
            now=self.now,
        )
        assert (answer.test is not None) is (answer.do == "test")
        if answer.do == "test":
            self.secrets.append(answer.token or "")
        if answer.do == "install":
            with self.database.read() as session:
                machine = find(session, answer.machine)
                lease = live_lease(session, machine)
                assert lease is not None
                assert wanted_test(session, machine, lease, now=self.now) is None

    @rule(number=st.integers(0, 30))
    def results(self, number: int) -> None:
        if not self.secrets:
            return
        secret = self.secrets[number % len(self.secrets)]
        try:
            with self.database.write(durable=False) as session:
                testing.take_progress(session, secret, {"stage": "s"}, now=self.now)
                testing.take_results(session, secret, {}, b"{}", RULES, now=self.now)
        except EdeployError:
            pass

    @rule(action=st.sampled_from(Action))
    def judge(self, action: Action) -> None:
        with self.database.write(durable=False) as session:
            for _, test in testing.cases(session):
                if test.state == WAITING:
                    this = last_round(session, test).id
                    outcome = Outcome(test.id, this, action, "word", "why", stages=("s",))
                    testing.conclude(session, outcome, RULES, now=self.now)

    @rule(number=NUMBERS, what=st.sampled_from(["retest", "accept", "briefly", "retry", "go"]))
    def operator(self, number: int, what: str) -> None:
        name = f"EDL{number}"
        try:
            with self.database.write(durable=False) as session:
                self._order(session, name, what)
        except EdeployError:
            pass

    def _order(self, session: Session, name: str, what: str) -> None:
        if what == "retest":
            operate.test(session, name, None, RULES, now=self.now)
        elif what == "retry":
            operate.retry(session, name, now=self.now)
        elif what == "go":
            testing.go(session, find(session, name), now=self.now)
        else:
            until = self.now + 60 if what == "briefly" else None
            operate.accept(session, name, RULES, reason="r", by="", until=until, now=self.now)

    @rule(minutes=st.sampled_from([1, 6, 12, 100]))
    def later(self, minutes: int) -> None:
        self.now += minutes * 60
        with self.database.write(durable=False) as session:
            end_due(session, now=self.now)

    @invariant()
    def a_machine_is_testing_while_it_has_an_open_test(self) -> None:
        with self.database.read() as session:
            tests = session.scalars(
                select(HealthTest.machine_id).where(HealthTest.state.in_(OPEN))
            ).all()
            machines = session.scalars(
                select(Machine.id).where(Machine.state == State.TESTING)
            ).all()
            assert sorted(tests) == sorted(machines)
            for test in session.scalars(select(HealthTest)):
                this = last_round(session, test)
                assert (this.ended is None) or test.state != RUNNING

    @invariant()
    def whoever_waits_has_a_deadline_and_slots_are_kept(self) -> None:
        with self.database.read() as session:
            for machine in session.scalars(select(Machine)):
                views.machine(session, machine.name)
                if State(machine.state) in LEASED:
                    assert machine.deadline is not None
                lease = live_lease(session, machine)
                if State(machine.state) in (State.REJECTED, State.FAILED, State.DISCOVERED):
                    assert lease is None
            live = select(func.count()).select_from(Lease).where(Lease.state != "returned")
            assert (session.scalar(live) or 0) <= QUOTA


TestGate = Gate.TestCase
TestGate.settings = settings(
    max_examples=15,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
