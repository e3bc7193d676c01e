"""The keeper of judgements: results that came in are compared, and what follows is recorded."""

import asyncio
import logging
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from edeploy import timeouts
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


class Judging:
    """Judges when results came in; `wake` says so. One judgement at a time, of all that wait."""

    def __init__(self, judge: Callable[[], int]) -> None:
        self._judge = judge
        self._changed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def wake(self) -> None:
        """Look again; from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._changed.set)

    async def run(self) -> None:
        """Judge for ever; what came in while no server ran is judged at once."""
        self._loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            try:
                await asyncio.to_thread(self._judge)
            except SQLAlchemyError:
                log.exception("the records can not be read")
            except Exception:
                # One machine's results must not keep all others from being judged for ever.
                log.exception("the results can not be judged")
            try:
                await asyncio.wait_for(self._changed.wait(), timeouts.JUDGE_AGAIN)
            except TimeoutError:
                continue


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
