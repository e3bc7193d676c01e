"""Machines live any life: no order of events leases twice, or writes out of turn."""

import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sqlalchemy import select

from edeploy.errors import EdeployError
from edeploy.inventory.items import Report, parse_report
from edeploy.machines import installs, operate, views
from edeploy.machines.attempts import INSTALL_PHASES
from edeploy.machines.database import Database
from edeploy.machines.failures import end_due, next_deadline
from edeploy.machines.installs import Home, PhaseEvent, PhaseNews
from edeploy.machines.leases import candidates
from edeploy.machines.policy import Policy
from edeploy.machines.records import find, standing
from edeploy.machines.reporting import take_report
from edeploy.machines.schema import Event, Lease, Machine
from edeploy.machines.states import LEASED, Boot, State, after, boot, may_write
from edeploy.match.profiles import Profiles, load_profiles

RULES = Policy(reserve_minutes=10, deadline_minutes=60, first_boot_minutes=15)
SPECS = "[('system', 'product', 'serial', '$serial'), ('disk', '$disk', 'size', 'gt(1)')]\n"
QUOTA, ENTRIES = 3, 2
NUMBERS = st.integers(1, 4)


def profiles(folder: Path) -> Profiles:
    (folder / "state").write_text(f"[('small', {QUOTA - 2}), ('large', {QUOTA})]\n")
    for name in ("small", "large"):
        (folder / f"{name}.specs").write_text(SPECS)
        (folder / f"{name}.configure").write_text("set_role('web', '1', disk='vda')\n")
        entries = [{"ip": f"{name}-{n}"} for n in range(ENTRIES)]
        (folder / f"{name}.cmdb").write_text(repr(entries))
    found = load_profiles(folder)
    assert not found.problems
    return found


def report(number: int) -> Report:
    import json

    rows = [
        ["system", "product", "serial", f"EDL{number}"],
        ["network", "eth0", "serial", f"52:54:00:00:00:{number:02x}"],
        ["disk", "vda", "size", "8"],
        ["disk", "vda", "serial", f"DISK{number}"],
    ]
    return parse_report(json.dumps(rows).encode())


class Life(RuleBasedStateMachine):
    """A few machines, an operator and a clock, in any order; also nonsense orders."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        root = Path(self.folder.name)
        self.profiles = profiles(root).profiles
        self.path = root / "db"
        self.database = Database(self.path)
        self.now = 1_000_000.0
        self.tokens: dict[int, list[str]] = {}
        self.sessions: dict[int, list[str]] = {}
        self.homes: dict[int, list[str]] = {}
        self.redeemed: set[str] = set()
        self.was: dict[str, str] = {}

    def teardown(self) -> None:
        self.database.close()
        self.folder.cleanup()

    @rule(number=NUMBERS)
    def report(self, number: int) -> None:
        said = report(number)
        answer = take_report(
            self.database,
            said,
            candidates(self.profiles, said),
            RULES,
            address="10.0.0.9",
            now=self.now,
        )
        assert (answer.token is not None) == (answer.do == "install")
        if answer.token:
            assert answer.state in ("reserved", "installing")
            self.tokens.setdefault(number, []).append(answer.token)

    @rule(number=NUMBERS, which=st.integers(0, 3))
    def redeem(self, number: int, which: int) -> None:
        tokens = self.tokens.get(number, [])
        if not tokens:
            return
        token = tokens[-1 - which % len(tokens)]
        try:
            with self.database.write() as session:
                install = installs.redeem(session, token, RULES, now=self.now)
        except EdeployError:
            return
        assert token not in self.redeemed and token == tokens[-1]
        self.redeemed.add(token)
        self.sessions.setdefault(number, []).append(install.session)

    @rule(number=NUMBERS, which=st.integers(0, 1), name=st.sampled_from(INSTALL_PHASES),
          event=st.sampled_from(PhaseEvent))  # fmt: skip
    def phase(self, number: int, which: int, name: str, event: PhaseEvent) -> None:
        sessions = self.sessions.get(number, [])
        if not sessions:
            return
        secret = sessions[-1 - which % len(sessions)]
        news = PhaseNews(name, event, done=1, total=2, log=["x"], reason="broke", seconds=1.0)
        with self.database.write() as session:
            go = installs.take_phase(session, secret, news, RULES, now=self.now)
        if go.go:
            assert secret == sessions[-1]
            assert self.state(number) is State.INSTALLING

    @rule(number=NUMBERS, disk=NUMBERS)
    def plan(self, number: int, disk: int) -> None:
        sessions = self.sessions.get(number, [])
        if not sessions:
            return
        wanted: dict[str, object] = {
            "path": "/dev/vda", "serial": f"DISK{disk}", "size": 8_000_000_000
        }  # fmt: skip
        with self.database.read() as session:
            allowed = may_write(standing(session, find(session, f"EDL{number}")))
        try:
            with self.database.write() as session:
                installs.take_plan(session, sessions[-1], [wanted], "all", now=self.now)
        except EdeployError:
            return
        assert allowed and disk == number

    @rule(number=NUMBERS)
    def finish(self, number: int) -> None:
        for secret in self.sessions.get(number, [])[-1:]:
            try:
                with self.database.write() as session:
                    home = installs.arm_call_home(session, secret, now=self.now)
            except EdeployError:
                return
            self.homes.setdefault(number, []).append(home)

    @rule(number=NUMBERS)
    def call_home(self, number: int) -> None:
        before = self.state(number)
        for secret in self.homes.get(number, [])[-1:]:
            try:
                with self.database.write() as session:
                    home = Home("web", "1", "b", "6.1", 1.0)
                    installs.take_call_home(session, secret, home, address="a", now=self.now)
            except EdeployError:
                return
            assert before in (State.INSTALLING, State.ACTIVE)
            assert self.state(number) is State.ACTIVE

    @rule(number=NUMBERS, until=st.sampled_from(["fetch", "finish", "home"]))
    def install(self, number: int, until: str) -> None:
        """The usual way, which chance alone seldom goes to its end."""
        self.report(number)
        self.redeem(number, 0)
        self.plan(number, number)
        for name in INSTALL_PHASES[: INSTALL_PHASES.index("fetch") + 1]:
            self.phase(number, 0, name, PhaseEvent.END)
        if until != "fetch":
            self.finish(number)
            for name in INSTALL_PHASES[INSTALL_PHASES.index("verify") :]:
                self.phase(number, 0, name, PhaseEvent.END)
        if until == "home":
            self.call_home(number)

    @rule(number=NUMBERS, order=st.sampled_from(["retry", "reinstall"]))
    def operator(self, number: int, order: str) -> None:
        before = self.state(number)
        try:
            with self.database.write() as session:
                getattr(operate, order)(session, f"EDL{number}", now=self.now)
        except EdeployError:
            assert self.state(number) is before
            return
        assert before is (State.FAILED if order == "retry" else State.ACTIVE)

    @rule(minutes=st.sampled_from([0, 5, 11, 16, 61]))
    def time_passes(self, minutes: int) -> None:
        self.now += minutes * 60
        with self.database.write() as session:
            end_due(session, now=self.now)
        with self.database.read() as session:
            following = next_deadline(session)
            assert following is None or following > self.now

    @rule()
    def server_is_killed_and_started(self) -> None:
        self.database.close()
        self.database = Database(self.path)

    def state(self, number: int) -> State | None:
        with self.database.read() as session:
            row = session.scalar(select(Machine).where(Machine.serial == f"EDL{number}"))
            return State(row.state) if row else None

    @invariant()
    def leases_fit_states(self) -> None:
        with self.database.read() as session:
            live = session.scalars(select(Lease).where(Lease.state != "returned")).all()
            machines = {row.id: row for row in session.scalars(select(Machine))}
            entries = Counter((lease.profile, lease.entry) for lease in live)
            assert max(entries.values(), default=0) <= 1, "an entry was given twice"
            slots = Counter(lease.profile for lease in live)
            assert slots["small"] <= QUOTA - 2 and slots["large"] <= QUOTA
            states = [(machines[lease.machine_id].state, lease.state) for lease in live]
            fits = {"reserved": "held", "installing": "held", "active": "spent",
                    "discovered": "kept"}  # fmt: skip
            assert all(fits[state] == lease for state, lease in states)
            leased = {lease.machine_id for lease in live}
            for row in machines.values():
                if row.state in ("reserved", "installing", "active"):
                    assert row.id in leased
                if row.state == "failed":
                    assert row.id not in leased and row.failed_reason and row.failed_from

    @invariant()
    def leased_states_have_deadlines(self) -> None:
        with self.database.read() as session:
            for row in session.scalars(select(Machine)):
                assert (row.deadline is not None) == (State(row.state) in LEASED)

    @invariant()
    def the_disk_boots_only_when_it_is_whole(self) -> None:
        with self.database.read() as session:
            for row in session.scalars(select(Machine)):
                stands = standing(session, row)
                if boot(stands) is Boot.DISK:
                    assert stands.state is State.ACTIVE or stands.finished

    @invariant()
    def every_move_is_on_the_map_and_has_its_event(self) -> None:
        with self.database.read() as session:
            for row in session.scalars(select(Machine)):
                state = State.DISCOVERED
                for event in session.scalars(
                    select(Event).where(Event.machine_id == row.id).order_by(Event.id)
                ):
                    if event.state != state:
                        state = after(state, event.kind)  # type: ignore[arg-type]
                        assert event.state == state
                assert row.state == state

    @invariant()
    def everything_can_be_shown(self) -> None:
        with self.database.read() as session:
            for row in views.machines(session):
                views.machine(session, str(row["name"]))
                views.log(session, str(row["name"]))


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
