"""Health tests in the records: the slot is held, deadlines end them, and every way out of them."""

from pathlib import Path

import pytest
from fleet import Parts, server
from sqlalchemy import select

from edeploy.machines import conflicts, installs, operate, testing, views
from edeploy.machines.database import Database
from edeploy.machines.failures import end_due, next_deadline
from edeploy.machines.leases import candidates
from edeploy.machines.policy import HealthPolicy, Policy
from edeploy.machines.records import find
from edeploy.machines.refusal import BadRequest, Refusal, Unauthorised
from edeploy.machines.reporting import Answer, take_report
from edeploy.machines.rounds import last_round
from edeploy.machines.schema import Event, JsonObject, Lease, Machine
from edeploy.machines.states import NotAllowed
from edeploy.machines.testing import Action, Outcome
from edeploy.match.profiles import load_profiles

A, B = server(1), server(2)
MINUTE = 60.0
RULES = Policy(
    reserve_minutes=10,
    deadline_minutes=60,
    first_boot_minutes=15,
    health=HealthPolicy({"quick": 5, "lab": 5, "full": 45, "burn": 1500}),
)


class Site:
    """The records of one server with one slot, and machines that report; time stands still."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(folder / "db")
        self.now = 1000.0
        self.folder = folder / "profiles"
        self.folder.mkdir()
        (self.folder / "state").write_text("[('web', 1, {'health': 'quick'})]\n")
        (self.folder / "web.specs").write_text("[('system', 'product', 'vendor', 'Makers')]\n")
        (self.folder / "web.configure").write_text("set_role('web', '1', disk='sda')\n")

    def ask(self, parts: Parts) -> Answer:
        said = parts.report()
        offered = candidates(load_profiles(self.folder).profiles, said)
        return take_report(self.database, said, offered, RULES, address="a", now=self.now)

    def measure(self, parts: Parts) -> Answer:
        """Report and send results; the server's order."""
        answer = self.ask(parts)
        assert answer.do == "test" and answer.token
        self.send(answer.token)
        return answer

    def send(self, secret: str) -> None:
        with self.database.write() as session:
            figures: JsonObject = {"results": [{"metric": "cpu/x", "value": 1}]}
            testing.take_results(session, secret, figures, b"{}", RULES, now=self.now)

    def conclude(self, name: str, action: Action, **more: object) -> None:
        with self.database.write() as session:
            test = testing.latest(session, find(session, name))
            assert test is not None
            outcome = Outcome(
                test.id,
                last_round(session, test).id,
                action,
                str(more.get("verdict", "fail")),
                "a sentence",
                stages=("cpu/x",),
            )
            testing.conclude(session, outcome, RULES, now=self.now)

    def later(self, minutes: float) -> list[str]:
        """Time goes on; the machines whose deadlines passed."""
        self.now += minutes * MINUTE
        with self.database.write() as session:
            return end_due(session, now=self.now)

    def show(self, name: str) -> JsonObject:
        with self.database.read() as session:
            return views.machine(session, name)

    def state(self, name: str) -> str:
        return str(self.show(name)["state"])

    def leases(self) -> list[tuple[str, str]]:
        with self.database.read() as session:
            rows = session.execute(
                select(Machine.name, Lease.state).join(Lease, Lease.machine_id == Machine.id)
            )
            return [(name, state) for name, state in rows]

    def kinds(self) -> list[str]:
        with self.database.read() as session:
            return list(session.scalars(select(Event.kind).order_by(Event.id)))

    def active(self, parts: Parts) -> str:
        """A machine whose system runs."""
        name = self.measure(parts).machine
        self.conclude(name, Action.PASS, verdict="pass")
        token = self.ask(parts).token
        assert token
        with self.database.write() as session:
            begun = installs.redeem(session, token, RULES, now=self.now)
            secret = installs.arm_call_home(session, begun.session, now=self.now)
            home = installs.Home("web", "1", "b", "k", 1.0)
            installs.take_call_home(session, secret, home, address="a", now=self.now)
        return name


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_the_slot_is_held_while_it_is_tested(site: Site) -> None:
    first = site.ask(A)
    assert (first.do, first.state) == ("test", "testing")
    assert first.test is not None and (first.test.profile, first.test.runs) == ("quick", 1)
    assert site.ask(B).do == "wait" and "quota" in site.ask(B).why
    site.send(first.token or "")
    site.conclude(first.machine, Action.REJECT)
    assert site.leases() == [(first.machine, "returned")]
    assert site.ask(B).do == "test"
    assert site.ask(A).do == "hold"


def test_a_good_machine_is_installed_with_the_lease_that_it_was_tested_with(site: Site) -> None:
    name = site.measure(A).machine
    assert site.ask(A).do == "wait"
    site.conclude(name, Action.PASS, verdict="pass")
    assert site.state(name) == "reserved"
    assert site.ask(A).do == "install"
    assert site.leases() == [(name, "held")]
    # Nobody comes: the slot is free again, and the test still counts.
    assert site.later(11) == [name]
    assert (site.state(name), site.ask(A).do) == ("discovered", "install")


def test_other_parts_are_tested_again(site: Site) -> None:
    name = site.measure(A).machine
    site.conclude(name, Action.PASS, verdict="pass")
    assert site.ask(A).do == "install"
    other = A.but(disks=("NEWDISK1", "NEWDISK2"))
    assert site.ask(other).do == "test"
    assert site.state(name) == "testing"


def test_the_deadline_runs_from_the_order(site: Site) -> None:
    answer = site.ask(A)
    assert answer.test is not None and answer.test.seconds == 5 * MINUTE
    site.now += 2 * MINUTE
    again = site.ask(A)
    assert again.test is not None and again.test.seconds == 3 * MINUTE
    with site.database.write() as session:
        news: JsonObject = {"stage": "disk/sda/read_1M", "run": "1"}
        assert testing.take_progress(session, again.token or "", news, now=site.now) == ""
    assert site.later(2.9) == []
    assert site.later(0.2) == [answer.machine]
    shown = site.show(answer.machine)
    assert shown["state"] == "failed" and "disk/sda/read_1M" in str(shown["reason"])
    assert site.leases() == [(answer.machine, "returned")]
    with site.database.write() as session:
        assert testing.take_progress(session, again.token or "", news, now=site.now)
    with pytest.raises(Refusal):
        site.send(again.token or "")
    with site.database.write() as session:
        operate.retry(session, answer.machine, now=site.now)
    assert site.ask(A).do == "test"


def test_silence_while_it_waits_is_a_failure(site: Site) -> None:
    name = site.measure(A).machine
    site.conclude(name, Action.WAIT, verdict="no-data")
    for _ in range(5):
        assert site.later(9) == [] and site.ask(A).do == "wait"
    assert site.later(11) == [name]
    assert "silent" in str(site.show(name)["reason"])


def test_suspects_measure_three_times_more(site: Site) -> None:
    name = site.measure(A).machine
    site.conclude(name, Action.RETEST)
    answer = site.ask(A)
    assert answer.test is not None
    assert (answer.test.first_run, answer.test.runs, answer.test.only) == (2, 3, ["cpu/x"])
    assert answer.test.seconds == 15 * MINUTE
    site.send(answer.token or "")
    site.conclude(name, Action.REJECT)
    assert site.state(name) == "rejected" and site.show(name)["reason"] == "a sentence"
    assert "health-retest" in site.kinds()


def test_a_decision_on_older_results_is_void(site: Site) -> None:
    name = site.measure(A).machine
    with site.database.read() as session:
        test = testing.latest(session, find(session, name))
        assert test is not None
        old = Outcome(test.id, last_round(session, test).id, Action.REJECT, "fail", "late")
    site.conclude(name, Action.RETEST)
    with site.database.write() as session:
        testing.conclude(session, old, RULES, now=site.now)
    assert site.state(name) == "testing"


def test_an_old_secret_is_dead(site: Site) -> None:
    old = site.ask(A).token or ""
    site.ask(A)
    with pytest.raises(Unauthorised):
        site.send(old)


def accept(site: Site, name: str, until: float | None = None) -> None:
    with site.database.write() as session:
        operate.accept(session, name, RULES, reason="a spare", by="kim", until=until, now=site.now)


def test_an_operators_word_and_its_end(site: Site) -> None:
    name = site.measure(A).machine
    site.conclude(name, Action.REJECT)
    accept(site, name, until=site.now + 100 * MINUTE)
    assert site.ask(A).do == "install"
    word = site.show(name)["health"]["accepted"]  # type: ignore[index]
    assert (word["reason"], word["by"]) == ("a spare", "kim")
    assert site.later(11) == [name]
    assert site.ask(A).do == "install"
    site.later(100)
    assert site.ask(A).do == "test"
    accept(site, name)
    assert site.ask(A).do == "install"
    assert site.ask(A.but(disks=("X1Y2Z3",))).do == "test"


def test_words_that_are_none(site: Site) -> None:
    name = site.ask(A).machine
    with pytest.raises(BadRequest, match="over"):
        accept(site, name, until=site.now)
    with site.database.write() as session, pytest.raises(BadRequest, match="reason"):
        operate.accept(session, name, RULES, reason=" ", by="", until=None, now=site.now)
    other = site.ask(B).machine
    with site.database.write() as session, pytest.raises(BadRequest, match="quick"):
        operate.test(session, other, "quik", RULES, now=site.now)


def wish(site: Site, name: str, health: str) -> None:
    with site.database.write() as session:
        operate.configure(
            session, name, on_success=None, on_failure=None, health=health, now=site.now
        )


def test_a_machines_own_wish_goes_over_its_profiles(site: Site) -> None:
    name = site.measure(A).machine
    site.conclude(name, Action.PASS, verdict="pass")
    assert site.ask(A).do == "install"
    wish(site, name, "full")
    answer = site.ask(A)
    assert answer.test is not None and answer.test.profile == "full"
    site.later(1000)
    with site.database.write() as session:
        operate.retry(session, name, now=site.now)
    wish(site, name, "none")
    assert site.ask(A).do == "install"
    wish(site, name, "")
    assert site.ask(A).do == "install"
    with pytest.raises(BadRequest, match="much"):
        wish(site, name, "much")


def test_a_heavier_test_counts_for_a_lighter_one(site: Site) -> None:
    name = site.ask(B.but(more=())).machine
    site.later(100)
    with site.database.write() as session:
        operate.retry(session, name, now=site.now)
        operate.test(session, name, "full", RULES, now=site.now)
    answer = site.measure(B)
    assert answer.test is not None and (answer.test.profile, answer.test.runs) == ("full", 3)
    site.conclude(name, Action.PASS, verdict="pass")
    # It had no lease: nobody had matched it.
    assert site.state(name) == "discovered"
    assert site.ask(B).do == "install"
    (site.folder / "state").write_text("[('web', 1, {'health': 'burn'})]\n")
    assert site.ask(B).do == "test"


@pytest.mark.parametrize("action", [Action.PASS, Action.REJECT])
def test_an_active_machine_goes_back_to_its_system(site: Site, action: Action) -> None:
    name = site.active(A)
    with site.database.write() as session:
        operate.test(session, name, None, RULES, now=site.now)
    site.measure(A)
    site.conclude(name, action)
    assert site.state(name) == "active"
    assert site.ask(A).do == "local"
    assert site.leases() == [(name, "spent")]


def test_an_active_machine_that_never_comes_stays_active(site: Site) -> None:
    name = site.active(A)
    with site.database.write() as session:
        operate.test(session, name, "quick", RULES, now=site.now)
    assert site.later(16) == [name]
    assert site.state(name) == "active"
    assert site.leases() == [(name, "spent")]
    with site.database.read() as session:
        assert next_deadline(session) is None


def test_only_what_waits_can_be_let_go(site: Site) -> None:
    name = site.ask(A).machine
    with site.database.write() as session, pytest.raises(Refusal):
        testing.go(session, find(session, name), now=site.now)
    with site.database.write() as session, pytest.raises(NotAllowed):
        operate.test(session, name, "quick", RULES, now=site.now)


def test_a_record_that_becomes_part_of_another_ends_its_test(site: Site) -> None:
    stays = site.ask(A).machine
    gone = site.ask(B).machine
    with site.database.write() as session:
        operate.test(session, gone, "quick", RULES, now=site.now)
    with site.database.write() as session:
        conflicts.same(session, gone, stays, now=site.now)
    with site.database.read() as session:
        test = testing.current(session, find(session, stays))
        assert test is not None and test.why.startswith("web")
