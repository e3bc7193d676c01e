"""Does a report meet specs, by which lines, with which values, or why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from edeploy.inventory.items import Item, Report
from edeploy.match.explain import Failure, Reason, explain
from edeploy.match.language import Rule, Specs, candidates
from edeploy.match.solve.propagation import constraints
from edeploy.match.solve.search import Search
from edeploy.match.solve.work import GaveUp, Work


@dataclass(frozen=True)
class Match:
    """`vars`: every bound variable; `keys`: the `$$` ones; `items`: the line of each rule."""

    vars: dict[str, str]
    keys: dict[str, str]
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Mismatch:
    """No match; the reason is made when it is asked for."""

    failure: Failure

    @cached_property
    def explanation(self) -> Reason:
        """The rule that cannot be met and what comes nearest, or the rules that contradict."""
        return explain(self.failure)

    @property
    def reason(self) -> str:
        """The explanation in one line."""
        return str(self.explanation)

    @property
    def is_answer(self) -> bool:
        """False when the question was given up: a solution may exist."""
        return not self.failure.gave_up


def match(specs: Specs, report: Report) -> Match | Mismatch:
    """Match a report against specs: every rule takes a line of its own, variables agree.

    Among several solutions the one with the earliest lines, in the order of the rules.
    """
    work = Work()
    try:
        lines = candidates(specs, report, work)
        if isinstance(lines, Rule):
            return Mismatch(Failure(specs, report, unmet=lines))
        chosen = _first_fit(specs, report, lines, work) or _search(specs, report, lines, work)
    except GaveUp:
        return Mismatch(Failure(specs, report, gave_up=True))
    if chosen is None:
        return Mismatch(Failure(specs, report, lines=lines))
    return _match(specs, report, chosen)


def _first_fit(
    specs: Specs, report: Report, lines: list[list[int]], work: Work
) -> list[int] | None:
    """The first free line that agrees, rule by rule; None at the first rule without one.

    When it gets through, no solution has earlier lines: most matches need nothing more.
    """
    bound: dict[str, str] = {}
    taken: set[int] = set()
    chosen: list[int] = []
    for rule, found in zip(specs.rules, lines, strict=True):
        for tried, line in enumerate(found, 1):
            item = report.items[line]
            if line not in taken and all(
                bound.get(name, item[place]) == item[place] for place, name in rule.variables
            ):
                work.spend(tried)
                break
        else:
            return None
        bound.update((name, item[place]) for place, name in rule.variables)
        taken.add(line)
        chosen.append(line)
    return chosen


def _search(
    specs: Specs, report: Report, lines: list[list[int]], work: Work
) -> Sequence[int] | None:
    rules = dict(enumerate(constraints(specs, lines)))
    found = Search(rules, report.items, work).first()
    return None if found is None else [found[rule] for rule in rules]


def _match(specs: Specs, report: Report, chosen: Sequence[int]) -> Match:
    items = tuple(report.items[line] for line in chosen)
    bound = {
        name: item[place]
        for rule, item in zip(specs.rules, items, strict=True)
        for place, name in rule.variables
    }
    return Match(bound, {name: bound[name] for name in bound if name in specs.keys}, items)
