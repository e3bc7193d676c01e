"""Strip plots: every machine's figure in one metric, the median, the limit, the bad ones named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edeploy.health.analysis import Analysis
from edeploy.health.explain import number
from edeploy.health.judge import Judged
from edeploy.health.report.scale import Axis
from edeploy.health.report.selection import ALL_MACHINES, evenly, telling
from edeploy.health.rules import Verdict

_MAX_STRIPS = 80
_MAX_QUIET = 12
_MAX_DOTS = 300
_MAX_NAMED = 12
_LEFT, _WIDTH, _TOTAL = 8, 704, 720
_BAND, _LINE, _AXIS = 34, 13, 18
_LETTER = 6.2
_MAX_LETTERS = 40


@dataclass(frozen=True)
class Named:
    """A flagged machine or disk: its dot, its runs from worst to best, where its name stands."""

    x: float
    low: float
    high: float
    runs: tuple[float, ...]
    text: str
    text_y: float
    anchor: str
    mark: str


@dataclass(frozen=True)
class _Flagged:
    """A flagged machine or disk, its change and those of its runs as shares of the median."""

    name: str
    change: float
    runs: tuple[float, ...]
    verdict: Verdict


@dataclass(frozen=True)
class Strip:
    """One plot, in points. Shares run from worse (left) to better (right) of the median."""

    group: str
    metric: str
    about: str
    height: float
    limit: float
    median: float
    quartiles: tuple[float, float]
    dots: tuple[float, ...]
    named: tuple[Named, ...]
    unnamed: int
    ticks: tuple[tuple[float, str], ...]
    axis: float


@dataclass(frozen=True)
class Strips:
    """All plots of a page, and how many metrics have none."""

    plots: tuple[Strip, ...]
    left_out: int
    width: int = _TOTAL


def strips(analysis: Analysis) -> Strips:
    """Plots of the metrics in which something is flagged, and of others while there is room."""
    visitors = _visitors(analysis)
    loud: list[tuple[Judged, int]] = []
    quiet: list[tuple[Judged, int]] = []
    for block in analysis.judged:
        for column in range(len(block.columns)):
            if block.cells.members[column] < 2:
                continue
            flagged = bool((block.cells.verdict[:, column] != Verdict.PASS).any())
            flagged = flagged or _key(block, column) in visitors
            (loud if flagged else quiet).append((block, column))
    weight = telling(analysis)
    loud.sort(key=lambda one: weight.get(_key(*one)[1:], len(weight)))
    small = len(analysis.judgements) <= ALL_MACHINES
    room = max(0, _MAX_STRIPS - len(loud)) if small else _MAX_QUIET
    chosen = {(id(block), column) for block, column in [*loud[:_MAX_STRIPS], *quiet[:room]]}
    plots = [
        _strip(analysis, block, column, visitors.get(_key(block, column), []))
        for block in analysis.judged
        for column in range(len(block.columns))
        if (id(block), column) in chosen
    ]
    return Strips(tuple(plots), len(loud) + len(quiet) - len(plots))


def _key(block: Judged, column: int) -> tuple[str, str, str]:
    return block.cohort.label, block.columns[column].label, block.columns[column].unit


def _visitors(analysis: Analysis) -> dict[tuple[str, str, str], list[_Flagged]]:
    """Machines that are slow for their parts, shown beside those with the usual parts."""
    found: dict[tuple[str, str, str], list[_Flagged]] = {}
    for judgement in analysis.judgements:
        node = analysis.evidence.machines[judgement.machine].node
        for finding in judgement.findings:
            for told in finding.against_norm:
                if told.excess > 1:
                    runs = tuple(-loss for loss in told.run_losses)
                    flagged = _Flagged(node, -told.loss, runs, finding.verdict)
                    found.setdefault((told.cohort, told.metric, told.unit), []).append(flagged)
    return found


def _strip(analysis: Analysis, block: Judged, column: int, visitors: Sequence[_Flagged]) -> Strip:
    cells, about = block.cells, block.columns[column]
    level = cells.level[:, column]
    changes = np.expm1(level[np.isfinite(level)])
    limit = float(np.expm1(-cells.limit[column]))
    flagged = sorted([*visitors, *_flagged(analysis, block, column)], key=lambda one: one.change)
    shown = flagged[:_MAX_NAMED]
    ends = [float(changes.min()), float(changes.max()), *(run for one in shown for run in one.runs)]
    axis = Axis(min(1.4 * limit, *ends) - 0.005, max(-limit, *ends) + 0.005, _LEFT, _WIDTH)
    named, lines = _names(shown, axis)
    passed = np.expm1(level[np.isfinite(level) & (cells.verdict[:, column] == Verdict.PASS)])
    first, third = np.quantile(changes, (0.25, 0.75)).tolist()
    bottom = _BAND + lines * _LINE
    return Strip(
        group=block.cohort.label,
        metric=about.label,
        about=_about(block, column, limit),
        height=bottom + _AXIS,
        limit=axis.at(limit),
        median=axis.at(0.0),
        quartiles=(axis.at(first), axis.at(third)),
        dots=tuple(axis.at(change) for change in evenly(sorted(passed.tolist()), _MAX_DOTS)),
        named=named,
        unnamed=len(flagged) - len(shown),
        ticks=tuple(axis.ticks(8)),
        axis=bottom,
    )


def _about(block: Judged, column: int, limit: float) -> str:
    about, members = block.columns[column], int(block.cells.members[column])
    things = "disks" if block.cohort.of_disks else "machines"
    median = f"{number(float(block.cells.median[column]))} {about.unit}".rstrip()
    best = "lower is better" if about.lower else "higher is better"
    return f"{members} {things}, median {median}, {best}; sees losses from {-100 * limit:.1f} %"


def _flagged(analysis: Analysis, block: Judged, column: int) -> list[_Flagged]:
    cells = block.cells
    present = np.isfinite(cells.level[:, column])
    found = []
    for row in np.flatnonzero(present & (cells.verdict[:, column] != Verdict.PASS)).tolist():
        where, ratios = block.cohort.rows[row], cells.ratios[row, column]
        node = f"{analysis.evidence.machines[where.machine].node} {where.disk}".strip()
        runs: list[float] = np.expm1(ratios[np.isfinite(ratios)]).tolist()
        verdict = Verdict(int(cells.verdict[row, column]))
        change = float(np.expm1(cells.level[row, column]))
        found.append(_Flagged(node, change, tuple(runs), verdict))
    return found


def _names(shown: Sequence[_Flagged], axis: Axis) -> tuple[tuple[Named, ...], int]:
    """The flagged with their names below the band, on as many lines as keep them apart."""
    ends: list[float] = []
    named = []
    for one in shown:
        x, text = axis.at(one.change), _short(one.name)
        size = _LETTER * len(text)
        to_left = x + size > _LEFT + _WIDTH
        start = x - size if to_left else x
        line = next((n for n, end in enumerate(ends) if end + 8 < start), len(ends))
        ends[line : line + 1] = [start + size]
        named.append(
            Named(
                x=x,
                low=axis.at(min(one.runs)),
                high=axis.at(max(one.runs)),
                runs=tuple(axis.at(run) for run in one.runs) if len(one.runs) > 1 else (),
                text=text,
                text_y=_BAND + (line + 1) * _LINE - 3,
                anchor="end" if to_left else "start",
                mark=one.verdict.word,
            )
        )
    return tuple(named), len(ends)


def _short(text: str) -> str:
    return text if len(text) <= _MAX_LETTERS else f"…{text[1 - _MAX_LETTERS :]}"
