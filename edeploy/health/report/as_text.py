"""An analysis for the terminal: the headline, a ticket line for each machine that is not well."""

from __future__ import annotations

from collections.abc import Iterator

from edeploy.health.analysis import Analysis
from edeploy.health.report.headline import headline
from edeploy.health.rules import Verdict

_MAX_LINES = 40


def as_text(analysis: Analysis) -> str:
    """The summary, in plain lines."""
    return "\n".join(_lines(analysis))


def _lines(analysis: Analysis) -> Iterator[str]:
    yield headline(analysis)
    told = [one for one in analysis.judgements if one.verdict is not Verdict.PASS]
    for judgement in told[:_MAX_LINES]:
        yield f"{judgement.verdict.word}: {judgement.why}"
    if len(told) > _MAX_LINES:
        yield f"… and {len(told) - _MAX_LINES} more: --csv and --html have them all"
    if len(analysis.groups.groups) > 1:
        yield "groups:"
    for group in analysis.groups.groups[:_MAX_LINES] if len(analysis.groups.groups) > 1 else ():
        why = f" ({'; '.join(group.why)})" if group.why else ""
        yield f"  {len(group.machines)} × {group.label}{why}"
    blind = [one for one in analysis.detectable if one.loss > 0.2]
    if blind:
        worst = max(blind, key=lambda one: (one.loss, one.metric))
        yield (
            f"{len(blind)} of {len(analysis.detectable)} metrics can only see losses above 20 %, "
            f"the worst {worst.metric}: {100 * worst.loss:.0f} % in {worst.group}"
        )
