"""Pairing: a line for each taker, none given twice, or a smallest group that has too few."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from edeploy.match.solve.linesets import each, earliest
from edeploy.match.solve.work import Work

# Steps of work, about: a taker asked for its lines, and one of them that is taken.
_LOOK, _LINE = 6, 4


@dataclass(frozen=True)
class Shortage:
    """Takers (indexes) that have fewer lines between them than they are.

    Without any one of them the others can be served: none can be left out of a reason.
    """

    takers: frozenset[int]
    lines: int


class Pairing:
    """A line for each taker out of the set that it wants, kept while the wants change.

    Augmenting paths (Berge 1957), breadth first; early lines preferred.
    """

    def __init__(self, wanted: Sequence[int], work: Work) -> None:
        self._wanted = list(wanted)
        self._work = work
        self.line_of = [-1] * len(wanted)
        self._taker_of: dict[int, int] = {}
        self._taken = 0

    def complete(self) -> Shortage | None:
        """Serve every taker; who has too few if that cannot be. Raises GaveUp."""
        self._work.spend(len(self._wanted))
        waiting = []
        for taker, lines in enumerate(self._wanted):
            free = lines & ~self._taken
            if free:
                line = earliest(free)
                self._taken |= 1 << line
                self.line_of[taker], self._taker_of[line] = line, taker
            else:
                waiting.append(taker)
        for taker in waiting:
            shortage = self._augment(taker)
            if shortage is not None:
                return shortage
        return None

    def limit(self, taker: int, lines: int) -> bool:
        """From now on `taker` wants these lines only; False, and no change, if some then miss."""
        before, old = self._wanted[taker], self.line_of[taker]
        self._wanted[taker] = lines
        if lines >> old & 1:
            return True
        self._taken ^= 1 << old
        if self._augment(taker) is None:
            return True
        self._wanted[taker] = before
        self._taken |= 1 << old
        return False

    def free(self, taker: int, lines: int) -> None:
        """From now on `taker` wants any of these lines, the one that it has among them."""
        self._wanted[taker] = lines

    def _augment(self, taker: int) -> Shortage | None:
        """Give `taker` a line by moving others; the takers met on the way if that cannot be."""
        wanted_by: dict[int, int] = {}
        visited = 0
        queue = deque([taker])
        met = {taker}
        while queue:
            current = queue.popleft()
            self._work.spend(_LOOK)
            new = self._wanted[current] & ~visited
            free = new & ~self._taken
            if free:
                line = earliest(free)
                wanted_by[line] = current
                self._move(line, taker, wanted_by)
                return None
            visited |= new
            self._work.spend(_LINE * new.bit_count())
            for line in each(new):
                wanted_by[line] = current
                met.add(self._taker_of[line])
                queue.append(self._taker_of[line])
        return Shortage(frozenset(met), visited)

    def _move(self, line: int, first: int, wanted_by: dict[int, int]) -> None:
        self._taken |= 1 << line
        while True:
            taker = wanted_by[line]
            left = self.line_of[taker]
            self.line_of[taker], self._taker_of[line] = line, taker
            if taker == first:
                return
            line = left


def pair(wanted: Sequence[int], work: Work) -> list[int] | Shortage:
    """A line for each taker, no line twice, early lines preferred; or who has too few.

    Raises GaveUp.
    """
    pairing = Pairing(wanted, work)
    return pairing.complete() or pairing.line_of
