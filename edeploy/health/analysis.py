"""From evidence to verdicts: the way through the room, step by step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from edeploy.health import explain, findings, floors, links, modes, robust
from edeploy.health.causes import Cause, cause
from edeploy.health.cohorts import Cohorts, blocks, cohorts
from edeploy.health.comparison import Comparison, compare
from edeploy.health.evidence import Evidence
from edeploy.health.findings import Finding
from edeploy.health.floors import Checked
from edeploy.health.groups import Choice, Groups, group
from edeploy.health.judge import Judged, judge, terms_of
from edeploy.health.measurements import Ints
from edeploy.health.modes import Mode
from edeploy.health.rules import LIMIT_Z, Verdict
from edeploy.health.soft import Oddity, SoftFacts

_MAX_FAST = 50
_COMPARE_MORE = "test it with its peers, or compare more by --group-by and --ignore"


@dataclass(frozen=True)
class Judgement:
    """What is said of one machine (its index): the verdict, and why in one sentence.

    `findings` are all that speak against it, gravest first; `comparison` is the figure of the
    gravest, or of a machine that passed the one nearest to its limit.
    """

    machine: int
    verdict: Verdict
    why: str
    comparison: Comparison | None
    findings: tuple[Finding, ...]
    cause: Cause | None
    oddities: tuple[Oddity, ...]


@dataclass(frozen=True)
class Detectable:
    """The smallest loss (a share) that could have been seen in one metric of one cohort."""

    group: str
    metric: str
    unit: str
    members: int
    runs: int
    loss: float


@dataclass(frozen=True)
class Fast:
    """A machine that is much better than its peers in one metric. Never blamed for it, but told: it
    has other parts, a cache, or was tested in another way."""

    node: str
    comparison: Comparison


@dataclass(frozen=True)
class Analysis:
    """All that reports show. `judgements` are sorted worst first; `fast` are the figures that are
    much better than those of their peers; `tests` is how many figures were compared."""

    evidence: Evidence
    choice: Choice
    groups: Groups
    cohorts: Cohorts
    judged: tuple[Judged, ...]
    modes: tuple[Mode, ...]
    judgements: tuple[Judgement, ...]
    detectable: tuple[Detectable, ...]
    fast: tuple[Fast, ...]
    tests: int


def analyze(evidence: Evidence, choice: Choice | None = None) -> Analysis:
    """Judge every machine. The same evidence gives the same analysis. Raises UnknownFact."""
    choice = choice or Choice()
    groups = group(evidence, choice)
    found = cohorts(evidence, groups)
    judged, two_modes = _judge(evidence, found, choice)
    _fill_q(judged)
    checked = floors.check(evidence, judged)
    against = _findings(evidence, groups, found, judged, two_modes, checked)
    soft = SoftFacts(evidence, groups, choice)
    return Analysis(
        evidence=evidence,
        choice=choice,
        groups=groups,
        cohorts=found,
        judged=judged,
        modes=two_modes,
        judgements=_judgements(evidence, judged, against, checked, soft),
        detectable=tuple(_detectable(judged)),
        fast=tuple(_fast(judged, evidence)),
        tests=sum(int(np.isfinite(block.cells.z).sum()) for block in judged),
    )


def _judge(
    evidence: Evidence, found: Cohorts, choice: Choice
) -> tuple[tuple[Judged, ...], tuple[Mode, ...]]:
    judged: list[Judged] = []
    two_modes: list[Mode] = []
    for block in blocks(evidence, found):
        terms = terms_of(block, named_runs=evidence.values.named)
        one = judge(block, terms)
        two_modes += modes.settle(block, one, terms, evidence, choice)
        judged.append(one)
    return tuple(judged), tuple(two_modes)


def _fill_q(judged: Sequence[Judged]) -> None:
    """q values over all that is tested in a family: its machines times its metrics."""
    families: dict[int, list[Judged]] = {}
    for block in judged:
        families.setdefault(block.cohort.family, []).append(block)
    for blocks_of in families.values():
        z = np.concatenate([block.cells.z.ravel() for block in blocks_of])
        q = robust.q_values(robust.p_values(z))
        ends = np.cumsum([block.cells.z.size for block in blocks_of])
        for block, part in zip(blocks_of, np.split(q, ends[:-1]), strict=True):
            block.cells.q = part.reshape(block.cells.z.shape)


def _findings(
    evidence: Evidence,
    groups: Groups,
    found: Cohorts,
    judged: Sequence[Judged],
    two_modes: Sequence[Mode],
    checked: Sequence[Checked],
) -> dict[int, list[Finding]]:
    numbers = {id(cohort): number for number, cohort in enumerate(found.cohorts)}
    by_cohort: dict[int, list[Judged]] = {}
    for block in judged:
        by_cohort.setdefault(numbers[id(block.cohort)], []).append(block)
    named = {(numbers[id(mode.cohort)], mode.column): mode for mode in two_modes}
    all_found: list[Finding] = [
        *(
            finding
            for number, blocks_of in by_cohort.items()
            for block in blocks_of
            for finding in findings.speed(block, number, named)
        ),
        *findings.parts(groups, found, by_cohort),
        *findings.errors(evidence),
        *links.degraded(evidence, groups),
        *findings.missing(judged),
        *(
            Finding(broken.machine, broken.verdict, broken.component, said=broken.said)
            for broken in checked
            if broken.verdict is not Verdict.PASS
        ),
    ]
    against: dict[int, list[Finding]] = {}
    for finding in sorted(all_found, key=lambda one: one.rank):
        against.setdefault(finding.machine, []).append(finding)
    return against


def _judgements(
    evidence: Evidence,
    judged: Sequence[Judged],
    against: dict[int, list[Finding]],
    checked: Sequence[Checked],
    soft: SoftFacts,
) -> tuple[Judgement, ...]:
    nearest = findings.closest(judged)
    metrics = _metrics_compared(evidence, judged)
    by_floors = {one.machine for one in checked}
    verdicts = []
    for number in range(len(evidence.machines)):
        if number in against:
            verdicts.append(_against(number, against[number], evidence, soft))
        elif number in nearest:
            verdicts.append(_passed(number, evidence, nearest[number], int(metrics[number])))
        else:
            verdicts.append(_alone(number, evidence, number in by_floors))
    return tuple(sorted(verdicts, key=_rank))


def _rank(judgement: Judgement) -> tuple[object, ...]:
    if judgement.findings:
        return -judgement.verdict, judgement.findings[0].rank, judgement.machine
    return -judgement.verdict, (0, 0.0, ""), judgement.machine


def _against(number: int, own: Sequence[Finding], evidence: Evidence, soft: SoftFacts) -> Judgement:
    machine, worst = evidence.machines[number], own[0]
    oddities = soft.oddities(number)
    likely = cause(worst, own, oddities, evidence)
    return Judgement(
        machine=number,
        verdict=worst.verdict,
        why=explain.sentence(machine, worst, own, likely),
        comparison=worst.comparison,
        findings=tuple(own),
        cause=likely,
        oddities=tuple(oddities),
    )


def _passed(number: int, evidence: Evidence, nearest: Comparison, metrics: int) -> Judgement:
    why = explain.passed(evidence.machines[number], nearest, metrics)
    return Judgement(number, Verdict.PASS, why, nearest, (), None, ())


def _alone(number: int, evidence: Evidence, kept_floors: bool) -> Judgement:
    """A machine that nothing speaks against, and that was compared with nobody."""
    machine = evidence.machines[number]
    measured = bool((evidence.values.machine == number).any())
    verdict = Verdict.PASS if kept_floors else Verdict.NO_DATA
    if kept_floors:
        why = "the only one of its kind, within the absolute limits"
    elif measured:
        why = f"the only one of its kind: nothing to compare it with; next: {_COMPARE_MORE}"
    else:
        why = (
            "nothing of it can be used" if machine.unreadable else "no measurements; next: test it"
        )
    said = "; ".join([f"{explain.subject(machine)}: {why}", *machine.remarks]) + "."
    return Judgement(number, verdict, said, None, (), None, ())


def _metrics_compared(evidence: Evidence, judged: Sequence[Judged]) -> Ints:
    """In how many metrics each machine was compared with others."""
    counts = np.zeros(len(evidence.machines), dtype=np.int64)
    for block in judged:
        compared = np.isfinite(block.cells.level) & (block.cells.members > 1)
        machines = np.array([row.machine for row in block.cohort.rows])
        np.add.at(counts, machines, compared.sum(axis=1))
    return counts


def _detectable(judged: Sequence[Judged]) -> Iterable[Detectable]:
    for block in judged:
        cells = block.cells
        for column, about in enumerate(block.columns):
            if cells.members[column] > 1:
                runs = cells.runs[:, column]
                yield Detectable(
                    group=block.cohort.label,
                    metric=about.label,
                    unit=about.unit,
                    members=int(cells.members[column]),
                    runs=int(np.median(runs[runs > 0])),
                    loss=float(-np.expm1(-cells.limit[column])),
                )


def _fast(judged: Sequence[Judged], evidence: Evidence) -> Iterable[Fast]:
    """The figures that are as far above the median as the limit is below it, best first."""
    found = []
    for block in judged:
        with np.errstate(invalid="ignore"):
            above = (block.cells.level > block.cells.limit) & (block.cells.z > LIMIT_Z)
        for row, column in np.argwhere(above).tolist():
            node = evidence.machines[block.cohort.rows[row].machine].node
            found.append(Fast(node, compare(block, row, column)))
            if len(found) > 2 * _MAX_FAST:
                found = _fastest(found)
    return _fastest(found)


def _fastest(found: list[Fast]) -> list[Fast]:
    return sorted(found, key=lambda one: (one.comparison.excess, one.node))[:_MAX_FAST]
