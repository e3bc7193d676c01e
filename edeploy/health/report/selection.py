"""Which machines, metrics and plots a page shows, when there are too many for one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from edeploy.health.analysis import Analysis, Judgement
from edeploy.health.rules import Verdict

T = TypeVar("T")

ALL_MACHINES = 300
"""Up to so many machines a page shows all of them."""

_SAMPLE_SHARE = 0.01
_SAMPLE_LEAST = 20


def shown_machines(analysis: Analysis) -> list[Judgement]:
    """All machines, or the worst ALL_MACHINES that did not pass and every hundredth that did."""
    judgements = analysis.judgements
    if len(judgements) <= ALL_MACHINES:
        return list(judgements)
    flagged = [one for one in judgements if one.verdict is not Verdict.PASS]
    passed = [one for one in judgements if one.verdict is Verdict.PASS]
    size = max(_SAMPLE_LEAST, round(_SAMPLE_SHARE * len(passed)))
    return [*flagged[:ALL_MACHINES], *evenly(passed, size)]


def evenly(things: Sequence[T], size: int) -> list[T]:
    """`size` of the things, evenly from first to last; all when there are no more."""
    if len(things) <= size:
        return list(things)
    return [things[round(n * (len(things) - 1) / (size - 1))] for n in range(size)]


def telling(analysis: Analysis) -> dict[tuple[str, str], int]:
    """(metric, unit) of what is flagged, with its place by weight: first the gravest metric of each
    machine, worst machines first, then the second of each, and so on."""
    found: dict[tuple[str, str], int] = {}
    waves = [
        [
            (told.column, told.unit)
            for finding in judgement.findings
            for told in (finding.comparison, *finding.against_norm)
            if told is not None and (told is finding.comparison or told.excess > 1)
        ]
        for judgement in analysis.judgements
        if judgement.findings
    ]
    for wave in range(max(map(len, waves), default=0)):
        for metrics in waves:
            if wave < len(metrics):
                found.setdefault(metrics[wave], len(found))
    return found
