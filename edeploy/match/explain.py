"""Why a report does not meet specs, in words that name the rule, the lines and the field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edeploy.inventory.items import Item, Report
from edeploy.match.language import FIELDS, Rule, Specs
from edeploy.match.search import Constraint, GaveUp, Search, Shortage, constraints, matching

NEAREST = 5
SUSPECTS = 8


@dataclass(frozen=True)
class Failure:
    """What did not match; `unmet` is the first rule that no line meets, if it was that."""

    specs: Specs
    report: Report
    unmet: Rule | None = None
    gave_up: bool = False


def explain(failure: Failure) -> str:
    """The smallest honest reason."""
    if failure.gave_up:
        return (
            "no answer: the rules are too much of a puzzle for this report; "
            "say more exactly which devices are meant"
        )
    if failure.unmet is not None:
        return f"{failure.unmet} cannot be met: {_nearest(failure.unmet, failure.report)}"
    return _contradiction(failure)


def _nearest(rule: Rule, report: Report) -> str:
    """The lines that fit in type, then key, then id, as far as it goes, and what fails there."""
    lines: list[Item] = list(report.items)
    for place in (0, 2, 1):
        field = rule.fields[place]
        kept = [item for item in lines if field.fits(item[place])]
        if not kept:
            there = _some(sorted({item[place] for item in lines}))
            what = _known(rule, place)
            return f"no line{what} with {FIELDS[place]} {field.source} (there is {there})"
        lines = kept
    field = rule.fields[3]
    wrong = [item for item in lines if not field.fits(item.value)]
    if not wrong:
        return f"no line where {field.source} is the same in all its places"
    shown = [f"{' '.join(item[:3])} {item.value} {field.miss}" for item in wrong[:NEAREST]]
    return "; ".join(shown) + _more(len(wrong))


def _known(rule: Rule, place: int) -> str:
    before = {0: (), 2: (0,), 1: (0, 2)}[place]
    words = [f"{FIELDS[i]} {rule.fields[i].source}" for i in before]
    return " of " + ", ".join(words) if words else ""


def _some(values: Sequence[str]) -> str:
    return ", ".join(values[:NEAREST]) + _more(len(values)) if values else "nothing"


def _more(count: int) -> str:
    return f" and {count - NEAREST} more" if count > NEAREST else ""


def _contradiction(failure: Failure) -> str:
    """Each rule can be met, all together cannot: a smallest set of them that shows it."""
    rules = failure.specs.rules
    lines = [rule.candidates(failure.report) for rule in rules]
    table = constraints(failure.specs, failure.report, lines)
    found = matching([tuple(one) for one in lines])
    if isinstance(found, Shortage):
        return _shortage([rules[index] for index in sorted(found.takers)], len(found.lines))
    core = sorted(_core(table))
    told = "; ".join(
        f"{rules[index]} by {_offers(failure, index, lines)}" for index in core[:NEAREST]
    )
    return f"these rules can be met one by one, not together: {told}{_more(len(core))}"


def _shortage(rules: Sequence[Rule], lines: int) -> str:
    named = "; ".join(str(rule) for rule in rules[:NEAREST]) + _more(len(rules))
    return f"{len(rules)} rules need a line each, lines that fit them: {lines} ({named})"


def _offers(failure: Failure, index: int, lines: Sequence[Sequence[int]]) -> str:
    return _some([" ".join(failure.report.items[line]) for line in lines[index]])


def _core(table: Sequence[Constraint]) -> list[int]:
    """A set of constraints that contradict each other, none of which can be left out.

    QuickXplain (Junker 2004): halves are dropped whole where possible, so that a small set in
    many rules is found with few questions.
    """

    def contradict(kept: Sequence[int]) -> bool:
        try:
            return Search([table[index] for index in kept]).feasible() is None
        except GaveUp:
            return False

    def reduce(ground: list[int], added: bool, rest: list[int]) -> list[int]:
        if added and contradict(ground):
            return []
        if len(rest) == 1:
            return rest
        half = len(rest) // 2
        right = reduce(ground + rest[:half], True, rest[half:])
        left = reduce(ground + right, bool(right), rest[:half])
        return left + right

    search = Search(table)
    try:
        search.feasible()
    except GaveUp:
        pass
    suspects, count = search.suspects(), SUSPECTS
    while count < len(suspects) and not contradict(suspects[:count]):
        count *= 2
    return reduce([], False, suspects[:count])
