"""The report for people: one HTML file that needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass
from functools import cache

import jinja2
import numpy as np

from edeploy import __version__
from edeploy.health import rules
from edeploy.health.analysis import Analysis, Detectable, Judgement
from edeploy.health.catalogue import METRIC_FLOORS
from edeploy.health.comparison import Comparison
from edeploy.health.evidence import Machine, Trace
from edeploy.health.explain import number, percent
from edeploy.health.groups import PARTS, told
from edeploy.health.report.disks import panels
from edeploy.health.report.headline import counts, headline
from edeploy.health.report.heatmap import heat_maps
from edeploy.health.report.scale import legend
from edeploy.health.report.selection import ALL_MACHINES, shown_machines
from edeploy.health.report.strips import strips
from edeploy.health.rules import Verdict

_MAX_TICKETS = 300
_MAX_OPEN = 10
_MAX_ODDITIES = 12
_MAX_FIGURES = 30
_MAX_DETECTABLE = 120
_MAX_GROUPS = 100
_MAX_PROBLEMS = 100
_TRACE = (220.0, 40.0)


@dataclass(frozen=True)
class Sparkline:
    """A trace as points of a line in a box, with its ends in words."""

    name: str
    points: str
    about: str


@dataclass(frozen=True)
class Measured:
    """A figure that was compared with nobody's: the median of its runs."""

    metric: str
    unit: str
    value: float
    runs: int


@dataclass(frozen=True)
class Card:
    """What the page shows of one machine. `measured` are the figures of one without peers."""

    number: int
    node: str
    verdict: str
    why: str
    opened: bool
    machine: Machine
    facts: tuple[tuple[str, str], ...]
    oddities: tuple[str, ...]
    oddities_left: int
    figures: tuple[tuple[Verdict, Comparison], ...]
    figures_left: int
    measured: tuple[Measured, ...]
    said: tuple[str, ...]
    traces: tuple[Sparkline, ...]


@dataclass(frozen=True)
class GroupLine:
    """A hardware group in words; `merges` says what would make it one with a larger group."""

    label: str
    count: int
    parts: tuple[tuple[str, str], ...]
    why: tuple[str, ...]
    merges: str


def as_html(analysis: Analysis) -> str:
    """The page. It says nothing of when it was made: the same analysis gives the same bytes."""
    shown = shown_machines(analysis)
    tickets = [one for one in analysis.judgements if one.verdict is not Verdict.PASS]
    return _template().render(
        version=__version__,
        headline=headline(analysis),
        counts=[(verdict.word, count) for verdict, count in counts(analysis).items()],
        machines=analysis.evidence.machines,
        tickets=tickets[:_MAX_TICKETS],
        tickets_left=max(0, len(tickets) - _MAX_TICKETS),
        carded={one.machine for one in shown},
        groups=_group_lines(analysis),
        groups_left=max(0, len(analysis.groups.groups) - _MAX_GROUPS),
        modes=_mode_lines(analysis),
        fast=_fast_lines(analysis),
        maps=heat_maps(analysis, shown),
        legend=legend(),
        strips=strips(analysis),
        panels=panels(analysis),
        cards=_cards(shown, analysis),
        left_out=len(analysis.judgements) - len(shown),
        all_machines=ALL_MACHINES,
        choice=analysis.choice,
        rules=rules,
        floors=METRIC_FLOORS,
        tests=analysis.tests,
        detectable=_least_seen(analysis.detectable),
        detectable_left=max(0, len(analysis.detectable) - _MAX_DETECTABLE),
        skipped=analysis.evidence.skipped,
        problems=analysis.evidence.problems[:_MAX_PROBLEMS],
        problems_left=max(0, len(analysis.evidence.problems) - _MAX_PROBLEMS),
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("edeploy.health.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "percent": percent}
    return environment.get_template("report.html.j2")


def _least_seen(detectable: Sequence[Detectable]) -> list[Detectable]:
    """The metrics that see least, when there are too many for all."""
    if len(detectable) <= _MAX_DETECTABLE:
        return list(detectable)
    return sorted(detectable, key=lambda one: -one.loss)[:_MAX_DETECTABLE]


def _group_lines(analysis: Analysis) -> list[GroupLine]:
    return [
        GroupLine(
            label=one.label,
            count=len(one.machines),
            parts=tuple((part.value, told(one.parts[part])) for part in PARTS if one.parts[part]),
            why=one.why,
            merges=" and ".join(
                part.value
                for part in PARTS
                if any(line[2:].startswith(f"{part.value}:") for line in one.why)
            ),
        )
        for one in analysis.groups.groups[:_MAX_GROUPS]
    ]


def _mode_lines(analysis: Analysis) -> list[str]:
    lines = []
    for mode in analysis.modes:
        things = "disks" if mode.cohort.of_disks else "machines"
        lines.append(
            f"{mode.column} in {mode.cohort.label} has two modes: {len(mode.slow)} {things} are "
            f"{-100 * math.expm1(-mode.gap):.0f} % or more below {len(mode.fast)}; "
            f"{mode.text() or 'no fact separates them'}."
        )
    return lines


def _fast_lines(analysis: Analysis) -> list[tuple[str, str]]:
    """(node, its metrics with their gains)."""
    by_node: dict[str, list[str]] = {}
    for one in analysis.fast:
        told_gain = f"{one.comparison.metric} {percent(one.comparison.loss)}"
        by_node.setdefault(one.node, []).append(told_gain)
    return [(node, ", ".join(metrics)) for node, metrics in by_node.items()]


def _cards(shown: Sequence[Judgement], analysis: Analysis) -> list[Card]:
    alone = _measured_alone({one.machine for one in shown if one.comparison is None}, analysis)
    return [
        _card(one, analysis, n < _MAX_OPEN, alone.get(one.machine, []))
        for n, one in enumerate(shown)
    ]


def _measured_alone(machines: Set[int], analysis: Analysis) -> dict[int, list[Measured]]:
    """The figures of these machines that nothing is there to compare with."""
    found: dict[int, list[Measured]] = {}
    for block in analysis.judged if machines else ():
        alone = np.flatnonzero(block.cells.members == 1).tolist()
        for row, where in enumerate(block.cohort.rows):
            for column in alone if where.machine in machines else ():
                runs = int(block.cells.runs[row, column])
                if runs:
                    about, value = block.columns[column], float(block.cells.value[row, column])
                    one = Measured(about.of(where), about.unit, value, runs)
                    found.setdefault(where.machine, []).append(one)
    return found


def _card(
    judgement: Judgement, analysis: Analysis, early: bool, measured: Sequence[Measured]
) -> Card:
    machine = analysis.evidence.machines[judgement.machine]
    figures = [
        (finding.verdict, comparison)
        for finding in judgement.findings
        for comparison in (
            sorted(finding.against_norm, key=lambda one: -one.excess)
            if finding.difference is not None
            else [finding.comparison]
        )
        if comparison is not None
    ]
    if not figures and judgement.comparison is not None:
        figures = [(judgement.verdict, judgement.comparison)]
    said = [
        finding.said or (finding.difference.text() if finding.difference else "")
        for finding in judgement.findings
    ]
    oddities = [one.text() for one in judgement.oddities]
    return Card(
        number=judgement.machine,
        node=machine.node,
        verdict=judgement.verdict.word,
        why=judgement.why,
        opened=early and judgement.verdict is not Verdict.PASS,
        machine=machine,
        facts=tuple(
            (part.value, told(machine.facts.parts[part]))
            for part in PARTS
            if machine.facts.parts.get(part)
        ),
        oddities=tuple(oddities[:_MAX_ODDITIES]),
        oddities_left=max(0, len(oddities) - _MAX_ODDITIES),
        figures=tuple(figures[:_MAX_FIGURES]),
        figures_left=max(0, len(figures) - _MAX_FIGURES, len(measured) - _MAX_FIGURES),
        measured=tuple(measured[:_MAX_FIGURES]),
        said=tuple(one for one in said if one),
        traces=tuple(_sparkline(trace) for trace in machine.record.traces if trace.points),
    )


def _sparkline(trace: Trace) -> Sparkline:
    width, height = _TRACE
    low, high = min(trace.points), max(trace.points)
    across = width / max(1, len(trace.points) - 1)
    up = height / ((high - low) or 1.0)
    points = " ".join(
        f"{n * across:.1f},{height - (point - low) * up:.1f}"
        for n, point in enumerate(trace.points)
    )
    about = f"{number(low)} to {number(high)} {trace.unit}".rstrip()
    return Sparkline(trace.name, points, f"{about} in {_time(trace.seconds)}")


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
