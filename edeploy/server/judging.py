"""Results that came in are compared, and what follows is recorded."""

import logging

from sqlalchemy.orm import Session

from edeploy.health.gate import Decision, Tested, decide
from edeploy.inventory.items import Report
from edeploy.machines import testing
from edeploy.machines.clearance import PASSED
from edeploy.machines.database import Database
from edeploy.machines.policy import Policy
from edeploy.machines.reports import last_report
from edeploy.machines.rounds import last_round, rounds
from edeploy.machines.schema import HealthTest, Machine
from edeploy.machines.testing import WAITING, Action, Outcome

log = logging.getLogger("edeploy.judging")


def judge_waiting(database: Database, rules: Policy, *, min_group: int, now: float) -> int:
    """Compare the results that wait with those of all others; how many were decided on.

    The comparison takes its time, so it is no part of a transaction: what a machine did meanwhile
    makes its decision void.
    """
    with database.read() as session:
        cases = testing.cases(session)
        waiting = [(machine, test) for machine, test in cases if test.state == WAITING]
        profiles = {test.profile for _, test in waiting}
        places = {
            machine.name: (test.id, last_round(session, test).id) for machine, test in waiting
        }
        tested = [
            _tested(session, machine, test) for machine, test in cases if test.profile in profiles
        ]
    if not places:
        return 0
    decisions = decide(tested, min_group=min_group)
    with database.write() as session:
        for decision in decisions:
            testing.conclude(session, _outcome(decision, *places[decision.node]), rules, now=now)
    for decision in decisions:
        log.info("%s: %s: %s", decision.node, decision.fate.value, decision.why)
    return len(decisions)


def _tested(session: Session, machine: Machine, test: HealthTest) -> Tested:
    return Tested(
        node=machine.name,
        profile=test.profile,
        report=last_report(session, machine) or Report(()),
        rounds=tuple(one.figures for one in rounds(session, test) if one.figures),
        waiting=test.state == WAITING,
        settled=test.state == PASSED,
        go=test.go,
    )


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
