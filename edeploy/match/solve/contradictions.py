"""Rules that can be met one by one and not together: a small set of them that shows it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from edeploy.inventory.items import Item
from edeploy.match.solve.propagation import Constraint
from edeploy.match.solve.search import Search
from edeploy.match.solve.symmetry import Pattern, grouped
from edeploy.match.solve.work import GaveUp, Work

# An eighth of what an answer may cost, and more than racks need.
_MOST_WORK = 400_000


@dataclass(frozen=True)
class Contradiction:
    """Rules (indexes), a row a pattern (those that variables tie), in the order of the rules.

    `smallest`: without any one of the patterns the others could be met (of one pattern: without
    any one of its rules). False when there was no time to make sure.
    """

    patterns: tuple[tuple[int, ...], ...]
    smallest: bool


def contradiction(rules: Mapping[int, Constraint], items: Sequence[Item]) -> Contradiction:
    """Out of rules that cannot be met together, some that cannot."""
    lines = {index: rule.lines for index, rule in rules.items()}
    patterns, _ = grouped(lines, {index: rule.reads for index, rule in rules.items()})
    reduction = _Reduction(rules, items)
    smallest = True
    try:
        _reduce(reduction, patterns)
    except GaveUp:
        smallest = False
    left = (tuple(sorted(reduction.left & set(pattern.rules))) for pattern in patterns)
    return Contradiction(tuple(sorted(filter(None, left))), smallest)


def _reduce(reduction: _Reduction, patterns: Sequence[Pattern]) -> None:
    kinds: dict[int, list[Pattern]] = {}
    for pattern in patterns:
        kinds.setdefault(pattern.kind, []).append(pattern)
    for members in kinds.values():
        # One rule alone can be met: it has lines.
        if len(members[0].rules) > 1 and reduction.contradict(members[0].rules):
            reduction.left = set(members[0].rules)
            reduction.drop([{rule} for rule in sorted(members[0].rules)])
            return
    reduction.drop([_rules(members) for members in kinds.values()])
    for members in kinds.values():
        reduction.drop_last(members)
    for members in kinds.values():
        reduction.drop([set(role) for role in zip(*(p.rules for p in members), strict=True)])


def _rules(patterns: Sequence[Pattern]) -> set[int]:
    return {rule for pattern in patterns for rule in pattern.rules}


class _Reduction:
    """Rules that contradict each other, fewer and fewer of them: `left`."""

    def __init__(self, rules: Mapping[int, Constraint], items: Sequence[Item]) -> None:
        self.left = set(rules)
        self._rules = rules
        self._items = items
        self._work = Work(_MOST_WORK)

    def contradict(self, rules: Collection[int]) -> bool:
        """Whether these cannot be met together. Raises GaveUp."""
        chosen = {rule: self._rules[rule] for rule in sorted(rules)}
        return Search(chosen, self._items, self._work).feasible() is None

    def drop(self, pieces: Sequence[set[int]]) -> None:
        """Drop as many pieces as can be: first halves of them, then quarters, then one by one."""
        pieces = [piece for piece in pieces if piece & self.left]
        size = len(pieces)
        while size > 1:
            size = (size + 1) // 2
            needed: list[set[int]] = []
            for start in range(0, len(pieces), size):
                some = pieces[start : start + size]
                if not self._dropped(set().union(*some)):
                    needed += some
            pieces = needed

    def drop_last(self, members: Sequence[Pattern]) -> None:
        """Keep the least number of patterns of one kind that still contradict."""
        if not _rules(members) <= self.left:
            return
        least, most = 1, len(members)
        while least < most:
            middle = (least + most) // 2
            if self.contradict(self.left - _rules(members[middle:])):
                most = middle
            else:
                least = middle + 1
        self.left -= _rules(members[most:])

    def _dropped(self, rules: set[int]) -> bool:
        if not self.contradict(self.left - rules):
            return False
        self.left -= rules
        return True
