"""A test from its first look at the machine to its document."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from edeploy import __version__
from edeploy.errors import EdeployError
from edeploy.inventory.items import Report
from edeploy.node import timeouts
from edeploy.node.bench import counters, facts
from edeploy.node.bench.disks import measurable, unwritten
from edeploy.node.bench.fio import DiskError
from edeploy.node.bench.governor import at_full_speed
from edeploy.node.bench.network import Endpoint
from edeploy.node.bench.order import TestOrder
from edeploy.node.bench.plan import Plan, in_order, make_plan
from edeploy.node.bench.programs import Bench, Stop, TestStopped
from edeploy.node.bench.results import Change, Ended, Findings, Outcome, Result
from edeploy.node.bench.stage import Stage
from edeploy.node.bench.telling import Telling
from edeploy.node.bench.topology import topology
from edeploy.node.bench.traces import watching
from edeploy.node.detect.tree import Tree

# Kept of the server's time for the last look at disks and for sending the results.
_RESERVE = 20.0


@dataclass
class Test:
    """A test that runs, and what it has found. `began` and `ends` are on the monotonic clock."""

    # pytest takes classes of such a name for tests.
    __test__ = False

    order: TestOrder
    tree: Tree
    hardware: Report
    known: Endpoint
    stop: Stop
    telling: Telling
    began: float = field(default_factory=time.monotonic)
    found: Findings = field(default_factory=Findings)

    @property
    def ends(self) -> float:
        return self.began + max(self.order.seconds - _RESERVE, self.order.seconds / 2)


def run_test(test: Test) -> dict[str, object]:
    """Measure all that was ordered; the document. Raises TestStopped when the server ended it.

    What can not be measured is in the document as missing, with the reason.
    """
    started = time.time()
    plan = make_plan(test.tree, topology(test.tree), test.order, test.known)
    with at_full_speed(test.tree), watching(test.tree) as watcher:
        before = look_at_health(test, plan)
        note_unwritten(test)
        for run in test.order.runs:
            leave_out(test, plan, run)
            run_stages(test, plan, run, before)
        look_again(test, before)
        test.found.traces += watcher.traces()
        # At the end: many are at full speed under load only.
        test.found.links += watcher.links.links()
    return test.found.document(
        profile=test.order.profile.name,
        agent=__version__,
        kernel=test.tree.text("proc/sys/kernel/osrelease"),
        seed=test.order.seed,
        started=round(started, 3),
        seconds=round(time.monotonic() - test.began, 3),
    )


def look_at_health(test: Test, plan: Plan) -> counters.Health:
    """What disks, BMC and kernel say before the first stage."""
    runs = len(test.order.runs)
    total = runs * len(plan.stages)
    test.telling.begin("health", test.order.runs[0], 0, total, runs * plan.seconds)
    health = counters.asked_health(test.tree)
    for sentence in health.failing:
        test.found.error(sentence)
    for sentence in health.alarms:
        test.found.warning(sentence)
    test.found.links += facts.network_links(test.hardware)
    for sentence in facts.memory_warnings(test.hardware, topology(test.tree)):
        test.found.warning(sentence)
    # Since the machine was switched on: what is not 0 happened before the first stage.
    _weigh(test, counters.changes({}, counters.kernel_counters(test.tree)), kept=True)
    return health


def note_unwritten(test: Test) -> None:
    """Say which SSDs have never been written to, as far as a few places tell."""
    if not any(test.order.wants(f"disk/{disk.name}/read_1M") for disk in measurable(test.tree)[0]):
        return
    for disk in measurable(test.tree)[0]:
        if test.tree.number(f"sys/block/{disk.name}/queue/rotational") != 0:
            continue
        try:
            if unwritten(disk):
                test.found.warning(
                    f"disk: {disk.name} is empty: blocks that were never written are read "
                    "faster than others"
                )
        except OSError as error:
            test.found.warning(f"disk: {disk.name}: {error.strerror}")


def leave_out(test: Test, plan: Plan, run: int) -> None:
    """Record what this machine, or this test, does not have."""
    at = time.monotonic() - test.began
    test.found.stages += [
        Ended(one.name, one.part, run, "skipped", one.reason, at, 0.0) for one in plan.left_out
    ]


def run_stages(test: Test, plan: Plan, run: int, before: counters.Health) -> None:
    """All stages of one run. Raises TestStopped."""
    stages = in_order(plan.stages, test.order, run)
    runs_left = len(test.order.runs) - test.order.runs.index(run) - 1
    total = len(stages) * len(test.order.runs)
    done = total - len(stages) * (runs_left + 1)
    for number, stage in enumerate(stages):
        test.stop.check()
        left = sum(one.seconds for one in stages[number:]) + runs_left * plan.seconds
        test.telling.begin(stage.name, run, done + number, total, left)
        was = counters.kernel_counters(test.tree)
        ended = run_stage(test, stage, run, left)
        test.found.stages.append(ended)
        now = counters.changes(was, counters.kernel_counters(test.tree), stage.name, run)
        _weigh(test, now, kept=True)
        if test.order.profile.each_stage:
            before = _compare_health(test, before, stage.name, run)


def run_stage(test: Test, stage: Stage, run: int, left: float) -> Ended:
    """One stage, in a thread of its own: what hangs in the kernel is left behind. Raises
    TestStopped."""
    began = time.monotonic()
    room = test.ends - began
    if room < stage.seconds:
        return _missing(test, stage, run, began, (), f"no time left: {max(0, room):.0f} s")
    deadline = min(began + stage.patience, test.ends)
    bench = Bench(
        test.tree,
        deadline,
        test.stop,
        lambda value, unit: test.telling.value(
            max(0.0, left - (time.monotonic() - began)), value, unit
        ),
    )
    work = _Work(stage, bench, run)
    outcome, error = work.result(deadline + timeouts.BENCH_KILLED)
    # Whatever became of it: where it may have written is known before the first byte.
    test.found.written += [one for one in bench.written if one not in test.found.written]
    if isinstance(error, TestStopped):
        raise error
    if isinstance(error, DiskError):
        test.found.error(error.message)
    commands = tuple(dict.fromkeys(bench.commands))
    if outcome is None:
        return _missing(test, stage, run, began, commands, _reason(error))
    unusable = [result.metric for result in outcome.results if not result.usable]
    if unusable:
        return _missing(test, stage, run, began, commands, f"no figure: {', '.join(unusable)}")
    for sentence in outcome.errors:
        test.found.error(sentence)
    test.found.results += [(stage.name, run, result) for result in outcome.results]
    test.telling.end(stage.name, _values(outcome.results) or "good")
    return Ended(
        stage.name, stage.part, run, "done", "", began - test.began,
        time.monotonic() - began, outcome.tool, commands,
    )  # fmt: skip


def look_again(test: Test, before: counters.Health) -> None:
    """What disks and BMC say after the last stage."""
    if not test.order.profile.each_stage:
        _compare_health(test, before, "the test", test.order.runs[-1])


def _compare_health(
    test: Test, before: counters.Health, stage: str, run: int
) -> counters.Health:  # fmt: skip
    after = counters.asked_health(test.tree)
    for sentence in after.failing:
        test.found.error(sentence)
    for sentence in after.alarms:
        test.found.warning(sentence)
    _weigh(test, counters.changes(before.counters, after.counters, stage, run), kept=True)
    errors, warnings = counters.new_events(before, after)
    for sentence in errors:
        test.found.error(sentence)
    for sentence in warnings:
        test.found.warning(sentence)
    return after


def _weigh(test: Test, changes: Sequence[Change], *, kept: bool) -> None:
    for change in changes:
        error, warning = counters.meaning(change)
        if error:
            test.found.error(error)
        if warning:
            test.found.warning(warning)
        if kept:
            test.found.counters.append(change)


def _missing(
    test: Test, stage: Stage, run: int, began: float, commands: tuple[str, ...], reason: str
) -> Ended:
    test.telling.end(stage.name, f"MISSING: {reason}")
    seconds = time.monotonic() - began
    return Ended(
        stage.name, stage.part, run, "missing", reason, began - test.began, seconds, "", commands
    )


def _reason(error: BaseException | None) -> str:
    if error is None:
        return "it hangs in the kernel and can not be ended"
    if isinstance(error, EdeployError):
        return error.message
    return f"unexpected {type(error).__name__}: {error}"


def _values(results: Sequence[Result]) -> str:
    shown = [f"{one.metric.rsplit('/', 1)[-1]} {one.value:.6g} {one.unit}" for one in results[:4]]
    return ", ".join(shown)


class _Work:
    """A stage in a thread: a daemon, so that one that hangs does not keep the agent."""

    def __init__(self, stage: Stage, bench: Bench, run: int) -> None:
        self._stage = stage
        self._bench = bench
        self._run = run
        self._outcome: Outcome | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name=stage.name, daemon=True)
        self._thread.start()

    def result(self, until: float) -> tuple[Outcome | None, BaseException | None]:
        self._thread.join(max(0.0, until - time.monotonic()))
        if self._thread.is_alive():
            return None, None
        return self._outcome, self._error

    def _work(self) -> None:
        try:
            self._outcome = self._stage.work(self._bench, self._run)
        except BaseException as error:
            self._error = error
