"""Results that came in are compared, and what follows is recorded."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from edeploy.health.facts import Facts
from edeploy.health.gate import Decision, Tested, decide, parts_of
from edeploy.inventory.items import Report
from edeploy.machines import reports, rounds, testing
from edeploy.machines.clearance import PASSED
from edeploy.machines.database import Database
from edeploy.machines.policy import Policy
from edeploy.machines.schema import HealthTest, JsonObject, Machine
from edeploy.machines.testing import WAITING, Action, Outcome

log = logging.getLogger("edeploy.judging")

_OF_STAGES = ("name", "component", "run", "state", "reason")


@dataclass(frozen=True)
class _Read:
    """What was read of one test, and what it was read from: a later round or report is news."""

    sources: object
    facts: Facts
    rounds: tuple[JsonObject, ...]


class Judging:
    """Judges the results that wait. Reading what all other machines sent takes far longer than
    comparing it, so it is kept from one judgement to the next."""

    def __init__(self, database: Database, rules: Policy, *, min_group: int) -> None:
        self._database = database
        self._rules = rules
        self._min_group = min_group
        self._read: dict[int, _Read] = {}

    def judge(self, *, now: float) -> int:
        """Compare the results that wait with those of all others; how many were decided on.

        The comparison takes its time, so it is no part of a transaction: what a machine did
        meanwhile makes its decision void.
        """
        with self._database.read() as session:
            cases = testing.cases(session)
            waiting = [(machine, test) for machine, test in cases if test.state == WAITING]
            if not waiting:
                return 0
            profiles = {test.profile for _, test in waiting}
            last_rounds = rounds.newest_of_all(session)
            places = {machine.name: (test.id, last_rounds[test.id]) for machine, test in waiting}
            self._fill(session, cases, last_rounds)
            tested = [
                self._tested(machine, test) for machine, test in cases if test.profile in profiles
            ]
        decisions = decide(tested, min_group=self._min_group)
        with self._database.write() as session:
            for decision in decisions:
                outcome = _outcome(decision, *places[decision.node])
                testing.conclude(session, outcome, self._rules, now=now)
        for decision in decisions:
            log.info("%s: %s: %s", decision.node, decision.fate.value, decision.why)
        return len(decisions)

    def _fill(
        self,
        session: Session,
        cases: Sequence[tuple[Machine, HealthTest]],
        last_rounds: Mapping[int, int],
    ) -> None:
        """Read what is news, and forget tests that others took the place of."""
        newest = reports.newest_of_all(session)
        known, self._read = self._read, {}
        for machine, test in cases:
            sources = last_rounds[test.id], newest.get(machine.id)
            one = known.get(test.id)
            if one is None or one.sources != sources:
                one = _read(session, machine, test, sources)
            self._read[test.id] = one

    def _tested(self, machine: Machine, test: HealthTest) -> Tested:
        one = self._read[test.id]
        return Tested(
            node=machine.name,
            profile=test.profile,
            facts=one.facts,
            rounds=one.rounds,
            waiting=test.state == WAITING,
            settled=test.state == PASSED,
            go=test.go,
        )


def _read(session: Session, machine: Machine, test: HealthTest, sources: object) -> _Read:
    found = rounds.rounds(session, test)
    return _Read(
        sources=sources,
        facts=parts_of(reports.last_report(session, machine) or Report(())),
        rounds=tuple(_compared(one.figures) for one in found if one.figures),
    )


def _compared(figures: JsonObject) -> JsonObject:
    """What a judgement looks at: which programs ran makes most of a document."""
    stages = figures.get("stages")
    kept = [
        {key: stage[key] for key in _OF_STAGES if key in stage}
        for stage in (stages if isinstance(stages, list) else [])
        if isinstance(stage, dict)
    ]
    return {**figures, "stages": kept, "counters": [], "commands": []}


def _outcome(decision: Decision, test: int, this: int) -> Outcome:
    return Outcome(
        test=test,
        round=this,
        action=Action(decision.fate.value),
        verdict=decision.verdict,
        reason=decision.why,
        evidence=dict(decision.entry),
        stages=decision.stages,
    )
