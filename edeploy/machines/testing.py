"""A machine's health test in the records: ordered, measured in rounds, judged, ended."""

import secrets
import zlib
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from edeploy.machines import attempts
from edeploy.machines.clearance import PASSED
from edeploy.machines.leases import give_back
from edeploy.machines.policy import RUNS, Peer, Policy
from edeploy.machines.records import live_lease, move, note
from edeploy.machines.refusal import BadRequest, Refusal
from edeploy.machines.reports import newest_number
from edeploy.machines.rounds import add_round, bearer, digest, last_round
from edeploy.machines.schema import HealthRound, HealthTest, JsonObject, Machine
from edeploy.machines.states import State, Verb

RUNNING, WAITING, REJECTED, ENDED = "running", "waiting", "rejected", "ended"
OPEN = (RUNNING, WAITING)

RETEST_RUNS = 3
"""How often a suspect measures again before it is judged for good."""


@dataclass(frozen=True)
class TestOrder:
    """What the agent is to measure, in at most `seconds` from now on."""

    # pytest takes classes of such a name for tests.
    __test__ = False

    profile: str
    first_run: int
    runs: int
    seed: int
    seconds: float
    only: list[str]
    network: Peer | None
    campaign: JsonObject | None


class Action(StrEnum):
    """What follows from a comparison."""

    WAIT = "wait"
    RETEST = "retest"
    PASS = "pass"  # noqa: S105
    REJECT = "reject"


@dataclass(frozen=True)
class Outcome:
    """What is to become of the results of one round; `stages` are those to measure again."""

    test: int
    round: int
    action: Action
    verdict: str
    reason: str
    evidence: JsonObject | None = None
    stages: tuple[str, ...] = ()


def begin(
    session: Session,
    machine: Machine,
    profile: str,
    why: str,
    rules: Policy,
    *,
    now: float,
    campaign: JsonObject | None = None,
) -> HealthTest:
    """A new test: the machine is `testing`, and measures when it next reports.

    Raises BadRequest for a test that does not exist, NotAllowed in the wrong state.
    """
    if profile not in RUNS:
        raise BadRequest(f"{profile!r} is no health test", f"There are: {', '.join(RUNS)}.")
    runs = RUNS[profile]
    seconds = 60.0 * rules.reserve_minutes + rules.health.seconds(profile, runs)
    move(session, machine, Verb.TEST, f"{profile}: {why}", now=now, deadline=now + seconds)
    test = HealthTest(
        machine_id=machine.id,
        profile=profile,
        why=why,
        state=RUNNING,
        report=newest_number(session, machine),
        began=now,
        campaign=campaign,
    )
    session.add(test)
    session.flush()
    add_round(session, test, number=1, first_run=1, runs=runs, stages=())
    return test


def hand_out(
    session: Session, machine: Machine, rules: Policy, *, now: float
) -> tuple[TestOrder, str] | None:
    """What the machine, which reports, is to measure now, with a new secret for its results.

    None: it waits, for its judgement or for its turn; `test.reason` says so. A machine that comes
    again in the middle begins the round anew, within the old deadline.
    """
    test = current(session, machine)
    if test is None:
        raise Refusal(f"{machine.name} is {machine.state}, and there is no test of it")
    if test.state == WAITING:
        machine.deadline = now + 60.0 * rules.reserve_minutes
        return None
    this = last_round(session, test)
    if this.began is None:
        test.reason = _waits_for_turn(session, rules)
        if test.reason:
            machine.deadline = now + 60.0 * rules.reserve_minutes
            return None
        this.began = now
        machine.deadline = now + rules.health.seconds(test.profile, this.runs)
    else:
        note(session, "interrupted", "its test begins again", now=now, machine=machine)
    secret = secrets.token_urlsafe(32)
    this.sha256, this.last, this.progress = digest(secret), now, None
    stages = this.only.get("stages")
    order = TestOrder(
        profile=test.profile,
        first_run=this.first_run,
        runs=this.runs,
        seed=this.seed,
        seconds=round(max((machine.deadline or now) - now, 0.0), 1),
        only=[str(stage) for stage in stages] if isinstance(stages, list) else [],
        network=rules.health.network,
        campaign=test.campaign,
    )
    return order, secret


def take_progress(session: Session, secret: str, news: JsonObject, *, now: float) -> str:
    """Record how far the test is; why the agent is to stop, or empty."""
    machine, test, this = bearer(session, secret)
    if (why := _over(machine, test, this)) is not None:
        return why
    machine.last_seen = this.last = now
    before = this.progress or {}
    if (before.get("stage"), before.get("run")) != (news.get("stage"), news.get("run")):
        text = f"{news.get('stage')} (run {news.get('run') or this.first_run})"
        note(session, "health-stage", text, now=now, machine=machine)
    this.progress = news
    return ""


def take_results(
    session: Session, secret: str, figures: JsonObject, body: bytes, rules: Policy, *, now: float
) -> None:
    """Keep what was measured; it waits for its judgement. Again: nothing changes."""
    machine, test, this = bearer(session, secret)
    if this.ended is not None:
        return
    if (why := _over(machine, test, this)) is not None:
        raise Refusal(f"this test is over: {why}", "Report again: the answer says what to do.")
    this.figures, this.body = figures, zlib.compress(body)
    this.ended = this.last = machine.last_seen = now
    this.progress = None
    test.state = WAITING
    test.reason = "its results are to be judged"
    machine.deadline = now + 60.0 * rules.reserve_minutes
    results = figures.get("results")
    count = len(results) if isinstance(results, list) else 0
    note(session, "tested", f"{test.profile}: {count} results", now=now, machine=machine)


def conclude(session: Session, outcome: Outcome, rules: Policy, *, now: float) -> None:
    """Let happen what the comparison says, unless the test went on meanwhile."""
    test = session.get(HealthTest, outcome.test)
    if test is None or test.state != WAITING or last_round(session, test).id != outcome.round:
        return
    machine = session.get(Machine, test.machine_id)
    if machine is None or State(machine.state) is not State.TESTING:
        return
    changed = test.reason != outcome.reason
    test.verdict, test.reason, test.evidence = outcome.verdict, outcome.reason, outcome.evidence
    if outcome.action is Action.WAIT:
        if changed:
            note(session, "health-waits", outcome.reason, now=now, machine=machine)
        return
    if outcome.action is Action.RETEST:
        _measure_again(session, machine, test, outcome, rules, now)
        return
    test.state = PASSED if outcome.action is Action.PASS else REJECTED
    test.ended = now
    _leave(session, machine, test, rules, now)


def accept(session: Session, machine: Machine, text: str, rules: Policy, *, now: float) -> None:
    """An operator takes the machine as it is, out of its test or its rejection."""
    end_test(session, machine, text, now=now)
    if _was_active(session, machine):
        move(session, machine, Verb.RETURN, text, now=now)
    else:
        move(session, machine, Verb.ACCEPT, text, now=now)
        _reserve(session, machine, rules, now)


def end_test(session: Session, machine: Machine, reason: str, *, now: float) -> None:
    """End the machine's open test, if it has one, without a verdict."""
    test = current(session, machine)
    if test is not None:
        test.state, test.ended, test.reason = ENDED, now, reason


def go(session: Session, machine: Machine, *, now: float) -> None:
    """Judge the machine's results though few of its kind are known. Refusal: it does not wait."""
    test = current(session, machine)
    if test is None or test.state != WAITING:
        raise Refusal(f"{machine.name} does not wait for others of its kind")
    test.go = True
    note(session, "health-go", "judged by an operator's word", now=now, machine=machine)


def expire(session: Session, machine: Machine, *, now: float) -> str | None:
    """The deadline of a test passed: why the machine fails; None: it is active, as before."""
    test = current(session, machine)
    this = last_round(session, test) if test else None
    if test is None or this is None:
        reason = "there is no test of it"
    elif test.state == WAITING:
        reason = f"fell silent while it waited: {test.reason}"
    elif this.began is None:
        reason = f"never began its {test.profile} test"
    else:
        stage = (this.progress or {}).get("stage")
        where = f", last heard of in stage {stage}" if stage else ""
        reason = f"no results of its {test.profile} test by the deadline{where}"
    end_test(session, machine, reason, now=now)
    if not _was_active(session, machine):
        return reason
    move(session, machine, Verb.RETURN, reason, now=now)
    return None


def current(session: Session, machine: Machine) -> HealthTest | None:
    """The machine's open test."""
    return session.scalar(
        select(HealthTest)
        .where(HealthTest.machine_id == machine.id, HealthTest.state.in_(OPEN))
        .order_by(HealthTest.id.desc())
        .limit(1)
    )


def latest(session: Session, machine: Machine) -> HealthTest | None:
    """The machine's newest test, open or not."""
    return session.scalar(
        select(HealthTest)
        .where(HealthTest.machine_id == machine.id)
        .order_by(HealthTest.id.desc())
        .limit(1)
    )


def cases(session: Session) -> list[tuple[Machine, HealthTest]]:
    """The tests whose results are compared: of each machine the newest that has any."""
    rows = session.execute(
        select(Machine, HealthTest)
        .join(HealthTest, HealthTest.machine_id == Machine.id)
        .where(HealthTest.state.in_((WAITING, PASSED, REJECTED)))
        .order_by(Machine.id, HealthTest.id)
    )
    newest = {machine.id: (machine, test) for machine, test in rows}
    return list(newest.values())


def _waits_for_turn(session: Session, rules: Policy) -> str:
    """Why a machine may not measure yet; empty when it may."""
    if not rules.health.at_once:
        return ""
    busy = session.scalar(
        select(func.count())
        .select_from(HealthRound)
        .join(HealthTest, HealthTest.id == HealthRound.test_id)
        .where(
            HealthTest.state == RUNNING,
            HealthRound.began.is_not(None),
            HealthRound.ended.is_(None),
        )
    )
    if (busy or 0) < rules.health.at_once:
        return ""
    return f"waits for its turn: {busy} others measure now ([health] at_once)"


def _measure_again(
    session: Session,
    machine: Machine,
    test: HealthTest,
    outcome: Outcome,
    rules: Policy,
    now: float,
) -> None:
    before = last_round(session, test)
    test.state = RUNNING
    add_round(
        session,
        test,
        number=before.number + 1,
        first_run=before.first_run + before.runs,
        runs=RETEST_RUNS,
        stages=outcome.stages,
    )
    machine.deadline = (
        now + 60.0 * rules.reserve_minutes + rules.health.seconds(test.profile, RETEST_RUNS)
    )
    note(session, "health-retest", outcome.reason, now=now, machine=machine)


def _leave(session: Session, machine: Machine, test: HealthTest, rules: Policy, now: float) -> None:
    """Out of `testing`, by the test's verdict: to the role that the machine was tested for."""
    text = f"{test.profile}: {test.verdict}: {test.reason}"
    lease = live_lease(session, machine)
    if _was_active(session, machine):
        move(session, machine, Verb.RETURN, text, now=now)
    elif test.state == PASSED:
        move(session, machine, Verb.PASS, text, now=now)
        _reserve(session, machine, rules, now)
    else:
        if lease is not None and lease.state == "held":
            give_back(session, lease, now=now)
        attempt = attempts.latest(session, machine)
        if attempt is not None:
            attempts.end(attempt, now=now)
        move(session, machine, Verb.REJECT, text, now=now)


def _reserve(session: Session, machine: Machine, rules: Policy, now: float) -> None:
    """The role that the machine was tested for, by the lease that it holds, if it holds one."""
    lease = live_lease(session, machine)
    if lease is not None and lease.state == "held":
        deadline = now + 60.0 * rules.reserve_minutes
        move(session, machine, Verb.MATCH, machine.why, now=now, deadline=deadline)


def _was_active(session: Session, machine: Machine) -> bool:
    """Whether a system runs on it, which it goes back to whatever the test says."""
    lease = live_lease(session, machine)
    return lease is not None and lease.state == "spent"


def _over(machine: Machine, test: HealthTest, this: HealthRound) -> str | None:
    """Why the server has ended this round; None while it goes on."""
    if test.state != RUNNING or this.ended is not None:
        return test.reason or f"it is {test.state}"
    if State(machine.state) is not State.TESTING:
        return f"the machine is {machine.state}"
    return None
