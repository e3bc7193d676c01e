"""Does a report meet specs, by which lines, with which values, or why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from edeploy.inventory.items import Item, Report
from edeploy.match.explain import Failure, explain
from edeploy.match.language import Specs
from edeploy.match.search import GaveUp, Search, constraints


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
    def reason(self) -> str:
        """The rule that cannot be met and what comes nearest, or the rules that contradict."""
        return explain(self.failure)


def match(specs: Specs, report: Report) -> Match | Mismatch:
    """Match a report against specs: every rule takes a line of its own, variables agree.

    Among several solutions the one with the earliest lines, in the order of the rules.
    """
    lines: list[list[int]] = []
    for rule in specs.rules:
        found = rule.candidates(report)
        if not found:
            return Mismatch(Failure(specs, report, unmet=rule))
        lines.append(found)
    try:
        chosen = _first_fit(specs, report, lines) or _search(specs, report, lines)
    except GaveUp:
        return Mismatch(Failure(specs, report, gave_up=True))
    if chosen is None:
        return Mismatch(Failure(specs, report))
    return _match(specs, report, chosen)


def _first_fit(specs: Specs, report: Report, lines: list[list[int]]) -> list[int] | None:
    """The first free line that agrees, rule by rule; None at the first rule without one.

    When it gets through, no solution has earlier lines: most matches need nothing more.
    """
    bound: dict[str, str] = {}
    taken: set[int] = set()
    chosen: list[int] = []
    for rule, found in zip(specs.rules, lines, strict=True):
        for line in found:
            item = report.items[line]
            if line not in taken and all(
                bound.get(name, item[place]) == item[place] for place, name in rule.variables
            ):
                break
        else:
            return None
        bound.update((name, item[place]) for place, name in rule.variables)
        taken.add(line)
        chosen.append(line)
    return chosen


def _search(specs: Specs, report: Report, lines: list[list[int]]) -> Sequence[int] | None:
    if not specs.rules:
        return []
    return Search(constraints(specs, report, lines)).first()


def _match(specs: Specs, report: Report, chosen: Sequence[int]) -> Match:
    items = tuple(report.items[line] for line in chosen)
    bound = {
        name: item[place]
        for rule, item in zip(specs.rules, items, strict=True)
        for place, name in rule.variables
    }
    return Match(bound, {name: bound[name] for name in bound if name in specs.keys}, items)
