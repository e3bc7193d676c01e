"""Health tests as operators see them: JSON objects of one machine's, and of all that run."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from edeploy.inventory.items import Report
from edeploy.machines import testing
from edeploy.machines.clearance import PASSED, last_word
from edeploy.machines.records import find
from edeploy.machines.reports import last_report
from edeploy.machines.rounds import rounds, sent
from edeploy.machines.schema import HealthRound, HealthTest, JsonObject, Machine


@dataclass(frozen=True)
class Sent:
    """What a machine sent in the rounds of one test, and what it consists of now."""

    machine: str
    test: int
    profile: str
    at: float
    report: Report
    rounds: tuple[JsonObject, ...]


def health(session: Session, machine: Machine) -> JsonObject:
    """The machine's newest test and the operator's word for it; null where there is none."""
    test, word = testing.latest(session, machine), last_word(session, machine)
    return {
        "wanted": machine.health,
        "test": one(session, test) if test else None,
        "accepted": {"at": word.at, "until": word.until, "by": word.by, "reason": word.reason}
        if word
        else None,
    }


def of_machine(session: Session, name: str) -> list[JsonObject]:
    """All tests of a machine, the newest first."""
    machine = find(session, name)
    rows = session.scalars(
        select(HealthTest).where(HealthTest.machine_id == machine.id).order_by(HealthTest.id.desc())
    ).all()
    return [{"machine": machine.name, **one(session, test)} for test in rows]


def running(session: Session) -> list[JsonObject]:
    """The tests that are not over, by machine."""
    rows = session.execute(
        select(Machine.name, HealthTest)
        .join(HealthTest, HealthTest.machine_id == Machine.id)
        .where(HealthTest.state.in_(testing.OPEN))
        .order_by(Machine.name)
    ).all()
    return [{"machine": name, **one(session, test)} for name, test in rows]


def one(session: Session, test: HealthTest) -> JsonObject:
    """A test, its verdict and its rounds."""
    return {
        "id": test.id,
        "profile": test.profile,
        "state": test.state,
        "why": test.why,
        "began": test.began,
        "ended": test.ended,
        "verdict": test.verdict,
        "reason": test.reason,
        "evidence": test.evidence,
        "rounds": [_round(this) for this in rounds(session, test)],
    }


def newest_sent(session: Session, names: Sequence[str]) -> list[Sent]:
    """The newest results of these machines, or of all that have any."""
    wanted = {find(session, name).id for name in names}
    return [
        _sent(session, machine, test)
        for machine, test in testing.cases(session)
        if not wanted or machine.id in wanted
    ]


def first_sent(session: Session, machine: str) -> Sent | None:
    """The results of the machine's first test that it passed, or else of its first."""
    row = find(session, machine)
    tests = session.scalars(
        select(HealthTest)
        .where(
            HealthTest.machine_id == row.id,
            HealthTest.state.in_((PASSED, testing.WAITING, testing.REJECTED)),
        )
        .order_by(HealthTest.id)
    ).all()
    first = next((test for test in tests if test.state == PASSED), next(iter(tests), None))
    return _sent(session, row, first) if first else None


def _sent(session: Session, machine: Machine, test: HealthTest) -> Sent:
    bodies = (sent(this) for this in rounds(session, test))
    return Sent(
        machine=machine.name,
        test=test.id,
        profile=test.profile,
        at=test.began,
        report=last_report(session, machine) or Report(()),
        rounds=tuple(body for body in bodies if body is not None),
    )


def _round(this: HealthRound) -> JsonObject:
    return {
        "number": this.number,
        "first_run": this.first_run,
        "runs": this.runs,
        "only": this.only.get("stages"),
        "began": this.began,
        "last": this.last,
        "ended": this.ended,
        "progress": this.progress,
    }
