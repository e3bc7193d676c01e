"""The result in one line, and in counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from edeploy.health.analysis import Analysis
from edeploy.health.rules import Verdict

# Verdicts with which a machine should not be installed as it is.
SHEEP = frozenset({Verdict.FAIL, Verdict.RETEST, Verdict.GROUP_SUSPECT, Verdict.NO_DATA})
_WORDS = {
    Verdict.RETEST: "to be tested again",
    Verdict.GROUP_SUSPECT: "in a group that nobody can judge",
    Verdict.NO_DATA: "without data",
    Verdict.WATCH: "to be watched",
}


def counts(analysis: Analysis) -> Mapping[Verdict, int]:
    """How many machines got which verdict, worst first, only those that occur."""
    found = Counter(judgement.verdict for judgement in analysis.judgements)
    return {verdict: found[verdict] for verdict in sorted(Verdict, reverse=True) if found[verdict]}


def headline(analysis: Analysis) -> str:
    """`4 of 19 machines should not be installed; 1 to be tested again; 14 pass.`"""
    found = counts(analysis)
    total = len(analysis.judgements)
    failed = found.get(Verdict.FAIL, 0)
    noun = "machine" if total == 1 else "machines"
    parts = [
        f"{failed} of {total} {noun} should not be installed"
        if failed
        else f"none of {total} {noun} fails"
    ]
    parts += [f"{found[verdict]} {words}" for verdict, words in _WORDS.items() if verdict in found]
    passed = found.get(Verdict.PASS, 0)
    text = "; ".join([*parts, f"{passed} {'passes' if passed == 1 else 'pass'}"])
    return f"{text[0].upper()}{text[1:]}."


def has_sheep(analysis: Analysis) -> bool:
    """Whether any machine should not be installed as it is."""
    return any(judgement.verdict in SHEEP for judgement in analysis.judgements)


def is_judged(analysis: Analysis) -> bool:
    """Whether there was anything to judge: a machine with another verdict than no-data."""
    return any(judgement.verdict is not Verdict.NO_DATA for judgement in analysis.judgements)
