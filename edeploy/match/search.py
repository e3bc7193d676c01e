"""The complete search: a line of the report for every rule, no line twice, variables agreeing.

Propagation (a variable has only values that all its rules still offer; a taken line is taken)
and matching (every set of rules needs as many lines) settle nearly all of it. What remains is a
search that tries one of several interchangeable devices only, never visits two equal states, and
begins again with the rules that failed most, so that identical devices cost next to nothing.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

from edeploy.inventory.items import Report
from edeploy.match.language import Specs

Lines = tuple[int, ...]

FIRST_RESTART = 8
# States looked at before giving up: half a minute. Racks need dozens; only rules that encode a
# puzzle on purpose come near.
MOST_STATES = 50_000


class GaveUp(Exception):  # noqa: N818
    """The search has looked at MOST_STATES states without an answer."""


@dataclass(frozen=True)
class Constraint:
    """A rule for the search: the lines that fit, and the shared variables' values in each."""

    variables: tuple[str, ...]
    values: dict[int, tuple[str, ...]]


@dataclass
class _State:
    lines: list[Lines]
    domains: dict[str, frozenset[str]]
    narrowed: tuple[int, ...]  # constraints to propagate from

    def copy(self) -> _State:
        return _State(list(self.lines), dict(self.domains), self.narrowed)

    def pinned(self, index: int, line: int) -> _State:
        """This state with one line left for one constraint."""
        changed = self.copy()
        changed.lines[index] = (line,)
        changed.narrowed += (index,)
        return changed


def constraints(specs: Specs, report: Report, lines: Sequence[Sequence[int]]) -> list[Constraint]:
    """The rules as the search wants them; a variable of one rule only constrains nothing."""
    result = []
    for rule, found in zip(specs.rules, lines, strict=True):
        place_of = {name: place for place, name in rule.variables if name in specs.shared}
        places = tuple(place_of.values())
        values = {line: tuple(report.items[line][place] for place in places) for line in found}
        result.append(Constraint(tuple(place_of), values))
    return result


class Search:
    """One set of constraints; `first()` is the answer, `feasible()` the quicker question."""

    def __init__(self, constraints: Sequence[Constraint]) -> None:
        self._constraints = constraints
        self._users: dict[str, list[tuple[int, int]]] = {}
        self._takers: dict[int, list[int]] = {}
        for index, constraint in enumerate(constraints):
            for place, name in enumerate(constraint.variables):
                self._users.setdefault(name, []).append((index, place))
            for line in constraint.values:
                self._takers.setdefault(line, []).append(index)
        self._weights = [1] * len(constraints)
        self._states = 0

    def feasible(self) -> Sequence[int] | None:
        """Lines for all constraints, any solution, or None. Raises GaveUp."""
        return self._solve(self._start())

    def first(self) -> Sequence[int] | None:
        """The solution with the earliest lines, in the order of the constraints, or None.

        Raises GaveUp.
        """
        state = self._start()
        known = self._solve(state)
        if known is None or not self._propagate(state):
            return None
        for index in range(len(self._constraints)):
            for line in state.lines[index]:
                pinned = state.pinned(index, line)
                better = known if known[index] == line else self._solve(pinned)
                if better is not None:
                    known = better
                    break
            self._propagate(pinned)
            state = pinned
        return known

    def suspects(self) -> list[int]:
        """All constraints, those first whose variables gave most trouble so far."""

        def trouble(index: int) -> int:
            own = [self._trouble(name) for name in self._constraints[index].variables]
            return max(own, default=self._weights[index])

        return sorted(range(len(self._constraints)), key=trouble, reverse=True)

    def _trouble(self, name: str) -> int:
        return sum(self._weights[index] for index, _ in self._users[name])

    def _start(self) -> _State:
        everything = tuple(range(len(self._constraints)))
        return _State([tuple(c.values) for c in self._constraints], {}, everything)

    def _solve(self, start: _State) -> Sequence[int] | None:
        """Depth first; each time more states failed than allowed, again from the start."""
        allowed = FIRST_RESTART
        while True:
            answer, finished = self._dive(start, allowed)
            if finished:
                return answer
            allowed *= 2

    def _dive(self, start: _State, allowed: int) -> tuple[Sequence[int] | None, bool]:
        """The answer and whether it is final; not final when more than `allowed` states failed."""
        seen: set[object] = set()
        failed = 0
        # A pair of variable and value: it has failed in this state, go on without it.
        stack: list[tuple[_State, tuple[str, str] | None]] = [(start.copy(), None)]
        while stack:
            state, refuted = stack.pop()
            if refuted is not None:
                state = self._without(state, *refuted)
            self._count()
            alive = self._propagate(state) and not (failed and self._seen(state, seen))
            answer = self._matching(state.lines) if alive else None
            if answer is None:
                failed += 1
                if failed > allowed:
                    return None, False
                continue
            name = self._choose(state)
            if name is None:
                return answer, True
            value = self._earliest(state, name)
            stack.append((state, (name, value)))
            stack.append((self._restricted(state, name, frozenset({value})), None))
        return None, True

    def _count(self) -> None:
        self._states += 1
        if self._states > MOST_STATES:
            raise GaveUp

    def _propagate(self, state: _State) -> bool:
        """Narrow lines and domains to what can still be; False when something has nothing left."""
        queue = deque(state.narrowed)
        state.narrowed = ()
        while queue:
            index = queue.popleft()
            lines = state.lines[index]
            touched: list[int] = []
            if lines and self._narrow_domains(state, index, touched):
                if len(lines) == 1:
                    self._take(state, index, lines[0], touched)
                queue.extend(touched)
                continue
            self._weights[index] += 1
            return False
        return True

    def _narrow_domains(self, state: _State, index: int, touched: list[int]) -> bool:
        constraint = self._constraints[index]
        lines = state.lines[index]
        for place, name in enumerate(constraint.variables):
            offered = frozenset(constraint.values[line][place] for line in lines)
            old = state.domains.get(name)
            new = offered if old is None else old & offered
            if not new:
                return False
            if new != old:
                state.domains[name] = new
                self._filter_users(state, name, new, touched)
        return True

    def _filter_users(
        self, state: _State, name: str, domain: frozenset[str], touched: list[int]
    ) -> None:
        for index, place in self._users[name]:
            values = self._constraints[index].values
            lines = state.lines[index]
            kept = tuple(line for line in lines if values[line][place] in domain)
            if len(kept) != len(lines):
                state.lines[index] = kept
                touched.append(index)

    def _take(self, state: _State, index: int, line: int, touched: list[int]) -> None:
        for other in self._takers[line]:
            if other != index and line in state.lines[other]:
                state.lines[other] = tuple(one for one in state.lines[other] if one != line)
                touched.append(other)

    def _matching(self, lines: Sequence[Lines]) -> Sequence[int] | None:
        """A line for each constraint, no line twice, early lines preferred; None: impossible."""
        found = matching(lines)
        if isinstance(found, Shortage):
            for index in found.takers:
                self._weights[index] += 1
            return None
        return found

    def _choose(self, state: _State) -> str | None:
        """The undecided variable with few values and much trouble so far; None: all decided."""
        best, least = None, float("inf")
        for name, domain in state.domains.items():
            if len(domain) > 1:
                score = len(domain) / self._trouble(name)
                if score < least:
                    best, least = name, score
        return best

    def _earliest(self, state: _State, name: str) -> str:
        index, place = self._users[name][0]
        return self._constraints[index].values[state.lines[index][0]][place]

    def _without(self, state: _State, name: str, value: str) -> _State:
        """Without a value that failed, and without those that would fail in the same way."""
        marks = self._marks(state)
        mark = marks.get(value, value)
        same = {other for other in state.domains[name] if marks.get(other, other) == mark}
        return self._restricted(state, name, state.domains[name] - same)

    def _restricted(self, state: _State, name: str, domain: frozenset[str]) -> _State:
        changed = _State(list(state.lines), dict(state.domains), ())
        touched: list[int] = []
        changed.domains[name] = domain
        self._filter_users(changed, name, domain, touched)
        changed.narrowed = tuple(touched)
        return changed

    def _seen(self, state: _State, seen: set[object]) -> bool:
        """Whether a state like this, but for the names of devices, was looked at before."""
        marks = self._marks(state)
        key = frozenset(Counter(marks.values()).items())
        if key in seen:
            return True
        seen.add(key)
        return False

    def _marks(self, state: _State) -> dict[str | None, object]:
        """What tells each undecided value from others: the rules that its lines could serve.

        Two values with one mark can change places without changing the rest. Lines that tie two
        values together are told by number, and both values by name: nothing is like them. Lines
        without an undecided value are under None.
        """
        serves: dict[int, int] = {}
        owner: dict[int, str] = {}
        ties: set[int] = set()
        unique: set[str | None] = set()
        for index, constraint in enumerate(self._constraints):
            places = [i for i, n in enumerate(constraint.variables) if len(state.domains[n]) > 1]
            for line in state.lines[index]:
                serves[line] = serves.get(line, 0) | 1 << index
                for place in places:
                    value = constraint.values[line][place]
                    if owner.setdefault(line, value) != value or len(places) > 1:
                        ties.add(line)
                        unique |= {value, owner[line]}
        marks: dict[str | None, list[tuple[int, int]]] = {}
        for line, rules in serves.items():
            mark = (rules, line if line in ties else -1)
            marks.setdefault(owner.get(line), []).append(mark)
        return {
            value: (tuple(sorted(lines)), value if value in unique else None)
            for value, lines in marks.items()
        }


@dataclass(frozen=True)
class Shortage:
    """Rules (indexes) that have fewer lines between them than they are."""

    takers: frozenset[int]
    lines: frozenset[int]


def matching(lines: Sequence[Lines]) -> list[int] | Shortage:
    """A line for each taker, no line twice, early lines preferred; or who has too few."""
    line_of: list[int] = [-1] * len(lines)
    taker_of: dict[int, int] = {}
    waiting: list[int] = []
    for taker, offered in enumerate(lines):
        free = next((line for line in offered if line not in taker_of), None)
        if free is None:
            waiting.append(taker)
        else:
            line_of[taker], taker_of[free] = free, taker
    for taker in waiting:
        shortage = _augment(taker, lines, line_of, taker_of)
        if shortage is not None:
            return shortage
    return line_of


def _augment(
    taker: int, lines: Sequence[Lines], line_of: list[int], taker_of: dict[int, int]
) -> Shortage | None:
    """Give `taker` a line by moving others; the rules met on the way are the shortage if not."""
    wanted_by: dict[int, int] = {}
    queue = deque([taker])
    met = {taker}
    while queue:
        current = queue.popleft()
        for line in lines[current]:
            if line in wanted_by:
                continue
            wanted_by[line] = current
            if line not in taker_of:
                _move(line, wanted_by, line_of, taker_of)
                return None
            met.add(taker_of[line])
            queue.append(taker_of[line])
    return Shortage(frozenset(met), frozenset(wanted_by))


def _move(
    free: int, wanted_by: dict[int, int], line_of: list[int], taker_of: dict[int, int]
) -> None:
    line = free
    while line >= 0:
        taker = wanted_by[line]
        line_of[taker], line = line, line_of[taker]
        taker_of[line_of[taker]] = taker
