"""All that was read: machines with facts, metrics, values, and what was left out and why."""

from __future__ import annotations

import math
import re
from array import array
from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from edeploy.health import catalogue
from edeploy.health.facts import Facts
from edeploy.health.measurements import (
    Better,
    Columns,
    Component,
    Flags,
    Floats,
    Ints,
    Metric,
    Values,
)

MAX_NAME = 200
_MAX_NAMED_RUNS = 64
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True)
class Trace:
    """A figure over the time of a test, such as degrees or MHz: a point every so many seconds."""

    name: str
    unit: str
    points: tuple[float, ...]
    every: float = 1.0

    @property
    def seconds(self) -> float:
        """How long it was looked at."""
        return self.every * len(self.points)


@dataclass(frozen=True)
class Link:
    """A PCIe or network link: what it runs at, and what both its ends can do, or as far as is
    known (`both_ends` is False then) the machine's own."""

    name: str
    now: str
    can: str
    component: Component = Component.OTHER
    both_ends: bool = True


@dataclass(frozen=True)
class CounterChange:
    """A counter of errors or of throttling, before and after the load."""

    name: str
    before: int
    after: int


@dataclass(frozen=True)
class Record:
    """What else a machine's own results say. `errors` are hard: wrong results, failing parts.

    `missing` are the stages that should have a result and have none, `skipped` those that were not
    made, each with its reason; `tools` the versions of programs.
    """

    errors: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    counters: tuple[CounterChange, ...] = ()
    traces: tuple[Trace, ...] = ()
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Machine:
    """One machine. `node` is its name, `group` the one that a CSV gave it, or empty.

    `remarks` say what was wrong with its data; `unreadable` that nothing of it could be read.
    """

    node: str
    group: str = ""
    facts: Facts = Facts()
    record: Record = Record()
    remarks: tuple[str, ...] = ()
    unreadable: bool = False


@dataclass(frozen=True)
class Skipped:
    """Measurements that are left out on purpose."""

    name: str
    reason: str


@dataclass(frozen=True)
class Evidence:
    """What an analysis starts from. The tuples are sorted: the order of files does not matter."""

    machines: tuple[Machine, ...]
    metrics: tuple[Metric, ...]
    values: Values
    skipped: tuple[Skipped, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass
class Gatherer:
    """Collects evidence while files are read; `evidence()` puts it in order."""

    _machines: list[Machine] = field(default_factory=list)
    _numbers: dict[tuple[str, str], int] = field(default_factory=dict)
    _metrics: dict[tuple[str, str, Better | None], int] = field(default_factory=dict)
    _found: dict[Metric, int] = field(default_factory=dict)
    _runs: dict[str, int] = field(default_factory=dict)
    _columns: Columns = field(default_factory=Columns)
    _remarks: dict[int, Counter[str]] = field(default_factory=dict)
    _skipped: set[Skipped] = field(default_factory=set)
    _problems: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def machine(self, node: str, group: str = "") -> int:
        """The number of a machine by name, new or known."""
        number = self._numbers.get((group, node))
        if number is None:
            number = self._numbers[(group, node)] = len(self._machines)
            self._machines.append(Machine(node, group))
        return number

    def describe(self, number: int, facts: Facts) -> None:
        """Set what a machine consists of."""
        self._machines[number] = replace(self._machines[number], facts=facts)

    def record(self, number: int, record: Record) -> None:
        """Set what a machine's own results say beside their values; nothing takes nothing away."""
        if record != Record():
            self._machines[number] = replace(self._machines[number], record=record)

    def unreadable(self, name: str, reason: str) -> None:
        """A file of which nothing can be used stands in the result as a machine without data."""
        number = self.machine(name, "\0unreadable")
        self._machines[number] = replace(self._machines[number], group="", unreadable=True)
        self.remark(number, reason)

    def metric(self, label: str, unit: str, better: Better | None) -> int:
        """The number of a metric, new or known."""
        key = (label, unit, better)
        number = self._metrics.get(key)
        if number is None:
            number = self.known(catalogue.metric(label, unit, better))
            self._metrics[key] = number
        return number

    def known(self, metric: Metric) -> int:
        """The number of a metric whose part and direction are known."""
        return self._found.setdefault(metric, len(self._found))

    def run(self, label: str) -> int:
        """The number of a run's name."""
        return self._runs.setdefault(label, len(self._runs))

    def add(self, machine: int, metric: int, run: int, value: float) -> bool:
        """Take a value when it can be compared: a finite number above 0."""
        if not 0 < value < math.inf:
            return False
        self._columns.add(machine, metric, run, value)
        return True

    def extend(self, machine: Ints, metric: Ints, run: Ints, value: Floats) -> None:
        """Take many values at once; all must be finite and above 0."""
        self._columns.extend(machine, metric, run, value)

    def remark(self, number: int, text: str) -> None:
        """Note what is wrong with a machine's data; it is said with the machine's verdict."""
        self._remarks.setdefault(number, Counter())[text] += 1

    def skip(self, name: str, reason: str) -> None:
        """Note measurements that are left out on purpose."""
        self._skipped.add(Skipped(name, reason))

    def problem(self, file: str, reason: str, detail: str = "") -> None:
        """Note what could not be used of a file; problems of one reason are told as one."""
        self._problems.setdefault((file, reason), []).append(detail)

    def evidence(self) -> Evidence:
        """What was gathered, in an order that does not depend on the order of reading."""
        machines, machine_order = self._sorted_machines()
        metrics = sorted(self._found, key=_metric_key)
        places = {metric: place for place, metric in enumerate(metrics)}
        metric_order = np.array([places[metric] for metric in self._found], dtype=np.int64)
        values, repeated = _values(self._columns, machine_order, metric_order, self._run_order())
        problems = [_told(*key, details) for key, details in self._problems.items()]
        if repeated:
            problems.append(f"{repeated} values that are there twice with the same run: left out")
        return Evidence(
            machines=machines,
            metrics=tuple(metrics),
            values=values,
            skipped=tuple(sorted(self._skipped, key=lambda skipped: skipped.name)),
            problems=tuple(sorted(problems)),
        )

    def _sorted_machines(self) -> tuple[tuple[Machine, ...], Ints]:
        counts = Counter(machine.node for machine in self._machines)
        # Names of one group are told in one way: with the group when that tells any of them apart.
        unclear = {machine.group for machine in self._machines if counts[machine.node] > 1}
        named = [
            replace(
                machine,
                node=f"{machine.group} {machine.node}".strip()
                if machine.group in unclear
                else machine.node,
                remarks=_counted(self._remarks.get(number, Counter())),
            )
            for number, machine in enumerate(self._machines)
        ]
        order = sorted(range(len(named)), key=lambda n: (natural(named[n].node), named[n].group))
        places = np.empty(len(order), dtype=np.int64)
        places[order] = np.arange(len(order))
        return tuple(named[number] for number in order), places

    def _run_order(self) -> Ints:
        """Where each run's name stands; an unnamed run stands at -1."""
        names = sorted((name for name in self._runs if name), key=natural)
        places = {name: place for place, name in enumerate(names)}
        return np.array([places.get(name, -1) for name in self._runs], dtype=np.int64)


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """A key to sort names as people do: node2 before node10."""
    parts = re.split(r"(\d{1,18})", text)
    return tuple((0, int(p), p) if p.isdecimal() and p.isascii() else (1, 0, p) for p in parts)


def clean(text: str) -> str:
    """A name from outside, without what breaks terminals and lines."""
    return _UNPRINTABLE.sub("\ufffd", text.strip())


def _values(
    columns: Columns, machine_order: Ints, metric_order: Ints, run_order: Ints
) -> tuple[Values, int]:
    """The values sorted by metric, machine, run, value, without exact repetitions; how many those
    were. Runs whose names do not tell one value from another are numbered by value instead."""
    machine = _reordered(columns.machine, machine_order)
    metric = _reordered(columns.metric, metric_order)
    run = _reordered(columns.run, run_order)
    value = np.array(columns.value, dtype=np.float64)
    order = _sorting(metric, machine, run, value)
    machine, metric, run, value = machine[order], metric[order], run[order], value[order]
    same = _equal_before(metric) & _equal_before(machine)
    twice = same & _equal_before(run)
    repeated = twice & _equal_before(value) & (run >= 0)
    kept = ~repeated
    # Names help when each stands for one time of measuring on all machines.
    useful = not bool((twice & kept).any()) and len(run_order) <= _MAX_NAMED_RUNS
    named = useful and bool((run >= 0).all())
    machine, metric, value, run = machine[kept], metric[kept], value[kept], run[kept]
    if not named:
        run = _places(_equal_before(metric) & _equal_before(machine))
    return Values(machine, metric, run, value, named), int(repeated.sum())


def _sorting(metric: Ints, machine: Ints, run: Ints, value: Floats) -> Ints:
    """The order by metric, machine, run, value."""
    if not len(value):
        return np.zeros(0, dtype=np.int64)
    machines, runs = int(machine.max()) + 1, int(run.max()) + 2
    if (int(metric.max()) + 1) * machines * runs >= 1 << 62:
        return np.lexsort((value, run, machine, metric))
    # One number of all three: a single sort is four times as quick.
    key = (metric * machines + machine) * runs + run + 1
    order: Ints = np.argsort(key, kind="stable")
    if bool(_equal_before(key[order]).any()):
        order = np.lexsort((value, key))
    return order


def _reordered(column: array[int], order: Ints) -> Ints:
    numbers = np.frombuffer(column, dtype=np.int32).astype(np.int64)
    return order[numbers] if len(numbers) else numbers


def _equal_before(column: Ints | Floats) -> Flags:
    same = np.zeros(len(column), dtype=np.bool_)
    same[1:] = column[1:] == column[:-1]
    return same


def _places(same: Flags) -> Ints:
    """0, 1, 2, … inside each stretch of positions that belong together."""
    position = np.arange(len(same), dtype=np.int64)
    starts = np.where(same, 0, position)
    return position - np.maximum.accumulate(starts) if len(same) else position


def _metric_key(metric: Metric) -> tuple[int, object, str, str]:
    place = list(Component).index(metric.component)
    return place, natural(metric.label), metric.unit, metric.better.value


def _counted(remarks: Counter[str]) -> tuple[str, ...]:
    return tuple(
        f"{text} ({count} times)" if count > 1 else text for text, count in sorted(remarks.items())
    )


def _told(file: str, reason: str, details: list[str]) -> str:
    known = [detail for detail in details if detail]
    first = f": {known[0]}" if known else ""
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return f"{file}: {reason}{first}{more}"
