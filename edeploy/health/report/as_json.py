"""An analysis as one JSON document: groups, verdicts, detectable."""

from __future__ import annotations

import json

from edeploy.health.analysis import Analysis, Detectable, Judgement
from edeploy.health.groups import PARTS, PartsGroup


def as_json(analysis: Analysis) -> str:
    """The document. Losses are shares of the median (0.1 is 10 % worse); null is not known."""
    document = {
        "groups": [_group(one, analysis) for one in analysis.groups.groups],
        "verdicts": [_verdict(one, analysis) for one in analysis.judgements],
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


def _verdict(judgement: Judgement, analysis: Analysis) -> dict[str, object]:
    told = judgement.comparison
    return {
        "node": analysis.evidence.machines[judgement.machine].node,
        "verdict": judgement.verdict.word,
        "metric": told.metric if told else None,
        "loss": round(told.loss, 4) + 0.0 if told else None,
        "z": round(told.z, 2) + 0.0 if told and told.z is not None else None,
        "q": significant(told.q) if told and told.q is not None else None,
        "n": told.members if told else None,
        "runs": told.runs if told else None,
        "why": judgement.why,
    }


def _detectable(detectable: Detectable) -> dict[str, object]:
    return {
        "group": detectable.group,
        "metric": detectable.metric,
        "unit": detectable.unit,
        "n": detectable.members,
        "runs": detectable.runs,
        "loss": round(detectable.loss, 4),
    }


def significant(number: float) -> float:
    """A number with 3 digits that count."""
    return float(f"{number:.3g}")
