"""Why a report does not meet specs, in words that name the rule, the lines and the field."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from edeploy.inventory.items import Item, Report
from edeploy.match.language import FIELDS, Rule, Specs
from edeploy.match.problems import cut
from edeploy.match.solve.contradictions import contradiction
from edeploy.match.solve.linesets import each
from edeploy.match.solve.pairing import Shortage, pair
from edeploy.match.solve.propagation import Constraint, constraints
from edeploy.match.solve.work import Work

SHOWN = 5
_MANY = 100
_PUZZLE = (
    "no answer: the rules are too much of a puzzle for this report; "
    "say more exactly which devices are meant"
)


@dataclass(frozen=True)
class Failure:
    """What did not match; `unmet` is the first rule that no line meets, if it was that. Else
    `lines` are those that meet each rule alone.
    """

    specs: Specs
    report: Report
    unmet: Rule | None = None
    gave_up: bool = False
    lines: Sequence[Sequence[int]] = ()


@dataclass(frozen=True)
class Reason:
    """Why: in a line, the lines or rules that show it, and the numbers of all rules it is about.

    `more` is how many details there are beyond those given here.
    """

    head: str
    details: tuple[str, ...] = ()
    rules: tuple[int, ...] = ()
    more: int = 0

    def __str__(self) -> str:
        """In one line, the first details only."""
        told = self.told(SHOWN)
        return f"{self.head}: {'; '.join(told)}" if told else self.head

    def told(self, most: int = _MANY) -> tuple[str, ...]:
        """The details, at most so many of them, and then how many there are more."""
        return _with_rest(self.details[:most], len(self.details) + self.more)


def explain(failure: Failure) -> Reason:
    """The smallest honest reason."""
    if failure.gave_up:
        return Reason(_PUZZLE)
    if failure.unmet is not None:
        return _unmet(failure.unmet, failure.report)
    return _contradiction(failure.specs, failure.report, failure.lines)


def _unmet(rule: Rule, report: Report) -> Reason:
    """The lines that fit in type, then key, then id, as far as it goes, and what fails there."""
    lines: Sequence[Item] = report.items
    places = [(0, ()), (2, (0,)), (1, (0, 2))]
    if rule.indexed is not None:
        kind, key = rule.indexed
        if kind not in report.keys:
            return _absent(rule, 0, (), list(report.keys))
        if key not in report.keys[kind]:
            return _absent(rule, 2, (0,), report.keys[kind])
        lines = [report.items[number] for number in report.lines[rule.indexed]]
        places = places[2:]
    for place, known in places:
        field = rule.fields[place]
        if field.literal is not None or field.condition is not None:
            kept = [item for item in lines if field.fits(item[place])]
            if not kept:
                return _absent(rule, place, known, list({item[place]: 0 for item in lines}))
            lines = kept
    field = rule.fields[3]
    wrong = [item for item in lines if not field.fits(item.value)]
    if not wrong:
        return _cannot(rule, ["in no line is a variable one text wherever it stands"])
    told = [f"{_line(item)} {cut(field.told(item.value))}" for item in wrong[:_MANY]]
    return _cannot(rule, told, len(wrong) - len(told))


def _cannot(rule: Rule, details: Sequence[str], more: int = 0) -> Reason:
    return Reason(f"{rule} cannot be met", tuple(details), (rule.number,), more)


def _absent(rule: Rule, place: int, known: Sequence[int], there: Sequence[str]) -> Reason:
    """No line has what the rule wants at a place; `there` is what lines have instead."""
    wanted = rule.fields[place].source
    among = " and ".join(f"{FIELDS[i]} {cut(rule.fields[i].source)}" for i in known)
    where = f"no line of {among}" if among else "no line"
    # What begins like it is perhaps what was meant.
    near = sorted(there, key=lambda text: text[:3].lower() != wanted[:3].lower())
    has = f"{where} has the {FIELDS[place]} {cut(wanted)}"
    return _cannot(rule, [f"{has} (there is {_some(near) or 'nothing'})"])


def _contradiction(specs: Specs, report: Report, lines: Sequence[Sequence[int]]) -> Reason:
    """Each rule can be met, all together cannot: a smallest set of them that shows it."""
    table = constraints(specs, lines)
    short = pair([constraint.lines for constraint in table], Work())
    if isinstance(short, Shortage):
        return _shortage(specs, report, short)
    found = contradiction(dict(enumerate(table)), report.items)
    perhaps = "" if found.smallest else " (perhaps fewer of them do)"
    if len(found.patterns) == 1:
        rules = found.patterns[0]
        told = [f"{specs.rules[i]} {_offer(table[i], report)}" for i in rules[:_MANY]]
        head = f"{len(rules)} rules contradict each other{perhaps}"
        return Reason(head, tuple(told), _numbers([rules]), len(rules) - len(told))
    head = f"{len(found.patterns)} sets of rules need lines of their own, and not all can have them"
    return _about(head + perhaps, specs, found.patterns)


def _shortage(specs: Specs, report: Report, short: Shortage) -> Reason:
    """More rules than lines."""
    lines = [_line(report.items[line]) for line in islice(each(short.lines), SHOWN)]
    count = short.lines.bit_count()
    head = f"{len(short.takers)} rules need a line each, and {count} fit"
    there = ", ".join(_with_rest(lines, count))
    return _about(f"{head} ({there})", specs, [(taker,) for taker in sorted(short.takers)])


def _about(head: str, specs: Specs, sets: Sequence[tuple[int, ...]]) -> Reason:
    """A reason of sets of rules, those told together that differ in names of variables only."""
    groups: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for rules in sets:
        groups.setdefault(tuple(specs.shapes[rule] for rule in rules), []).append(rules)
    told = []
    for members in islice(groups.values(), _MANY):
        first = ", ".join(str(specs.rules[rule]) for rule in members[0])
        others = [" and ".join(str(rule + 1) for rule in rules) for rules in members[1:]]
        it = "it" if len(members[0]) == 1 else "them"
        told.append(first + (f"; like {it}: {_some(others)}" if others else ""))
    return Reason(head, tuple(told), _numbers(sets), len(groups) - len(told))


def _numbers(sets: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(rule + 1 for rule in sorted(chain.from_iterable(sets)))


def _offer(constraint: Constraint, report: Report) -> str:
    """What a rule leaves: values of its one shared variable, or lines."""
    if len(constraint.reads) == 1:
        place, name = constraint.reads[0]
        values = dict.fromkeys(report.items[line][place] for line in each(constraint.lines))
        return f"leaves for ${name}: {_some(list(values))}"
    return f"leaves {_some([_line(report.items[line]) for line in each(constraint.lines)])}"


def _line(item: Item) -> str:
    return " ".join(map(cut, item))


def _some(values: Sequence[str]) -> str:
    return ", ".join(_with_rest([cut(value) for value in values[:SHOWN]], len(values)))


def _with_rest(told: Sequence[str], count: int) -> tuple[str, ...]:
    """The first of many, and how many more there are."""
    return (*told, f"and {count - len(told)} more") if count > len(told) else tuple(told)
