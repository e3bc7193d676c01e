"""What a match of rules and report gives, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator

from edeploy.match.acceptance import Refused
from edeploy.match.language import Specs
from edeploy.match.problems import cut
from edeploy.match.solver import Match, Mismatch

Answer = Match | Mismatch | Refused


def document(answer: Answer) -> dict[str, object]:
    """The answer alone: `matched`, `vars`, `keys`."""
    if isinstance(answer, Match):
        return {"matched": True, "vars": answer.vars, "keys": answer.keys}
    return {"matched": False, "vars": {}, "keys": {}}


def explanation(specs: Specs, answer: Answer) -> dict[str, object]:
    """Why: `lines`, the line that each rule took, if all rules are met; `reason`, in one line,
    `details` and the numbers of the `rules` that it is about, if it is no match.
    """
    if isinstance(answer, Mismatch):
        why = answer.explanation
        return {"reason": str(why), "details": why.told(), "rules": why.rules}
    if isinstance(answer, Refused):
        return {"reason": answer.reason, "lines": _lines(specs, answer.match)}
    return {"lines": _lines(specs, answer)}


def text(answer: Answer) -> str:
    """The answer with its values, or the reason in one line."""
    if not isinstance(answer, Match):
        return f"no match: {answer.reason}"
    return "\n".join(["match", *_values(answer)])


def text_explained(specs: Specs, answer: Answer) -> str:
    """The answer, and below it what shows that it is right."""
    if isinstance(answer, Mismatch):
        why = answer.explanation
        return "\n".join([f"no match: {why.head}", *(f"  {one}" for one in why.told())])
    if isinstance(answer, Refused):
        told = [f"no match: {answer.reason}", *_taken(specs, answer.match)]
        return "\n".join([*told, *_values(answer.match)])
    return "\n".join(["match", *_taken(specs, answer), *_values(answer)])


def _lines(specs: Specs, match: Match) -> list[dict[str, object]]:
    return [
        {"rule": rule.number, "spec": [field.source for field in rule.fields], "line": list(item)}
        for rule, item in zip(specs.rules, match.items, strict=True)
    ]


def _taken(specs: Specs, match: Match) -> Iterator[str]:
    for rule, item in zip(specs.rules, match.items, strict=True):
        yield f"  {rule} takes {' '.join(map(cut, item))}"


def _values(match: Match) -> Iterator[str]:
    for name, value in sorted(match.vars.items()):
        yield f"  {name} = {cut(value)}"
