"""The complete search: a line of the report for every rule, no line twice, variables agreeing.

Narrowing and pairing settle nearly all of it. What remains falls into patterns of rules and
clusters of lines (see `symmetry`), which are placed; only inside one cluster that cannot be divided
a variable is tried, one of several interchangeable values. So identical devices cost next to
nothing, and no depth is too much. The question is as hard as any puzzle (subgraph isomorphism is
a special case): a bound on the work keeps rules that encode one from holding up a server.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from edeploy.inventory.items import Item
from edeploy.match.solve.linesets import each, earliest, is_one, united
from edeploy.match.solve.pairing import Shortage, pair
from edeploy.match.solve.placing import Placing, Solve
from edeploy.match.solve.propagation import Constraint, Propagation, State
from edeploy.match.solve.symmetry import Cluster, clusters, look_alikes, patterns
from edeploy.match.solve.work import GaveUp, Work

# Clusters within clusters: each level is a puzzle of its own inside the one above.
DEEPEST = 60
# Steps of work, about: a rule looked at for what its variables have left.
_UNDECIDED = 8


class Search:
    """One set of rules on one report."""

    def __init__(self, rules: Mapping[int, Constraint], items: Sequence[Item], work: Work) -> None:
        self._work = work
        self._propagation = Propagation(rules, items, self._work)

    def feasible(self) -> dict[int, int] | None:
        """A line for each rule, any solution, or None. Raises GaveUp."""
        state = self._start()
        return None if state is None else self._solve(state, 0)

    def first(self) -> dict[int, int] | None:
        """The solution with the earliest lines, in the order of the rules, or None.

        A puzzle may take all work before it is known which is the earliest: then it is the
        earliest so far. Raises GaveUp when there is no solution by then.
        """
        state = self._start()
        if state is None:
            return None
        known = self._solve(state, 0)
        if known is None:
            return None
        try:
            greedy = self._greedy(state.copy())
            if greedy is not None:
                return greedy
            for rule in sorted(state.lines):
                known = self._improved(state, rule, known)
                state.limit(rule, 1 << known[rule])
        except GaveUp:
            pass  # a solution with later lines is better than none
        return known

    def _greedy(self, state: State) -> dict[int, int] | None:
        """The earliest line that narrowing leaves for one rule after the other; None when it
        leads nowhere. What it finds is the first solution: nothing earlier was possible.
        """
        for rule in sorted(state.lines):
            while True:
                line = 1 << earliest(state.lines[rule])
                tried = state.copy()
                tried.limit(rule, line)
                self._work.spend(len(state.lines))
                if self._propagation.narrow(tried):
                    state = tried
                    break
                state.limit(rule, ~line)
                if not self._propagation.narrow(state):
                    return None
        return {rule: earliest(lines) for rule, lines in state.lines.items()}

    def _improved(self, state: State, rule: int, known: dict[int, int]) -> dict[int, int]:
        """The solution with the earliest line for one rule; `known` if it has that already.

        Line by line: with one line the puzzle is smaller, and mostly no puzzle any more.
        """
        while self._propagation.narrow(state):
            line = earliest(state.lines[rule])
            if line == known[rule]:
                break
            wish = state.copy()
            wish.limit(rule, 1 << line)
            better = self._solve(wish, 0)
            if better is not None:
                return better
            state.limit(rule, ~(1 << line))
        return known

    def _start(self) -> State | None:
        rules = self._propagation.rules
        return self._propagation.start({index: rule.lines for index, rule in rules.items()})

    def _solve(self, start: State, depth: int) -> dict[int, int] | None:
        """Depth first over the values of variables, where placing alone does not decide."""
        if depth > DEEPEST:
            raise GaveUp
        seen: set[object] = set()
        stack = [start.copy()]
        while stack:
            state = stack.pop()
            if not self._propagation.narrow(state):
                continue
            self._work.spend(len(state.lines))
            paired = pair(list(state.lines.values()), self._work)
            if isinstance(paired, Shortage):
                continue
            found, kinds = patterns(state, self._propagation)
            if not any(role.reads for roles in kinds for role in roles):
                return dict(zip(state.lines, paired, strict=True))
            homes = clusters(kinds, self._propagation)
            hubs = self._hubs(state, homes)
            if len(homes) > 1 and not hubs:
                placing = Placing(found, kinds, homes, self._within(depth), self._work)
                placed = placing.solution()
                if placed is not None:
                    return _settled(state) | placed
                continue
            likeness = frozenset(Counter(kinds[pattern.kind] for pattern in found).items())
            if likeness not in seen:
                seen.add(likeness)
                stack += self._branches(state, hubs)
        return None

    def _within(self, depth: int) -> Solve:
        def solve(lines: dict[int, int]) -> dict[int, int] | None:
            state = self._propagation.start(lines)
            return None if state is None else self._solve(state, depth + 1)

        return solve

    def _hubs(self, state: State, homes: Sequence[Cluster]) -> list[str]:
        """The variables that tie devices to one another, when most lines hang together by them.

        Placing would ask again and again about the one large cluster; with a value for such a
        variable it falls apart.
        """
        sizes = [home.lines.bit_count() for home in homes]
        if 2 * max(sizes) <= sum(sizes):
            return []
        beside: Counter[str] = Counter()
        for rule in state.lines:
            own = self._propagation.undecided(state, rule)
            if len(own) > 1:
                beside.update(name for _, name in own)
        self._work.spend(_UNDECIDED * len(state.lines))
        return sorted(name for name, rules in beside.items() if rules > 1)

    def _branches(self, state: State, hubs: Sequence[str]) -> list[State]:
        """A variable with its earliest value, last, and without it and those that would fail in
        the same way; nothing if it can have none. The variable is one with few values and many
        rules, of `hubs` if any.
        """
        readers: dict[str, list[int]] = {}
        for rule in state.lines:
            for _, name in self._propagation.undecided(state, rule):
                readers.setdefault(name, []).append(rule)
        texts = {name: self._texts(state, name) for name in hubs or readers}
        name = min(texts, key=lambda one: len(texts[one]) / len(readers[one]))
        self._work.spend(sum(map(len, texts.values())))
        able = self._able(state, name, texts[name])
        if not able:
            return []
        value = able[0]
        alike = look_alikes(state, self._propagation, name, value)
        without, chosen = state.copy(), state
        self._propagation.restrict(without, name, set(able) - alike)
        self._propagation.restrict(chosen, name, {value})
        return [without, chosen]

    def _able(self, state: State, name: str, texts: Sequence[str]) -> list[str]:
        """Those texts of a variable that have as many lines as rules read it."""
        readers = self._propagation.readers(state, name)
        tables = [
            (state.lines[rule], self._propagation.texts(self._propagation.rules[rule].lines, place))
            for rule, place in readers
        ]
        self._work.spend(len(texts) * len(tables))
        return [
            text
            for text in texts
            if united(left & having.get(text, 0) for left, having in tables).bit_count()
            >= len(readers)
        ]

    def _texts(self, state: State, name: str) -> list[str]:
        rule, place = self._propagation.readers(state, name)[0]
        items = self._propagation.items
        return list(dict.fromkeys(items[line][place] for line in each(state.lines[rule])))


def _settled(state: State) -> dict[int, int]:
    return {rule: earliest(lines) for rule, lines in state.lines.items() if is_one(lines)}
