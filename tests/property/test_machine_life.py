"""Machines live any life: no order of events leases twice, or writes out of turn."""

import json
import shutil
import tempfile
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

from blank import empty_records
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sqlalchemy import select

from edeploy.errors import EdeployError
from edeploy.inventory.items import Report, parse_report
from edeploy.machines import assigning, cmdb, installs, operate, takeover, upgrades, views
from edeploy.machines.attempts import INSTALL_PHASES
from edeploy.machines.database import Database
from edeploy.machines.failures import end_due, next_deadline
from edeploy.machines.installs import Home, PhaseEvent, PhaseNews
from edeploy.machines.leases import candidates
from edeploy.machines.policy import Policy
from edeploy.machines.records import find, live_lease, standing
from edeploy.machines.reporting import take_report
from edeploy.machines.schema import Event, Holding, Lease, Machine
from edeploy.machines.states import LEASED, Boot, State, after, boot, may_write
from edeploy.match.profiles import Profile, Profiles, load_profiles

RULES = Policy(reserve_minutes=10, deadline_minutes=60, first_boot_minutes=15)
SPECS = "[('system', 'product', 'serial', '$serial'), ('disk', '$disk', 'size', 'gt(1)')]\n"
QUOTA, ENTRIES = 3, 2
# Every transaction waits for its disk, which proves nothing here.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
NUMBERS = st.integers(1, 4)
NAMES = st.sampled_from(["small", "large"])
EDITS = st.sampled_from(["turn", "insert", "remove", "rename", "readdress", "gateway"])


def profiles(folder: Path) -> Profiles:
    (folder / "state").write_text(f"[('small', {QUOTA - 2}), ('large', {QUOTA})]\n")
    for name in ("small", "large"):
        (folder / f"{name}.specs").write_text(SPECS)
        (folder / f"{name}.configure").write_text("set_role('web', '1', disk='vda')\n")
        entries = [entry(f"{name}{n}", f"{name}-10.0.0.{n}") for n in range(ENTRIES)]
        (folder / f"{name}.cmdb").write_text(repr(entries))
    found = load_profiles(folder)
    assert not found.problems
    return found


def entry(hostname: str, address: str) -> dict[str, object]:
    return {"hostname": hostname, "ip": address, "gateway": "10.0.0.254"}


def report(number: int) -> Report:
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
        self.folder = tempfile.TemporaryDirectory(dir=MEMORY)
        root = Path(self.folder.name)
        self.profiles = list(profiles(root).profiles)
        self.path = root / "db"
        shutil.copy(empty_records(), self.path)
        self.database = Database(self.path)
        self.now = 1_000_000.0
        self.fresh = 0
        self.tokens: dict[int, list[str]] = {}
        self.sessions: dict[int, list[str]] = {}
        self.homes: dict[int, list[str]] = {}
        self.systems: dict[int, str] = {}
        self.redeemed: set[str] = set()
        # Which entry of the file each name means, through all edits; whose it is for ever.
        self.entry_of = {
            str(one[key]): f"{profile.name} {number}"
            for profile in self.profiles
            for number, one in enumerate(profile.cmdb or ())
            for key in ("hostname", "ip")
        }
        self.own: dict[int, tuple[str, str]] = {}
        self.assigned: set[int] = set()
        self.released: set[int] = set()

    def teardown(self) -> None:
        self.database.close()
        self.folder.cleanup()

    @rule(number=NUMBERS)
    def report(self, number: int) -> None:
        self.report_to(self.database, number)

    def report_to(self, database: Database, number: int) -> None:
        said = report(number)
        offered = candidates(self.profiles, said)
        answer = take_report(database, said, offered, RULES, address="10.0.0.9", now=self.now)
        assert (answer.token is not None) == (answer.do == "install")
        if answer.token:
            assert answer.state in ("reserved", "installing")
            self.tokens.setdefault(number, []).append(answer.token)

    @rule(one=NUMBERS, other=NUMBERS)
    def race(self, one: int, other: int) -> None:
        """Two machines, or one twice, report at once, each to a server of its own."""
        second = Database(self.path)
        start = threading.Barrier(2)
        errors: list[BaseException] = []

        def run(database: Database, number: int) -> None:
            try:
                start.wait()
                self.report_to(database, number)
            except BaseException as error:  # told by the main thread
                errors.append(error)

        threads = [
            threading.Thread(target=run, args=work)
            for work in ((self.database, one), (second, other))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        second.close()
        assert not errors
        if one == other:
            self.tokens[one] = self.tokens.get(one, [])[:-2]  # the last of the two is not known

    @rule(name=NAMES, edit=EDITS, at=st.integers(0, 5))
    def edit_the_file(self, name: str, edit: str, at: int) -> None:
        index = next(i for i, one in enumerate(self.profiles) if one.name == name)
        entries = [dict(one) for one in self.profiles[index].cmdb or ()]
        at %= max(len(entries), 1)
        if edit == "turn":
            entries.reverse()
        elif edit == "insert":
            of = f"{name} new {self.fresh}"
            entries.insert(at, entry(self.new_name(of), self.new_name(of)))
        elif edit == "remove":
            del entries[at : at + 1]
        elif edit == "gateway":
            entries = [{**one, "gateway": f"gateway {self.fresh}"} for one in entries]
        elif entries:
            key = "hostname" if edit == "rename" else "ip"
            entries[at][key] = self.new_name(self.entry_of[str(entries[at][key])])
        self.fresh += 1
        self.profiles[index] = replace(self.profiles[index], cmdb=tuple(entries) or None)

    def new_name(self, of: str) -> str:
        self.fresh += 1
        name = f"name{self.fresh}"
        self.entry_of[name] = of
        return name

    @rule(number=NUMBERS, name=NAMES, at=st.integers(0, 5))
    def assign(self, number: int, name: str, at: int) -> None:
        profile = self.profile(name)
        if not profile.cmdb:
            return
        hostname = str(profile.cmdb[at % len(profile.cmdb)]["hostname"])
        try:
            with self.database.write() as session:
                assigning.assign(
                    session, self.profiles, name, hostname, f"EDL{number}", now=self.now
                )
        except EdeployError:
            return
        self.own[number] = (name, self.entry_of[hostname])
        self.assigned.add(number)

    @rule(number=NUMBERS, sure=st.booleans())
    def release_machine(self, number: int, sure: bool) -> None:
        before = self.state(number)
        try:
            with self.database.write() as session:
                assigning.release(
                    session, self.profiles, f"EDL{number}", profile=None, sure=sure, now=self.now
                )
        except EdeployError:
            assert self.state(number) is before
            return
        assert before is not State.INSTALLING and (sure or before is not State.ACTIVE)
        self.forget(number)

    @rule(number=NUMBERS, name=NAMES, at=st.integers(0, 5))
    def import_old_files(self, number: int, name: str, at: int) -> None:
        """The old server had given an entry to this machine."""
        entries = self.profile(name).cmdb or ()
        if not entries:
            return
        mac = f"52:54:00:00:00:{number:02x}"
        used = {**entries[at % len(entries)], "mac": mac, "disk": "sda", "used": 1}
        with self.database.write() as session:
            takeover.take_over(session, self.profiles, name, "old", [used], now=self.now)

    def forget(self, number: int) -> None:
        self.own.pop(number, None)
        self.assigned.discard(number)
        self.released.add(number)

    def profile(self, name: str) -> Profile:
        return next(one for one in self.profiles if one.name == name)

    @rule(number=NUMBERS, which=st.integers(0, 3))
    def redeem(self, number: int, which: int) -> None:
        tokens = self.tokens.get(number, [])
        if not tokens:
            return
        token = tokens[-1 - which % len(tokens)]
        first = self.state(number) is State.RESERVED
        try:
            with self.database.write() as session:
                install = installs.redeem(session, token, RULES, now=self.now)
        except EdeployError:
            return
        if first:
            self.check_entry(number, install)
        assert token not in self.redeemed and token == tokens[-1]
        self.redeemed.add(token)
        self.sessions.setdefault(number, []).append(install.session)

    def check_entry(self, number: int, install: installs.Install) -> None:
        """What was a machine's own once is what every later install of that profile gets."""
        profile, own = self.own.get(number, ("", ""))
        hostname = install.vars.get("hostname")
        if profile == install.profile:
            assert self.entry_of[str(hostname)] == own
        elif number not in self.assigned:
            self.own.pop(number, None)

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
                    system = installs.take_call_home(
                        session, secret, home, address="a", now=self.now
                    )
            except EdeployError:
                return
            self.systems[number] = system
            assert before in (State.INSTALLING, State.ACTIVE, State.UPGRADING)
            after_it = State.ACTIVE if before is State.INSTALLING else before
            assert self.state(number) is after_it
            if before is State.INSTALLING:
                self.settle(number)

    @rule(number=NUMBERS, phase=st.sampled_from(upgrades.Phase))
    def upgrade(self, number: int, phase: upgrades.Phase) -> None:
        """Any word of an upgrade, also of a system that should not run any more."""
        before = self.state(number)
        if number not in self.systems:
            return
        said = upgrades.Standing("web", "1", "b", "6.1", phase, "2", "why" if phase else "")
        try:
            with self.database.write() as session:
                upgrades.take_standing(
                    session, self.systems[number], said, RULES, address="a", now=self.now
                )
        except EdeployError:
            assert self.state(number) is before
            return
        assert before in (State.ACTIVE, State.UPGRADING, State.FAILED)
        assert self.state(number) in (State.ACTIVE, State.UPGRADING, State.FAILED)

    def settle(self, number: int) -> None:
        self.released.discard(number)
        with self.database.read() as session:
            lease = live_lease(session, find(session, f"EDL{number}"))
            assert lease is not None and lease.state == "spent"
            if number not in self.assigned and "hostname" in lease.vars:
                self.own[number] = (lease.profile, self.entry_of[str(lease.vars["hostname"])])

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
            slots = Counter(lease.profile for lease in live)
            assert slots["small"] <= QUOTA - 2 and slots["large"] <= QUOTA
            states = [(machines[lease.machine_id].state, lease.state) for lease in live]
            fits = {"reserved": "held", "installing": "held", "active": "spent",
                    "upgrading": "spent", "failed": "spent", "discovered": "kept"}  # fmt: skip
            assert all(fits[state] == lease for state, lease in states)
            leased = {lease.machine_id for lease in live}
            for row in machines.values():
                if row.state in ("reserved", "installing"):
                    assert row.id in leased
                if row.state == "active" and row.id not in leased:
                    assert int(str(row.serial).removeprefix("EDL")) in self.released
                if row.state == "failed":
                    assert row.failed_reason and row.failed_from
                    # What its disk has is its own, and so are slot and entry.
                    assert row.id not in leased or row.failed_from == "upgrading"

    @invariant()
    def nothing_is_in_two_hands(self) -> None:
        with self.database.read() as session:
            held = session.scalars(select(Holding).where(Holding.ended.is_(None))).all()
            for key in ("hostname", "ip"):
                given = Counter((one.profile, one.entry[key]) for one in held)
                assert max(given.values(), default=0) <= 1, "an entry was given twice"
            by_id = {one.id: one for one in held}
            for lease in session.scalars(select(Lease).where(Lease.state != "returned")):
                if lease.holding_id is None:
                    assert "ip" not in lease.vars
                    continue
                one = by_id[lease.holding_id]
                assert (one.machine_id, one.profile) == (lease.machine_id, lease.profile)
                assert one.entry["ip"] == lease.vars["ip"]
                assert one.lasting or lease.state == "held"

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
                    assert (
                        stands.finished
                        or State.UPGRADING in (stands.state, stands.failed_from)
                        or (stands.state is State.ACTIVE)
                    )

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

    @rule()
    def everything_can_be_shown(self) -> None:
        """No invariant: to look at all of it takes longer than all that happens between."""
        with self.database.read() as session:
            for row in views.machines(session):
                views.machine(session, str(row["name"]))
                views.log(session, str(row["name"]))
            listed = cmdb.listing(session, self.profiles)
            numbered = Counter(row["profile"] for row in listed if row["number"] is not None)
            assert numbered == {one.name: len(one.cmdb) for one in self.profiles if one.cmdb}


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=30,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
