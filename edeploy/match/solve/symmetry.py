"""Which patterns of rules, and which devices of a report, can stand for one another.

A pattern is a set of rules tied by variables that are not decided yet: the three rules of one
network card. Patterns are of one kind when they differ in the names of variables only. A cluster
is a set of lines that such variables tie together: the lines of one card, or of a switch with its
cards. Clusters are of one kind when they differ in names only. Every pattern lies in one cluster,
and clusters have no line in common, so a puzzle over 64 cards falls into small equal ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edeploy.inventory.items import Item
from edeploy.match.solve.linesets import each, is_one, merged, united
from edeploy.match.solve.propagation import Propagation, State


@dataclass(frozen=True)
class Role:
    """What a rule is in its pattern: its lines, and what is read: (place, number of variable)."""

    lines: int
    reads: tuple[tuple[int, int], ...]


# Steps of work, about: a rule in its pattern, a line in its cluster.
_PATTERN, _FORM = 20, 10

# The roles of a pattern's rules. Patterns of one kind have equal ones.
Roles = tuple[Role, ...]


@dataclass(frozen=True)
class Pattern:
    """Rules tied by undecided variables, in the order of the roles of their kind."""

    kind: int
    rules: tuple[int, ...]

    @property
    def first(self) -> int:
        """The earliest rule."""
        return min(self.rules)


@dataclass(frozen=True)
class Cluster:
    """Lines tied by undecided variables, as a set, and in an order in which two clusters of one
    kind correspond line by line.
    """

    kind: int
    lines: int
    ordered: tuple[int, ...]


def patterns(state: State, propagation: Propagation) -> tuple[list[Pattern], list[Roles]]:
    """All patterns in the order of their first rules, and the roles of each kind.

    Rules with one line left are settled and in no pattern.
    """
    undecided = {
        rule: propagation.undecided(state, rule)
        for rule, lines in state.lines.items()
        if not is_one(lines)
    }
    propagation.work.spend(_PATTERN * len(undecided))
    return grouped(state.lines, undecided)


def grouped(
    lines: Mapping[int, int], reads: Mapping[int, Sequence[tuple[int, str]]]
) -> tuple[list[Pattern], list[Roles]]:
    """The rules of `reads` in patterns tied by what they read: (place, variable)."""
    tied: dict[str, int] = {}
    for rule, own in reads.items():
        for _, name in own:
            tied[name] = tied.get(name, 0) | 1 << rule
    kinds: dict[Roles, int] = {}
    found = []
    for group in merged([*tied.values(), *(1 << rule for rule in reads)]):
        # Any order that does not depend on names will do; this one puts equal patterns in step.
        ordered = sorted(each(group), key=lambda rule: (lines[rule], [p for p, _ in reads[rule]]))
        roles = _roles(ordered, lines, reads)
        found.append(Pattern(kinds.setdefault(roles, len(kinds)), tuple(ordered)))
    return found, list(kinds)


def clusters(kinds: Sequence[Roles], propagation: Propagation) -> list[Cluster]:
    """All clusters, in the order of their first lines."""
    read_at = _read_at(role for roles in kinds for role in roles)
    having: dict[str, int] = {}
    for place, lines in read_at.items():
        for text, ones in propagation.texts(lines, place).items():
            having[text] = having.get(text, 0) | ones
    everything = united(role.lines for roles in kinds for role in roles)
    alone = everything & ~united(read_at.values())
    found = merged([*having.values(), *(1 << line for line in each(alone))])
    if len(found) == 1:
        return [Cluster(0, found[0], tuple(each(found[0])))]
    propagation.work.spend(sum(role.lines.bit_count() for roles in kinds for role in roles))
    propagation.work.spend(_FORM * everything.bit_count())
    serves = _serves(kinds)
    forms: dict[object, int] = {}
    result = []
    for lines in found:
        form, ordered = _form(lines, serves, _texts(lines, read_at, propagation.items))
        result.append(Cluster(forms.setdefault(form, len(forms)), lines, ordered))
    return result


def look_alikes(state: State, propagation: Propagation, name: str, text: str) -> set[str]:
    """The texts left for a variable that can change places with `text` without any change."""
    roles = [
        Role(lines, tuple((place, 0) for place, _ in propagation.undecided(state, rule)))
        for rule, lines in state.lines.items()
    ]
    propagation.work.spend(_FORM * sum(role.lines.bit_count() for role in roles))
    serves = _serves([tuple(roles)])
    marks: dict[str, list[tuple[int, list[tuple[bool, str]]]]] = {}
    texts = _texts(united(state.lines.values()), _read_at(roles), propagation.items)
    for line, read in texts.items():
        for own in set(read):
            others = [(other == own, "" if other == own else other) for other in read]
            marks.setdefault(own, []).append((serves[line], others))
    rule, place = propagation.readers(state, name)[0]
    left = {propagation.items[line][place] for line in each(state.lines[rule])}
    wanted = sorted(marks[text])
    return {other for other in left if sorted(marks[other]) == wanted}


def _roles(
    rules: Sequence[int], lines: Mapping[int, int], reads: Mapping[int, Sequence[tuple[int, str]]]
) -> Roles:
    """What rules are, their variables numbered as they come."""
    number_of: dict[str, int] = {}
    return tuple(
        Role(
            lines[rule],
            tuple((place, number_of.setdefault(n, len(number_of))) for place, n in reads[rule]),
        )
        for rule in rules
    )


def _read_at(roles: Iterable[Role]) -> dict[int, int]:
    """For each place the lines that are read there."""
    read_at: dict[int, int] = {}
    for role in roles:
        for place, _ in role.reads:
            read_at[place] = read_at.get(place, 0) | role.lines
    return dict(sorted(read_at.items()))


def _texts(lines: int, read_at: dict[int, int], items: Sequence[Item]) -> dict[int, list[str]]:
    """What is read in each line."""
    return {
        line: [items[line][place] for place, there in read_at.items() if there >> line & 1]
        for line in each(lines)
    }


def _serves(kinds: Sequence[Roles]) -> dict[int, int]:
    """For each line the roles that it can play, as bits."""
    serves: dict[int, int] = {}
    bit = 1
    for roles in kinds:
        for role in roles:
            for line in each(role.lines):
                serves[line] = serves.get(line, 0) | bit
            bit <<= 1
    return serves


def _form(
    lines: int, serves: dict[int, int], texts: dict[int, list[str]]
) -> tuple[object, tuple[int, ...]]:
    """What a cluster is but for its names, and its lines in the order in which that tells them.

    Names are numbered by what they do, then by where they come first: two clusters of equal form
    have the same lines in the same order but for a renaming (the reverse need not hold).
    """
    marks: dict[str, list[tuple[int, int]]] = {}
    for line in each(lines):
        for position, text in enumerate(texts[line]):
            marks.setdefault(text, []).append((serves[line], position))
    by_use = sorted(marks, key=lambda text: sorted(marks[text]))
    number_of = {text: number for number, text in enumerate(by_use)}
    told = sorted(
        (serves[line], [number_of[text] for text in texts[line]], line) for line in each(lines)
    )
    form = tuple((roles, tuple(numbers)) for roles, numbers, _ in told)
    return form, tuple(line for _, _, line in told)
