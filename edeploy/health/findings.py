"""What speaks against a machine: speed, parts, missing results, hard errors."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edeploy.health.cohorts import Cohorts
from edeploy.health.comparison import Comparison, compare, compare_with
from edeploy.health.evidence import Evidence, Link
from edeploy.health.groups import Difference, Groups
from edeploy.health.judge import Judged
from edeploy.health.measurements import Component
from edeploy.health.modes import Mode
from edeploy.health.rules import Verdict

# Which figures suffer from other parts.
_SUFFERS = {
    Component.CPU: (Component.CPU, Component.MEMORY),
    Component.MEMORY: (Component.MEMORY,),
    Component.DISK: (),
    Component.NETWORK: (Component.NETWORK,),
}


@dataclass(frozen=True)
class Siblings:
    """The other disks of the same kind in the machine: how many, how many of them are flagged too,
    and this disk's loss against their median."""

    count: int
    flagged: int
    loss: float


@dataclass(frozen=True)
class Finding:
    """One thing about one machine (its index). What does not apply is None or empty.

    `against_norm` are the figures of a machine with other parts beside those of the usual parts;
    `link` is one below what it can do; `said` is the whole finding where it is no comparison: a
    missing result, a hard error, a link.
    """

    machine: int
    verdict: Verdict
    component: Component
    comparison: Comparison | None = None
    difference: Difference | None = None
    mode: Mode | None = None
    against_norm: tuple[Comparison, ...] = ()
    siblings: Siblings | None = None
    link: Link | None = None
    said: str = ""

    @property
    def rank(self) -> tuple[int, float, str]:
        """Sorts findings, the gravest first."""
        told = self.comparison
        if told is not None:
            return -self.verdict, -max(told.excess, _worst_run(told)), told.metric
        # Hard errors first of all, then links: both are behind what is slow.
        hard = self.verdict is Verdict.FAIL and self.link is None
        weight = math.inf if hard else sys.float_info.max if self.link else 0.0
        return -self.verdict, -weight, self.said


def speed(judged: Judged, number: int, modes: Mapping[tuple[int, str], Mode]) -> Iterator[Finding]:
    """The cells of a judged block that did not pass. `number` is the block's cohort's."""
    verdict = judged.cells.verdict
    flagged = (verdict == Verdict.WATCH) | (verdict >= Verdict.GROUP_SUSPECT)
    for row, column in np.argwhere(flagged).tolist():
        about = judged.columns[column]
        yield Finding(
            machine=judged.cohort.rows[row].machine,
            verdict=Verdict(int(verdict[row, column])),
            component=about.component,
            comparison=compare(judged, row, column),
            mode=_slow_mode(modes.get((number, about.label)), row),
            siblings=_siblings(judged, row, column),
        )


def _slow_mode(mode: Mode | None, row: int) -> Mode | None:
    return mode if mode is not None and (row in mode.slow or mode.undecided) else None


def _siblings(judged: Judged, row: int, column: int) -> Siblings | None:
    mine = judged.cohort.rows[row]
    if not mine.disk:
        return None
    level, verdict = judged.cells.level[:, column], judged.cells.verdict[:, column]
    others = [
        place
        for place in judged.cohort.of_machine[mine.machine]
        if place != row and np.isfinite(level[place])
    ]
    if not others:
        return None
    loss = -math.expm1(float(level[row]) - float(np.median(level[others])))
    return Siblings(len(others), int((verdict[others] >= Verdict.GROUP_SUSPECT).sum()), loss)


def parts(
    groups: Groups, found: Cohorts, judged: Mapping[int, Sequence[Judged]]
) -> Iterator[Finding]:
    """Machines whose parts differ from what their family has: missing ones fail, and others when
    the machine is slower for them. `judged` gives the judged blocks of each cohort."""
    for difference in groups.differences:
        for machine in difference.machines:
            against = _by_parts(difference, machine, found, judged)
            slow = [one for one in against if one.excess > 1]
            fail = bool(slow) or difference.only_missing
            yield Finding(
                machine=machine,
                verdict=Verdict.FAIL if fail else Verdict.WATCH,
                component=difference.component,
                comparison=max(slow, key=lambda one: (one.excess, one.metric), default=None),
                difference=difference,
                against_norm=against,
            )


def _by_parts(
    difference: Difference, machine: int, found: Cohorts, judged: Mapping[int, Sequence[Judged]]
) -> tuple[Comparison, ...]:
    return tuple(
        comparison
        for component in _SUFFERS[difference.component]
        if (slot := found.slots.get((component, ""))) is not None
        for comparison in _against_norm(found, judged, slot, machine, difference.holders[0])
    )


def _against_norm(
    found: Cohorts, judged: Mapping[int, Sequence[Judged]], slot: int, machine: int, holder: int
) -> Iterator[Comparison]:
    own, norm = int(found.place[slot, machine]), int(found.place[slot, holder])
    row = int(found.row[slot, machine])
    usual = {
        column: (block, place)
        for block in judged.get(norm, ())
        for place, column in enumerate(block.columns)
        if block.cells.members[place] > 1
    }
    for block in judged.get(own, ()):
        for place, column in enumerate(block.columns):
            if column in usual and np.isfinite(block.cells.level[row, place]):
                yield compare_with(block, row, place, *usual[column])


def errors(evidence: Evidence) -> Iterator[Finding]:
    """What a machine's own results tell without statistics: hard errors, and missing stages."""
    for number, machine in enumerate(evidence.machines):
        for error in machine.record.errors:
            yield Finding(number, Verdict.FAIL, _part(error), said=error)
        for stage in machine.record.missing:
            yield Finding(number, Verdict.NO_DATA, _part(stage), said=f"no result of {stage}")


def _part(text: str) -> Component:
    """The part that a sentence begins with: `disk/sda: …`, `memory …`."""
    word = re.split(r"[^a-z]", text.lower(), maxsplit=1)[0]
    return next((part for part in Component if part.value == word), Component.OTHER)


def missing(blocks: Iterable[Judged]) -> Iterator[Finding]:
    """Machines without a result that most of their peers have: one finding a machine."""
    lacking: dict[int, list[tuple[str, Component]]] = {}
    for judged in blocks:
        for row, column in np.argwhere(judged.cells.verdict == Verdict.NO_DATA).tolist():
            where, about = judged.cohort.rows[row], judged.columns[column]
            lacking.setdefault(where.machine, []).append((about.of(where), about.component))
    for number, lacks in sorted(lacking.items()):
        more = f" and {len(lacks) - 1} more" if len(lacks) > 1 else ""
        said = f"no result of {lacks[0][0]}{more}, which its peers have"
        yield Finding(number, Verdict.NO_DATA, lacks[0][1], said=said)


def closest(judged: Iterable[Judged]) -> dict[int, Comparison]:
    """Of each machine that was compared, the figure nearest to its limit or furthest beyond."""
    best: dict[int, tuple[float, Judged, int, int]] = {}
    for block in judged:
        cells = block.cells
        compared = np.isfinite(cells.level) & (cells.members > 1)
        excess = np.where(compared, -cells.level / cells.limit, -np.inf)
        columns = excess.argmax(axis=1)
        for row, where in enumerate(block.cohort.rows):
            mine = float(excess[row, columns[row]])
            if math.isfinite(mine) and mine > best.get(where.machine, (-math.inf,))[0]:
                best[where.machine] = mine, block, row, int(columns[row])
    return {
        machine: compare(block, row, column)
        for machine, (_, block, row, column) in sorted(best.items())
    }


def _worst_run(told: Comparison) -> float:
    """Excess of the worst run, by which a machine that is slow in one run only is ranked."""
    worst = max(told.run_losses, default=0.0)
    return math.log1p(-min(worst, 1 - 1e-12)) / math.log1p(-told.limit) if told.odd else 0.0
