"""Groups in which a metric has two modes: who is in which, and what tells them apart."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edeploy.health import robust
from edeploy.health.cohorts import Block, Cohort
from edeploy.health.evidence import Evidence
from edeploy.health.facts import Facts
from edeploy.health.groups import PARTS, Choice, told
from edeploy.health.judge import Cells, Judged, Terms, judge_cube
from edeploy.health.measurements import Floats, Ints
from edeploy.health.rules import (
    MODE_MEMBERS,
    MODE_SCALES,
    MODE_SHARE,
    NO_MAJORITY,
    SMALL_GROUP,
    SMALL_GROUP_FACTOR,
    Verdict,
)

# A fact belongs to a mode when this share of its machines has it and of the others has not, and
# when chance would share it out like this less than once in 20 times.
_FACT_SHARE = 0.9
_FACT_CHANCE = 20
_FIRST = ("firmware.", "memory.", "cpu.", "disk.", "network.", "system.")


@dataclass(frozen=True)
class Fact:
    """What separates the slow from the fast: `name` is what differs."""

    name: str
    slow: str
    fast: str


@dataclass(frozen=True)
class Mode:
    """Two modes in one column: rows of the slow and the fast one, and the fact between them."""

    cohort: Cohort
    column: str
    slow: tuple[int, ...]
    fast: tuple[int, ...]
    gap: float
    fact: Fact | None

    def text(self) -> str:
        """The fact in words, `these 4 have … where 15 have …`; empty without one."""
        if self.fact is None:
            return ""
        slow, fast = (
            len({self.cohort.rows[row].machine for row in rows}) for rows in (self.slow, self.fast)
        )
        return (
            f"these {slow} have {self.fact.name} {self.fact.slow} where {fast} have "
            f"{self.fact.fast}"
        )

    @property
    def undecided(self) -> bool:
        """Whether neither is the majority."""
        return min(len(self.slow), len(self.fast)) >= NO_MAJORITY * len(self.slow + self.fast)


def settle(
    block: Block, judged: Judged, terms: Terms, evidence: Evidence, choice: Choice
) -> Iterator[Mode]:
    """Find the columns with two modes, and change the verdicts of those without a majority: with a
    fact each mode is judged by itself and the slow one watched, without one nobody can judge."""
    for column in _candidates(judged.cells, terms):
        rows = np.flatnonzero(np.isfinite(judged.cells.level[:, column]))
        levels = judged.cells.level[rows, column]
        split = _split(levels, float(terms.noise[column]), _effect(terms, column, len(rows)))
        if split is None:
            continue
        slow, fast = rows[levels <= split[0]], rows[levels > split[0]]
        fact = _separating(judged.cohort, slow, fast, evidence, choice)
        mode = Mode(
            judged.cohort,
            judged.columns[column].label,
            tuple(slow.tolist()),
            tuple(fast.tolist()),
            split[1],
            fact,
        )
        if mode.undecided and fact is None:
            judged.cells.verdict[rows, column] = Verdict.GROUP_SUSPECT
        elif mode.undecided:
            _judge_halves(block, judged.cells, terms, column, slow, fast)
        yield mode


def _candidates(cells: Cells, terms: Terms) -> list[int]:
    """The columns whose range allows for a gap that matters."""
    with np.errstate(invalid="ignore"):
        reach = np.nan_to_num(np.nanmax(cells.level, axis=0, initial=-np.inf)) - np.nan_to_num(
            np.nanmin(cells.level, axis=0, initial=np.inf)
        )
    wide = reach > np.maximum(MODE_SCALES * terms.noise, -np.log1p(-terms.effect))
    chosen: list[int] = np.flatnonzero(wide & (cells.members >= 2 * MODE_MEMBERS)).tolist()
    return chosen


def _effect(terms: Terms, column: int, members: int) -> float:
    factor = SMALL_GROUP_FACTOR if members < SMALL_GROUP else 1.0
    return -math.log1p(-factor * float(terms.effect[column]))


def _split(levels: Floats, noise: float, effect: float) -> tuple[float, float] | None:
    """Where the slow mode ends and how wide the gap is; None when there is one mode."""
    ordered = np.sort(levels)
    least = max(MODE_MEMBERS, math.ceil(MODE_SHARE * len(ordered)))
    gaps = np.diff(ordered)[least - 1 : len(ordered) - least]
    if not len(gaps):
        return None
    end = least - 1 + int(gaps.argmax())
    gap = float(gaps.max())
    low, high = ordered[: end + 1], ordered[end + 1 :]
    inside = np.concatenate([low - np.median(low), high - np.median(high)])
    scale = max(float(robust.scale(inside[:, None], 0)[0]), noise)
    if gap <= max(MODE_SCALES * scale, effect):
        return None
    return float(ordered[end]), gap


def _judge_halves(
    block: Block, cells: Cells, terms: Terms, column: int, slow: Ints, fast: Ints
) -> None:
    """Judge each mode against its own median; the slow one is at least watched."""
    one = Terms(
        terms.noise[[column]], terms.effect[[column]], terms.lower[[column]], terms.named_runs
    )
    for rows in (slow, fast):
        half = judge_cube(block.cube[rows][:, [column]], one)
        cells.level[rows, column] = half.level[:, 0]
        cells.ratios[rows, column] = half.ratios[:, 0]
        cells.z[rows, column] = half.z[:, 0]
        cells.odd[rows, column] = half.odd[:, 0]
        cells.bad[rows, column] = half.bad[:, 0]
        cells.verdict[rows, column] = half.verdict[:, 0]
    cells.verdict[slow, column] = np.maximum(cells.verdict[slow, column], Verdict.WATCH)


def _separating(
    cohort: Cohort, slow: Ints, fast: Ints, evidence: Evidence, choice: Choice
) -> Fact | None:
    """The fact that the slow share and the fast have not, hard ones first; None without one."""
    slow_machines = sorted({cohort.rows[row].machine for row in slow.tolist()})
    fast_machines = sorted({cohort.rows[row].machine for row in fast.tolist()})
    both = len(slow_machines) + len(fast_machines)
    if set(slow_machines) & set(fast_machines):
        return None
    if math.comb(both, len(slow_machines)) < _FACT_CHANCE:
        return None
    return _best(
        [_facts(evidence.machines[number].facts, choice) for number in slow_machines],
        [_facts(evidence.machines[number].facts, choice) for number in fast_machines],
    )


def _facts(facts: Facts, choice: Choice) -> Mapping[str, str]:
    """All facts of a machine by name, hard ones (also ignored: they may be the cause) first."""
    hard = {part.value: told(facts.parts.get(part, ())) for part in PARTS if facts.parts.get(part)}
    soft = {name: value for name, value in facts.soft.items() if not choice.ignores(name)}
    return {**hard, **soft}


def _best(slow: Sequence[Mapping[str, str]], fast: Sequence[Mapping[str, str]]) -> Fact | None:
    shared = Counter(pair for facts in slow for pair in facts.items())
    others: dict[str, Counter[str]] = {}
    found = []
    for (name, value), count in shared.items():
        if count < _FACT_SHARE * len(slow):
            continue
        if name not in others:
            others[name] = Counter(facts.get(name, "none") for facts in fast)
        if others[name][value] > (1 - _FACT_SHARE) * len(fast):
            continue
        usual, _ = max(others[name].items(), key=lambda pair: (pair[1], pair[0]))
        misses = len(slow) - count + others[name][value]
        found.append((misses, _rank(name), name, Fact(name, value, usual)))
    return min(found, key=lambda one: one[:3])[3] if found else None


def _rank(name: str) -> int:
    """Hard facts first, then firmware, then by part."""
    if "." not in name:
        return -1
    return next((n for n, start in enumerate(_FIRST) if name.startswith(start)), len(_FIRST))
