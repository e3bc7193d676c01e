"""What becomes of machines that were tested: they wait, measure again, are good, or are not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from edeploy.health.analysis import Analysis, Judgement, analyze
from edeploy.health.documents import take_measured
from edeploy.health.evidence import Evidence, Gatherer, clean
from edeploy.health.facts import Facts, facts_of
from edeploy.health.findings import Finding
from edeploy.health.report.as_json import verdict_entry
from edeploy.health.rounds import Document, merged
from edeploy.health.rules import Verdict
from edeploy.inventory.identity import identify
from edeploy.inventory.items import Report

_SUSPECT = frozenset({Verdict.RETEST, Verdict.GROUP_SUSPECT, Verdict.NO_DATA})


@dataclass(frozen=True)
class Tested:
    """The results of one machine: what it consists of, and the documents that it sent, round by
    round.

    `waiting`: it is to be judged now. `settled`: it was judged before, and good. `go`: an operator
    wants it judged, although few of its kind are known.
    """

    # pytest takes classes of such a name for tests.
    __test__ = False

    node: str
    profile: str
    facts: Facts
    rounds: tuple[Document, ...]
    waiting: bool
    settled: bool = False
    go: bool = False

    @property
    def retested(self) -> bool:
        """Whether it measured again what was suspicious."""
        return len(self.rounds) > 1


class Fate(Enum):
    """What becomes of a machine."""

    WAIT = "wait"
    RETEST = "retest"
    PASS = "pass"  # noqa: S105
    REJECT = "reject"


@dataclass(frozen=True)
class Decision:
    """The fate of one machine, and why in one sentence.

    `entry` is the judgement as in the JSON of an analysis; `stages` are those to measure again,
    all when there is none.
    """

    node: str
    fate: Fate
    verdict: str
    why: str
    entry: Mapping[str, object]
    stages: tuple[str, ...] = ()


def parts_of(report: Report) -> Facts:
    """What a machine consists of, by its report."""
    return facts_of(report, clean(identify(report).serial or ""))


def decide(tested: Sequence[Tested], *, min_group: int) -> tuple[Decision, ...]:
    """Judge those that wait against all; the same input gives the same decisions.

    Machines are compared inside their test and kind. The first of a kind are judged together,
    once so many have results: two or three can not say which of them is wrong. What needs no
    peers (wrong results, missing stages) does not wait for them.
    """
    analysis = analyze(_evidence(tested))
    judgements = {analysis.evidence.machines[one.machine].node: one for one in analysis.judgements}
    known = _Kinds(tested, analysis)
    return tuple(
        _decide(one, judgements[clean(one.node)], analysis, known.missing(one, min_group))
        for one in sorted(tested, key=lambda one: one.node)
        if one.waiting
    )


class _Kinds:
    """How many machines of each kind have results, and which kinds are no news."""

    def __init__(self, tested: Iterable[Tested], analysis: Analysis) -> None:
        self._family = {
            machine.node: analysis.groups.family[number]
            for number, machine in enumerate(analysis.evidence.machines)
        }
        self._count = Counter(self._family.values())
        self._settled = {self._family[clean(one.node)] for one in tested if one.settled or one.go}

    def missing(self, one: Tested, min_group: int) -> str:
        """Why a machine waits for others of its kind; empty when it does not."""
        family = self._family[clean(one.node)]
        count = self._count[family]
        if family in self._settled or count >= min_group:
            return ""
        return (
            f"{count} of {min_group} of its kind have results, and are judged together; "
            f"without more: edeploy health go {one.node}"
        )


def _decide(one: Tested, judgement: Judgement, analysis: Analysis, waits: str) -> Decision:
    entry = verdict_entry(judgement, analysis)
    worst = judgement.findings[0] if judgement.findings else None

    def so(fate: Fate, why: str = "", stages: tuple[str, ...] = ()) -> Decision:
        word = judgement.verdict.word
        return Decision(one.node, fate, word, why or judgement.why, entry, stages)

    if worst is not None and _is_hard(worst):
        return so(Fate.REJECT)
    if _lacks_results(judgement, analysis.evidence):
        return so(Fate.REJECT if one.retested else Fate.RETEST, stages=_stages(one, judgement))
    if waits:
        return so(Fate.WAIT, waits)
    if worst is None or judgement.verdict in (Verdict.PASS, Verdict.WATCH):
        return so(Fate.PASS)
    if not one.retested and _may_be_noise(worst):
        return so(Fate.RETEST, stages=_stages(one, judgement))
    return so(Fate.PASS if _was_disturbed(worst) else Fate.REJECT)


def _is_hard(finding: Finding) -> bool:
    """A wrong result or a failing part: neither peers nor further runs can change it. (Of a link
    that is slow, peers may show that their kind is built so.)"""
    return (
        finding.verdict is Verdict.FAIL
        and finding.comparison is None
        and finding.difference is None
        and finding.link is None
    )


def _may_be_noise(finding: Finding) -> bool:
    """Whether more runs could tell more; missing parts stay missing, and links as they are."""
    return finding.verdict in _SUSPECT or (
        finding.verdict is Verdict.FAIL and finding.difference is None and finding.link is None
    )


def _was_disturbed(finding: Finding) -> bool:
    """A suspect that measured again, and was slow in less than half of all its runs."""
    told = finding.comparison
    return (
        finding.verdict is Verdict.RETEST
        and told is not None
        and told.members > 2
        and told.loss <= told.limit
        and 2 * told.odd < told.runs
    )


def _lacks_results(judgement: Judgement, evidence: Evidence) -> bool:
    """Whether a stage is missing, or nothing at all that was measured can be compared."""
    if evidence.machines[judgement.machine].record.missing:
        return True
    return not bool((evidence.values.machine == judgement.machine).any())


def _stages(one: Tested, judgement: Judgement) -> tuple[str, ...]:
    """The stages behind all that speaks against a machine, and those that are missing."""
    document = merged(one.rounds)
    against = {finding.comparison.metric for finding in judgement.findings if finding.comparison}
    found = {
        str(result.get("stage"))
        for result in _objects(document.get("results"))
        if str(result.get("metric")) in against and result.get("stage")
    }
    lacking = {
        str(stage.get("name"))
        for stage in _objects(document.get("stages"))
        if stage.get("state") == "missing"
    }
    return tuple(sorted(found | lacking))


def _evidence(tested: Sequence[Tested]) -> Evidence:
    gatherer = Gatherer()
    for one in tested:
        number = gatherer.machine(clean(one.node), one.profile)
        gatherer.describe(number, one.facts)
        take_measured(number, merged(one.rounds), gatherer)
    return gatherer.evidence()


def _objects(value: object) -> Iterator[Mapping[str, object]]:
    if isinstance(value, list):
        yield from (one for one in value if isinstance(one, dict))
