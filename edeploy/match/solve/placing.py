"""Placing: which cluster of lines for each pattern of rules, so that all fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from edeploy.match.solve.linesets import earliest, is_one, united
from edeploy.match.solve.seating import Guests, Needed, Seating
from edeploy.match.solve.symmetry import Cluster, Pattern, Roles
from edeploy.match.solve.work import Work

# Steps of work, about: a cluster tried for a pattern.
_SEAT = 8
# Dead ends after which the order of the patterns is thought over (twice as many the next time).
_PATIENCE = 64

Solve = Callable[[dict[int, int]], dict[int, int] | None]


class _Again(Exception):
    """It has taken long: another order may be better."""


class Placing:
    """Patterns to clusters; what is asked of a cluster is asked once for all of its kind."""

    def __init__(
        self,
        patterns: Sequence[Pattern],
        kinds: Sequence[Roles],
        clusters: Sequence[Cluster],
        solve: Solve,
        work: Work,
    ) -> None:
        self._kinds = kinds
        self._clusters = clusters
        self._solve = solve
        self._work = work
        self._model = {cluster.kind: cluster for cluster in reversed(clusters)}
        self._members = _by_kind(patterns, len(kinds))
        self._answers: dict[tuple[int, Guests], tuple[tuple[int, ...], ...] | None] = {}
        self._offers = [self._offered(kind) for kind in range(len(kinds))]
        self._patterns = patterns
        self._orders: dict[tuple[int, int], list[int]] = {}

    def solution(self) -> dict[int, int] | None:
        """A line for every rule, or None. Raises GaveUp."""
        if not all(self._offers):
            return None
        failures: Counter[int] = Counter()
        patience = _PATIENCE
        while True:
            seating = self._seating(failures)
            try:
                return self._placed(seating, failures, patience) if seating.begin() else None
            except _Again:
                patience *= 2

    def _seating(self, failures: Counter[int]) -> Seating:
        """An empty one, in which those with few places, and those that failed often, come first."""
        weight = {kind: len(own) / (1 + failures[kind]) for kind, own in enumerate(self._offers)}
        order = sorted(self._patterns, key=lambda pattern: (weight[pattern.kind], pattern.first))
        offers = list(map(self._ordered, order))
        return Seating(order, offers, self._kinds, self._clusters, self._needed(), self._work)

    def _placed(
        self, seating: Seating, failures: Counter[int], patience: int
    ) -> dict[int, int] | None:
        """Depth first over the clusters of one pattern after the other. Raises _Again when
        patience is at its end: it is `failures` that were learnt.
        """
        choices = [self._choices(seating)]
        dead: set[object] = set()
        while choices:
            if not next(choices[-1], False):
                choices.pop()
                dead.add(seating.likeness())
                failures[seating.patterns[len(seating.taken)].kind] += 1
                if seating.taken:
                    seating.leave()
                if len(dead) > patience:
                    raise _Again
            elif seating.is_complete:
                return self._lines(seating)
            elif dead and seating.likeness() in dead:
                seating.leave()
            else:
                choices.append(self._choices(seating))
        return None

    def _choices(self, seating: Seating) -> Iterator[bool]:
        """True for each cluster that the next pattern takes, one of several alike."""
        tried: set[tuple[int, Guests]] = set()
        for cluster in self._ordered(seating.patterns[len(seating.taken)]):
            seat = (self._clusters[cluster].kind, seating.guests[cluster])
            if seat in tried:
                continue
            tried.add(seat)
            self._work.spend(_SEAT)
            fits = self._answer(seat[0], seating.together(cluster)) is not None
            if fits and seating.enter(cluster):
                yield True

    def _offered(self, kind: int) -> list[int]:
        """The clusters in which a pattern of a kind fits when it is alone."""
        roles = self._kinds[kind]
        self._work.spend(len(self._clusters))
        return [
            number
            for number, cluster in enumerate(self._clusters)
            if all(role.lines & cluster.lines for role in roles)
            and self._answer(cluster.kind, (kind,)) is not None
        ]

    def _ordered(self, pattern: Pattern) -> list[int]:
        """The clusters offered to a pattern, by the lines of its first rule."""
        lead = (pattern.kind, pattern.rules.index(pattern.first))
        if lead not in self._orders:
            lines = self._kinds[lead[0]][lead[1]].lines
            self._orders[lead] = sorted(
                self._offers[pattern.kind],
                key=lambda number: earliest(lines & self._clusters[number].lines),
            )
        return self._orders[lead]

    def _needed(self) -> Needed:
        found: dict[int, dict[int, int]] = {}
        for kind, roles in enumerate(self._kinds):
            for cluster in {self._clusters[number].kind for number in self._offers[kind]}:
                there = self._model[cluster].lines
                within = (role.lines & there for role in roles)
                found.setdefault(cluster, {})[kind] = united(x for x in within if is_one(x))
        return found

    def _answer(self, cluster: int, guests: Guests) -> tuple[tuple[int, ...], ...] | None:
        """How guests fit in a kind of cluster: places of lines in it, a row a guest, or None."""
        asked = (cluster, guests)
        if asked not in self._answers:
            self._answers[asked] = self._ask(self._model[cluster], guests)
        return self._answers[asked]

    def _ask(self, cluster: Cluster, guests: Guests) -> tuple[tuple[int, ...], ...] | None:
        met: Counter[int] = Counter()
        there = []
        for kind in guests:
            there.append(self._members[kind][met[kind]])
            met[kind] += 1
        rules = {
            rule: role.lines & cluster.lines
            for pattern in there
            for rule, role in zip(pattern.rules, self._kinds[pattern.kind], strict=True)
        }
        self._work.spend(len(rules))
        solved = self._solve(rules)
        if solved is None:
            return None
        place = {line: number for number, line in enumerate(cluster.ordered)}
        return tuple(tuple(place[solved[rule]] for rule in pattern.rules) for pattern in there)

    def _lines(self, seating: Seating) -> dict[int, int]:
        """The lines of all rules when every pattern has its cluster."""
        rows = {}
        for number, there in enumerate(seating.guests):
            if there:
                answer = self._answer(self._clusters[number].kind, there)
                assert answer is not None  # noqa: S101  (asked before the last guest came)
                rows[number] = list(zip(there, answer, strict=True))
        result: dict[int, int] = {}
        for pattern, number in zip(seating.patterns, seating.taken, strict=True):
            row = next(row for row in rows[number] if row[0] == pattern.kind)
            rows[number].remove(row)
            lines = self._clusters[number].ordered
            result.update(
                (rule, lines[place]) for rule, place in zip(pattern.rules, row[1], strict=True)
            )
        return result


def _by_kind(patterns: Sequence[Pattern], kinds: int) -> list[list[Pattern]]:
    members: list[list[Pattern]] = [[] for _ in range(kinds)]
    for pattern in patterns:
        members[pattern.kind].append(pattern)
    return members
