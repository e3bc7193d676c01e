"""Seating: which patterns are in which clusters so far, and whether the others can still be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from edeploy.match.solve.linesets import each, lineset, united
from edeploy.match.solve.pairing import Pairing, Shortage
from edeploy.match.solve.symmetry import Cluster, Pattern, Roles
from edeploy.match.solve.work import Work

# Steps of work, about: one cluster compared.
_COMPARED = 4

# Patterns (by kind) in one cluster.
Guests = tuple[int, ...]
# By kind of cluster, by kind of pattern: the lines that all such patterns need there.
Needed = dict[int, dict[int, int]]


class Seating:
    """Patterns take clusters in a given order; `offers` are the clusters of each."""

    def __init__(
        self,
        patterns: Sequence[Pattern],
        offers: Sequence[Sequence[int]],
        kinds: Sequence[Roles],
        clusters: Sequence[Cluster],
        needed: Needed,
        work: Work,
    ) -> None:
        self.patterns = patterns
        self.guests: list[Guests] = [()] * len(clusters)
        self.taken: list[int] = []
        self._clusters = clusters
        self._work = work
        self._rivals = _Rivals(patterns, offers, needed, work)
        self._seats = _Seats(patterns, kinds, offers, clusters, work)

    @property
    def is_complete(self) -> bool:
        """Whether all patterns have their clusters."""
        return len(self.taken) == len(self.patterns)

    def begin(self) -> bool:
        """Whether all can find a place, to begin with. Raises GaveUp."""
        return self._rivals.complete() and self._seats.complete()

    def together(self, cluster: int) -> Guests:
        """The guests of a cluster with the next pattern among them."""
        return tuple(sorted((*self.guests[cluster], self.patterns[len(self.taken)].kind)))

    def enter(self, cluster: int) -> bool:
        """The next pattern takes a cluster; False, and no change, if others then miss."""
        index = len(self.taken)
        if not self._rivals.enter(index, cluster):
            return False
        if not self._seats.enter(index, cluster):
            self._rivals.leave(index)
            return False
        self.guests[cluster] = self.together(cluster)
        self.taken.append(cluster)
        return True

    def leave(self) -> None:
        """Take the last pattern out of its cluster again."""
        cluster = self.taken.pop()
        left = list(self.guests[cluster])
        left.remove(self.patterns[len(self.taken)].kind)
        self.guests[cluster] = tuple(left)
        self._rivals.leave(len(self.taken))
        self._seats.leave(len(self.taken))

    def likeness(self) -> object:
        """What decides whether the remaining patterns can be placed."""
        self._work.spend(_COMPARED * len(self.guests))
        seats = Counter(
            (cluster.kind, there)
            for cluster, there in zip(self._clusters, self.guests, strict=True)
        )
        return len(self.taken), frozenset(seats.items())


class _Rivals:
    """Patterns that can never share a cluster, since they need one line of it: as in a game of
    chairs, all of them must find one at any time. Tells of a shortage long before it is met.
    """

    def __init__(
        self,
        patterns: Sequence[Pattern],
        offers: Sequence[Sequence[int]],
        needed: Needed,
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


def _groups(patterns: Sequence[Pattern], needed: Needed) -> list[list[int]]:
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


def _apart(needed: Needed) -> dict[int, int]:
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
