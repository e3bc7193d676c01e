"""An analysis as one JSON document: groups, verdicts, detectable."""

from __future__ import annotations

import json

from edeploy.health.analysis import Analysis, Detectable, Judgement
from edeploy.health.groups import PARTS, PartsGroup


def as_json(analysis: Analysis) -> str:
    """The document. Losses are shares of the median (0.1 is 10 % worse); null is not known."""
    document = {
        "groups": [_group(one, analysis) for one in analysis.groups.groups],
        "verdicts": [verdict_entry(one, analysis) for one in analysis.judgements],
        "detectable": [_detectable(one) for one in analysis.detectable],
    }
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _group(group: PartsGroup, analysis: Analysis) -> dict[str, object]:
    return {
        "group": group.label,
        "n": len(group.machines),
        "nodes": [analysis.evidence.machines[number].node for number in group.machines],
        "facts": {
            part.value: {kind: count for kind, count in group.parts[part]}
            for part in PARTS
            if group.parts[part]
        },
        "why": list(group.why),
    }


def verdict_entry(judgement: Judgement, analysis: Analysis) -> dict[str, object]:
    """One machine's verdict."""
    told = judgement.comparison
    return {
        "node": analysis.evidence.machines[judgement.machine].node,
        "group": analysis.groups.label(judgement.machine),
        "verdict": judgement.verdict.word,
        "component": _component(judgement),
        "metric": told.metric if told else None,
        "unit": told.unit if told else None,
        "value": significant(told.value, 6) if told else None,
        "median": significant(told.median, 6) if told else None,
        "loss": round(told.loss, 4) + 0.0 if told else None,
        "z": round(told.z, 2) + 0.0 if told and told.z is not None else None,
        "q": significant(told.q) if told and told.q is not None else None,
        "n": told.members if told else None,
        "runs": told.runs if told else None,
        "beyond": told.odd if told else None,
        "run_losses": [round(loss, 4) + 0.0 for loss in told.run_losses] if told else [],
        "cause": judgement.cause.likely if judgement.cause else None,
        "next": judgement.cause.step if judgement.cause else None,
        "why": judgement.why,
    }


def _component(judgement: Judgement) -> str | None:
    """The part to blame, or of a machine that passed the part nearest to its limit."""
    if judgement.findings:
        return judgement.findings[0].component.value
    return judgement.comparison.component.value if judgement.comparison else None


def _detectable(detectable: Detectable) -> dict[str, object]:
    return {
        "group": detectable.group,
        "metric": detectable.metric,
        "unit": detectable.unit,
        "n": detectable.members,
        "runs": detectable.runs,
        "loss": round(detectable.loss, 4),
    }


def significant(number: float, digits: int = 3) -> float:
    """A number with so many digits that count."""
    return float(f"{number:.{digits}g}")
