"""An analysis as JUnit XML: a suite a group, a case a machine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.sax.saxutils import quoteattr

from edeploy.health.analysis import Analysis, Judgement
from edeploy.health.rules import Verdict

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NO_GROUP = "unreadable"
_FAILURES = frozenset({Verdict.FAIL, Verdict.RETEST, Verdict.GROUP_SUSPECT})


def as_junit(analysis: Analysis) -> str:
    """The document: fail, retest and group-suspect are failures, no-data is an error."""
    names = [*analysis.groups.families, _NO_GROUP]
    suites: dict[str, list[Judgement]] = {name: [] for name in names}
    for judgement in sorted(analysis.judgements, key=lambda one: one.machine):
        suites[names[analysis.groups.family[judgement.machine]]].append(judgement)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f"<testsuites {_totals(analysis.judgements)}>",
    ]
    for name, judgements in suites.items():
        if judgements:
            lines += [f" <testsuite name={_quoted(name)} {_totals(judgements)}>"]
            lines += [_case(one, name, analysis) for one in judgements]
            lines += [" </testsuite>"]
    return "\n".join([*lines, "</testsuites>"]) + "\n"


def _totals(judgements: Sequence[Judgement]) -> str:
    failures = sum(one.verdict in _FAILURES for one in judgements)
    errors = sum(one.verdict is Verdict.NO_DATA for one in judgements)
    return f'tests="{len(judgements)}" failures="{failures}" errors="{errors}"'


def _case(judgement: Judgement, group: str, analysis: Analysis) -> str:
    node = analysis.evidence.machines[judgement.machine].node
    start = f"  <testcase classname={_quoted(group)} name={_quoted(node)}"
    if judgement.verdict in (Verdict.PASS, Verdict.WATCH):
        return f"{start}/>"
    tag = "failure" if judgement.verdict in _FAILURES else "error"
    word = judgement.verdict.word
    return f'{start}><{tag} type="{word}" message={_quoted(judgement.why)}/></testcase>'


def _quoted(text: str) -> str:
    return quoteattr(_NOT_IN_XML.sub("\ufffd", text))
