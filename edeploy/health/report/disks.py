"""The disk panel: each disk against its siblings in the machine and against the fleet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edeploy.health.analysis import Analysis
from edeploy.health.judge import Judged
from edeploy.health.measurements import Floats
from edeploy.health.report.scale import Axis
from edeploy.health.report.selection import evenly
from edeploy.health.rules import Verdict

_MAX_PANELS = 12
_MAX_DOTS = 300
_MAX_NAMED = 6
_SIZE, _MARGIN = 200.0, 34.0
_LINE = 13


@dataclass(frozen=True)
class Disk:
    """A flagged disk in a panel, with its name at the height `text_y`."""

    x: float
    y: float
    text_y: float
    text: str
    anchor: str


@dataclass(frozen=True)
class Panel:
    """One metric of one kind of disk, in points: to the right better than the fleet, up better than
    the siblings. `fleet` and `siblings` are where the limit lies."""

    kind: str
    metric: str
    count: int
    dots: tuple[tuple[float, float], ...]
    disks: tuple[Disk, ...]
    fleet: float
    siblings: float
    middle: tuple[float, float]
    ticks: tuple[tuple[float, str], ...]
    size: float = _SIZE + 2 * _MARGIN


@dataclass(frozen=True)
class _Point:
    fleet: float
    siblings: float
    row: int
    flagged: bool


def panels(analysis: Analysis) -> list[Panel]:
    """Panels of the metrics of disks that have siblings, those with flagged disks first."""
    candidates = [
        (bool((block.cells.verdict[:, column] >= Verdict.GROUP_SUSPECT).any()), block, column)
        for block in analysis.judged
        if block.cohort.of_disks and _have_siblings(block)
        for column in range(len(block.columns))
    ]
    candidates.sort(key=lambda one: not one[0])
    found = [
        (block, column, _points(block, column)) for _, block, column in candidates[:_MAX_PANELS]
    ]
    return [
        _panel(analysis, block, column, points)
        for block, column, points in found
        if len(points) > 2
    ]


def _have_siblings(block: Judged) -> bool:
    return len({row.machine for row in block.cohort.rows}) < len(block.cohort.rows)


def _points(block: Judged, column: int) -> list[_Point]:
    level, verdict = block.cells.level[:, column], block.cells.verdict[:, column]
    by_machine: dict[int, list[int]] = {}
    for row, where in enumerate(block.cohort.rows):
        if np.isfinite(level[row]):
            by_machine.setdefault(where.machine, []).append(row)
    return [
        _Point(
            float(np.expm1(level[row])),
            _beside(level, row, rows),
            row,
            bool(verdict[row] >= Verdict.GROUP_SUSPECT),
        )
        for rows in by_machine.values()
        if len(rows) > 1
        for row in rows
    ]


def _beside(level: Floats, row: int, rows: Sequence[int]) -> float:
    others = [other for other in rows if other != row]
    return float(np.expm1(level[row] - np.median(level[others])))


def _panel(analysis: Analysis, block: Judged, column: int, points: Sequence[_Point]) -> Panel:
    limit = float(np.expm1(-block.cells.limit[column]))
    reach = [point.fleet for point in points] + [point.siblings for point in points]
    low, high = min(1.4 * limit, *reach) - 0.01, min(max(-limit, *reach), 1.5) + 0.01
    across, up = Axis(low, high, _MARGIN, _SIZE), Axis(low, high, 0, _SIZE)
    worst_first = sorted(points, key=lambda one: (not one.flagged, one.fleet))
    count = min(_MAX_NAMED, sum(point.flagged for point in points))
    named, others = worst_first[:count], worst_first[count:]

    def place(point: _Point) -> tuple[float, float]:
        return across.at(point.fleet), round(_MARGIN + _SIZE - up.at(point.siblings), 1)

    return Panel(
        kind=block.cohort.kind,
        metric=block.columns[column].label,
        count=len(points),
        dots=tuple(map(place, evenly(others, _MAX_DOTS))),
        disks=_named(analysis, block, [(point.row, *place(point)) for point in named]),
        fleet=across.at(limit),
        siblings=round(_MARGIN + _SIZE - up.at(limit), 1),
        middle=(across.at(0.0), round(_MARGIN + _SIZE - up.at(0.0), 1)),
        ticks=tuple(across.ticks(6)),
    )


def _named(
    analysis: Analysis, block: Judged, places: Sequence[tuple[int, float, float]]
) -> tuple[Disk, ...]:
    """The disks of these (row, x, y) with their names: one that would lie on another goes below,
    and all go up when the last one would leave the panel."""
    disks: list[Disk] = []
    free = 0.0
    for row, x, y in sorted(places, key=lambda one: (one[2], one[1])):
        where = block.cohort.rows[row]
        node = analysis.evidence.machines[where.machine].node
        free = max(y + 4, free)
        anchor = "end" if x > _MARGIN + _SIZE / 2 else "start"
        disks.append(Disk(x, y, round(free, 1), f"{node[-16:]} {where.disk}", anchor))
        free += _LINE
    too_far = max(0.0, free - _LINE - (_MARGIN + _SIZE))
    return tuple(replace(disk, text_y=round(disk.text_y - too_far, 1)) for disk in disks)
