"""What can still be: the lines left for each rule, and with them the values of variables."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from edeploy.inventory.items import Item
from edeploy.match.language import Specs
from edeploy.match.solve.linesets import each, earliest, is_one, lineset, united
from edeploy.match.solve.work import Work


@dataclass(frozen=True)
class Constraint:
    """A rule for the search: the set of lines that fit, its shared variables and their places."""

    lines: int
    reads: tuple[tuple[int, str], ...]


@dataclass
class State:
    """The lines left for each rule (by index); `lost` are those that others have yet to hear of."""

    lines: dict[int, int]
    lost: dict[int, int]

    def copy(self) -> State:
        """The same, to be narrowed apart."""
        return State(dict(self.lines), dict(self.lost))

    def limit(self, rule: int, lines: int) -> None:
        """Leave only these lines for a rule."""
        gone = self.lines[rule] & ~lines
        if gone:
            self.lines[rule] &= lines
            self.lost[rule] = self.lost.get(rule, 0) | gone


def constraints(specs: Specs, lines: Sequence[Sequence[int]]) -> tuple[Constraint, ...]:
    """The rules as the search wants them; a variable of one rule only constrains nothing."""
    return tuple(
        Constraint(lineset(found), reads) for found, reads in zip(lines, specs.reads, strict=True)
    )


class Propagation:
    """Narrows states of some rules on one report."""

    def __init__(self, rules: Mapping[int, Constraint], items: Sequence[Item], work: Work) -> None:
        self.rules = rules
        self.items = items
        self.work = work
        self._tables: dict[tuple[int, int], dict[str, int]] = {}
        self._readers: dict[str, list[tuple[int, int]]] = {}
        self._takers: dict[int, list[int]] = {}
        for index, rule in rules.items():
            for place, name in rule.reads:
                self._readers.setdefault(name, []).append((index, place))
            for line in each(rule.lines):
                self._takers.setdefault(line, []).append(index)

    def texts(self, lines: int, place: int) -> dict[str, int]:
        """The texts at a place of some lines, each with the lines that have it."""
        table = self._tables.get((lines, place))
        if table is None:
            table = self._tables[lines, place] = {}
            for line in each(lines):
                text = self.items[line][place]
                table[text] = table.get(text, 0) | 1 << line
            self.work.spend(lines.bit_count())
        return table

    def readers(self, state: State, name: str) -> list[tuple[int, int]]:
        """The rules of the state that read a variable, and at which place."""
        return [reader for reader in self._readers[name] if reader[0] in state.lines]

    def undecided(self, state: State, rule: int) -> list[tuple[int, str]]:
        """The variables of a rule that have more than one value left, with their places."""
        lines, own = state.lines[rule], self.rules[rule]
        first = self.items[earliest(lines)]
        return [
            (place, name)
            for place, name in own.reads
            if lines & ~self.texts(own.lines, place)[first[place]]
        ]

    def start(self, lines: dict[int, int]) -> State | None:
        """These lines for these rules, narrowed; None when something has nothing left."""
        state = State(lines, {})
        names = {name for rule in lines for _, name in self.rules[rule].reads}
        for name in names:
            readers = self.readers(state, name)
            offers = [self.texts(lines[rule], place).keys() for rule, place in readers]
            if any(offer != offers[0] for offer in offers):
                self.restrict(state, name, set(offers[0]).intersection(*offers))
        for rule, left in lines.items():
            if is_one(left) and not self._take(state, rule):
                return None
        return state if self.narrow(state) else None

    def restrict(self, state: State, name: str, texts: Collection[str]) -> None:
        """Leave only these texts for a variable."""
        for rule, place in self.readers(state, name):
            self.work.spend(len(texts))
            table = self.texts(self.rules[rule].lines, place)
            state.limit(rule, united(table.get(text, 0) for text in texts))

    def narrow(self, state: State) -> bool:
        """Leave out what cannot be: a text that one rule of a variable lost is no longer any
        rule's, a line that is one rule's last is no other's. False when a rule has no line left.
        """
        while state.lost:
            rule, lost = state.lost.popitem()
            if not self._pass_on(state, rule, lost):
                return False
            if is_one(state.lines[rule]) and not self._take(state, rule):
                return False
        return all(state.lines.values())

    def _pass_on(self, state: State, rule: int, lost: int) -> bool:
        own = self.rules[rule]
        for place, name in own.reads:
            table = self.texts(own.lines, place)
            self.work.spend(lost.bit_count())
            for line in each(lost):
                text = self.items[line][place]
                if state.lines[rule] & table[text]:
                    continue
                self.work.spend(len(self._readers[name]))
                for other, there in self._readers[name]:
                    if other != rule and other in state.lines:
                        gone = self.texts(self.rules[other].lines, there).get(text, 0)
                        state.limit(other, ~gone)
                        if not state.lines[other]:
                            return False
        return state.lines[rule] != 0

    def _take(self, state: State, rule: int) -> bool:
        taken = state.lines[rule]
        self.work.spend(len(self._takers[earliest(taken)]))
        for other in self._takers[earliest(taken)]:
            if other != rule and state.lines.get(other, 0) & taken:
                state.limit(other, ~taken)
                if not state.lines[other]:
                    return False
        return True
