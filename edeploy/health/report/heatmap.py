"""The heat map: machines by metrics, coloured by loss, what counts marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edeploy.health.analysis import Analysis, Judgement
from edeploy.health.report import scale
from edeploy.health.report.selection import telling
from edeploy.health.rules import Verdict

_MAX_COLUMNS = 60
_LEFT, _RIGHT, _TOP_LEAST = 190, 70, 60
_CELLS = (22, 14)
_WIDE = 40
# Points that a letter of a sloping label needs upwards.
_SLOPE = 4.9
_MARKS = {
    Verdict.FAIL: "fail",
    Verdict.RETEST: "retest",
    Verdict.GROUP_SUSPECT: "suspect",
    Verdict.WATCH: "watch",
}


Key = tuple[str, str]
"""A column: label and unit."""


@dataclass(frozen=True)
class Cell:
    """A coloured field: places of its corner, its colour, mark, and what a pointer is told."""

    x: int
    y: int
    colour: str
    mark: str
    title: str


@dataclass(frozen=True)
class Label:
    """A row's or column's name; `target` is the machine's number for a link to its card."""

    at: int
    text: str
    target: int = -1
    verdict: str = ""


@dataclass(frozen=True)
class HeatMap:
    """One family's map, in points. `left_out` is how many metrics are not shown."""

    title: str
    width: int
    height: int
    top: int
    left: int
    cell: int
    body: tuple[int, int]
    rows: tuple[Label, ...]
    columns: tuple[Label, ...]
    cells: tuple[Cell, ...]
    left_out: int


@dataclass(frozen=True)
class _Worst:
    """The worst of a machine's figures in a column (of several disks, the worst one)."""

    verdict: Verdict
    loss: float
    title: str


def heat_maps(analysis: Analysis, shown: Sequence[Judgement]) -> list[HeatMap]:
    """A map for each family that has shown machines and measurements."""
    maps = []
    for place, title in enumerate(analysis.groups.families):
        machines = [one for one in shown if analysis.groups.family[one.machine] == place]
        figures, columns = _figures(analysis, place, {one.machine for one in machines})
        if machines and columns:
            maps.append(_map(title, analysis, machines, figures, columns))
    return maps


def _figures(
    analysis: Analysis, family: int, machines: set[int]
) -> tuple[dict[tuple[int, Key], _Worst], list[Key]]:
    found: dict[tuple[int, Key], _Worst] = {}
    columns: dict[Key, None] = {}
    for block in analysis.judged:
        if block.cohort.family != family:
            continue
        keys = [(column.label, column.unit) for column in block.columns]
        columns |= dict.fromkeys(keys)
        cells = block.cells
        for row, where in enumerate(block.cohort.rows):
            if where.machine not in machines:
                continue
            with np.errstate(invalid="ignore"):
                losses = -np.expm1(cells.level[row])
            for number in np.flatnonzero(np.isfinite(losses) & (cells.members > 1)).tolist():
                loss = float(losses[number])
                verdict = Verdict(int(cells.verdict[row, number]))
                worst = found.get((where.machine, keys[number]))
                if worst is None or (verdict, loss) > (worst.verdict, worst.loss):
                    title = f"{block.columns[number].of(where)}: {_told(loss)}"
                    found[(where.machine, keys[number])] = _Worst(verdict, loss, title)
    _add_parts(analysis, machines, found, columns)
    order = {metric.family: n for n, metric in reversed(list(enumerate(analysis.evidence.metrics)))}
    order |= {metric.label: n for n, metric in enumerate(analysis.evidence.metrics)}
    return found, sorted(columns, key=lambda key: order[key[0]])


def _add_parts(
    analysis: Analysis,
    machines: set[int],
    found: dict[tuple[int, Key], _Worst],
    columns: dict[Key, None],
) -> None:
    """Machines that are slow for their parts: against the usual parts, not against their like."""
    for judgement in analysis.judgements:
        if judgement.machine not in machines:
            continue
        for finding in judgement.findings:
            if finding.difference is None:
                continue
            for told in finding.against_norm:
                key = told.column, told.unit
                if key in columns:
                    bad = told.excess > 1
                    found[(judgement.machine, key)] = _Worst(
                        finding.verdict if bad else Verdict.PASS,
                        told.loss,
                        f"{told.metric}: {_told(told.loss)}, against the usual parts",
                    )


def _map(
    title: str,
    analysis: Analysis,
    machines: Sequence[Judgement],
    figures: dict[tuple[int, Key], _Worst],
    columns: list[Key],
) -> HeatMap:
    weight = telling(analysis)
    by_weight = sorted(columns, key=lambda key: weight.get(key, len(weight)))
    chosen = set(by_weight[:_MAX_COLUMNS])
    kept = [key for key in columns if key in chosen]
    size = _CELLS[len(kept) > _WIDE]
    top = max(_TOP_LEAST, 14 + round(_SLOPE * max(len(label) for label, _ in kept)))
    body = (len(kept) * size, len(machines) * size)
    cells = []
    for row, judgement in enumerate(machines):
        for number, key in enumerate(kept):
            worst = figures.get((judgement.machine, key))
            x, y = _LEFT + number * size, top + row * size
            if worst is None:
                cells.append(Cell(x, y, scale.MISSING, "", "not measured"))
            elif (shade := scale.colour(worst.loss)) != scale.NEUTRAL or worst.verdict:
                cells.append(Cell(x, y, shade, _MARKS.get(worst.verdict, ""), worst.title))
    return HeatMap(
        title=title,
        width=_LEFT + body[0] + _RIGHT + round(top * 0.7),
        height=top + body[1] + 4,
        top=top,
        left=_LEFT,
        cell=size,
        body=body,
        rows=tuple(
            Label(
                top + row * size,
                analysis.evidence.machines[judgement.machine].node,
                judgement.machine,
                judgement.verdict.word,
            )
            for row, judgement in enumerate(machines)
        ),
        columns=tuple(
            Label(_LEFT + number * size, label) for number, (label, _) in enumerate(kept)
        ),
        cells=tuple(cells),
        left_out=len(columns) - len(kept),
    )


def _told(loss: float) -> str:
    return f"{abs(100 * loss):.1f} % {'worse' if loss > 0 else 'better'} than the median"
