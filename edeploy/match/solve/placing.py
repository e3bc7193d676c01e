"""Placing: which cluster of lines for each pattern of rules, so that all fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from edeploy.match.solve.linesets import each, earliest, is_one, lineset, united
from edeploy.match.solve.pairing import Pairing, Shortage
from edeploy.match.solve.symmetry import Cluster, Pattern, Roles
from edeploy.match.solve.work import Work

# Steps of work, about: a cluster tried for a pattern, one compared.
_SEAT, _LIKENESS = 8, 4

# Patterns (by kind) in one cluster.
Guests = tuple[int, ...]
Solve = Callable[[dict[int, int]], dict[int, int] | None]


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
        self._patterns = sorted(patterns, key=lambda p: (len(self._offers[p.kind]), p.first))
        self._orders: dict[tuple[int, int], list[int]] = {}

    def solution(self) -> dict[int, int] | None:
        """A line for every rule, or None. Raises GaveUp."""
        if not all(self._offers):
            return None
        offers = list(map(self._ordered, self._patterns))
        rivals = _Rivals(self._patterns, offers, self._needed(), self._work)
        seats = _Seats(self._patterns, self._kinds, offers, self._clusters, self._work)
        if not rivals.complete() or not seats.complete():
            return None
        guests: list[Guests] = [()] * len(self._clusters)
        taken: list[int] = []
        choices = [self._choices(0, guests, rivals, seats)]
        dead: set[object] = set()
        while choices:
            chosen = next(choices[-1], None)
            if chosen is None:
                choices.pop()
                dead.add(self._likeness(len(taken), guests))
                if taken:
                    self._leave(taken, guests, rivals, seats)
                continue
            kind = self._patterns[len(taken)].kind
            guests[chosen] = tuple(sorted((*guests[chosen], kind)))
            taken.append(chosen)
            if len(taken) == len(self._patterns):
                return self._lines(taken, guests)
            if dead and self._likeness(len(taken), guests) in dead:
                self._leave(taken, guests, rivals, seats)
            else:
                choices.append(self._choices(len(taken), guests, rivals, seats))
        return None

    def _leave(
        self, taken: list[int], guests: list[Guests], rivals: _Rivals, seats: _Seats
    ) -> None:
        """Take the last pattern out of its cluster again."""
        cluster = taken.pop()
        kind = self._patterns[len(taken)].kind
        left = list(guests[cluster])
        left.remove(kind)
        guests[cluster] = tuple(left)
        rivals.leave(len(taken))
        seats.leave(len(taken))

    def _choices(
        self, index: int, guests: list[Guests], rivals: _Rivals, seats: _Seats
    ) -> Iterator[int]:
        """The clusters where a pattern fits beside what is there; one of several alike."""
        kind = self._patterns[index].kind
        tried: set[tuple[int, Guests]] = set()
        for cluster in self._ordered(self._patterns[index]):
            seat = (self._clusters[cluster].kind, guests[cluster])
            if seat in tried:
                continue
            tried.add(seat)
            self._work.spend(_SEAT)
            together = tuple(sorted((*guests[cluster], kind)))
            if self._answer(seat[0], together) is None or not rivals.enter(index, cluster):
                continue
            if seats.enter(index, cluster):
                yield cluster
            else:
                rivals.leave(index)

    def _likeness(self, index: int, guests: list[Guests]) -> object:
        """What of a state decides whether the remaining patterns can be placed."""
        self._work.spend(_LIKENESS * len(guests))
        seats = Counter(
            (cluster.kind, there) for cluster, there in zip(self._clusters, guests, strict=True)
        )
        return index, frozenset(seats.items())

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

    def _needed(self) -> dict[int, dict[int, int]]:
        """By kind of cluster, by kind of pattern: the lines that all such patterns need there."""
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

    def _lines(self, taken: Sequence[int], guests: Sequence[Guests]) -> dict[int, int]:
        """The lines of all rules when every pattern has its cluster."""
        rows = {}
        for number, there in enumerate(guests):
            if there:
                answer = self._answer(self._clusters[number].kind, there)
                assert answer is not None  # noqa: S101  (asked before the last guest came)
                rows[number] = list(zip(there, answer, strict=True))
        result: dict[int, int] = {}
        for pattern, number in zip(self._patterns, taken, strict=True):
            row = next(row for row in rows[number] if row[0] == pattern.kind)
            rows[number].remove(row)
            lines = self._clusters[number].ordered
            result.update(
                (rule, lines[place]) for rule, place in zip(pattern.rules, row[1], strict=True)
            )
        return result


class _Rivals:
    """Patterns that can never share a cluster, since they need one line of it: as in a game of
    chairs, all of them must find one at any time. Tells of a shortage long before it is met.
    """

    def __init__(
        self,
        patterns: Sequence[Pattern],
        offers: Sequence[Sequence[int]],
        needed: dict[int, dict[int, int]],
        work: Work,
    ) -> None:
        self._offers = [lineset(numbers) for numbers in offers]
        self._seat: dict[int, tuple[Pairing, int]] = {}
        self._pairings: list[Pairing] = []
        for group in _groups(patterns, needed):
            pairing = Pairing([self._offers[index] for index in group], work)
            self._pairings.append(pairing)
            self._seat.update((index, (pairing, n)) for n, index in enumerate(group))

    def complete(self) -> bool:
        """Whether all find a cluster, to begin with."""
        return not any(isinstance(pairing.complete(), Shortage) for pairing in self._pairings)

    def enter(self, index: int, cluster: int) -> bool:
        """Whether the others still can when a pattern takes this cluster; if so, it has it."""
        if index not in self._seat:
            return True
        pairing, number = self._seat[index]
        return pairing.limit(number, 1 << cluster)

    def leave(self, index: int) -> None:
        """The pattern may have any of its clusters again."""
        if index in self._seat:
            pairing, number = self._seat[index]
            pairing.free(number, self._offers[index])


class _Seats:
    """A line for every rule, those of a pattern that has its cluster in there: a shortage among
    all that remain is seen at once.
    """

    def __init__(
        self,
        patterns: Sequence[Pattern],
        kinds: Sequence[Roles],
        offers: Sequence[Sequence[int]],
        clusters: Sequence[Cluster],
        work: Work,
    ) -> None:
        self._clusters = clusters
        self._takers: list[range] = []
        self._wanted: list[int] = []
        for pattern, offered in zip(patterns, offers, strict=True):
            there = united(clusters[number].lines for number in offered)
            lines = [role.lines & there for role in kinds[pattern.kind]]
            self._takers.append(range(len(self._wanted), len(self._wanted) + len(lines)))
            self._wanted += lines
        self._pairing = Pairing(self._wanted, work)

    def complete(self) -> bool:
        """Whether every rule finds a line, to begin with."""
        return self._pairing.complete() is None

    def enter(self, index: int, cluster: int) -> bool:
        """Whether every rule still finds one when a pattern takes this cluster; if so, it has."""
        there = self._clusters[cluster].lines
        if all(self._pairing.limit(t, self._wanted[t] & there) for t in self._takers[index]):
            return True
        self.leave(index)
        return False

    def leave(self, index: int) -> None:
        """The pattern may have any of its clusters again."""
        for taker in self._takers[index]:
            self._pairing.free(taker, self._wanted[taker])


def _groups(patterns: Sequence[Pattern], needed: dict[int, dict[int, int]]) -> list[list[int]]:
    """Groups of patterns (indexes) of which no two can be in one cluster."""
    members: dict[int, list[int]] = {}
    for index, pattern in enumerate(patterns):
        members.setdefault(pattern.kind, []).append(index)
    apart = _apart(needed)
    groups: list[tuple[int, list[int]]] = []
    for kind, own in members.items():
        if not apart[kind] >> kind & 1:
            continue
        for number, (kinds, group) in enumerate(groups):
            if not kinds & ~apart[kind]:
                groups[number] = (kinds | 1 << kind, group + own)
                break
        else:
            groups.append((1 << kind, own))
    return [group for _, group in groups]


def _apart(needed: dict[int, dict[int, int]]) -> dict[int, int]:
    """For each kind of pattern, as bits, the kinds with which it can share no cluster."""
    apart: dict[int, int] = {}
    for lines_of in needed.values():
        users: dict[int, int] = {}
        for kind, lines in lines_of.items():
            for line in each(lines):
                users[line] = users.get(line, 0) | 1 << kind
        here = sum(1 << kind for kind in lines_of)
        for kind, lines in lines_of.items():
            rivals = ~here
            for line in each(lines):
                rivals |= users[line]
            apart[kind] = apart.get(kind, -1) & rivals
    return apart


def _by_kind(patterns: Sequence[Pattern], kinds: int) -> list[list[Pattern]]:
    members: list[list[Pattern]] = [[] for _ in range(kinds)]
    for pattern in patterns:
        members[pattern.kind].append(pattern)
    return members
