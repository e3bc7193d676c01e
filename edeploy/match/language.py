"""Specs: the rules that a machine's report must meet, as 4-tuples of fields."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from edeploy.inventory.items import Item, Report
from edeploy.match.conditions import Condition, parse_condition, plain
from edeploy.match.functions import SpecError
from edeploy.match.literals import Literal, read_literal
from edeploy.match.problems import BadFile, Problem, cut
from edeploy.match.solve.work import GaveUp, Work

FIELDS = ("type", "id", "key", "value")
_FORM = "Specs are a list of 4-tuples: ('disk', '$disk', 'size', 'gt(10)')."


# What it cost to find (in steps of work), and the lines of the report.
Answer = tuple[int, list[int]]


@dataclass(frozen=True)
class Field:
    """One field of a rule: text that must be equal, a condition, a variable, or the last two.

    `variable` is the name without `$`; `is_key` when it was written `$$`.
    """

    source: str
    literal: str | None = None
    condition: Condition | None = None
    variable: str | None = None
    is_key: bool = False

    def fits(self, text: str) -> bool:
        """Whether a text meets this field, whatever its variable is bound to."""
        if self.literal is not None:
            return text == self.literal
        return self.condition is None or self.condition.holds(text)

    def told(self, text: str) -> str:
        """What decides about a text: `is not > 300`."""
        return self.condition.told(text) if self.condition else f"is not {self.literal}"


@dataclass(frozen=True)
class Rule:
    """One row of specs; `number` counts from 1."""

    number: int
    fields: tuple[Field, ...]

    def __str__(self) -> str:
        return self._text

    @cached_property
    def _text(self) -> str:
        return f"rule {self.number} ({', '.join(repr(cut(field.source)) for field in self.fields)})"

    @cached_property
    def variables(self) -> tuple[tuple[int, str], ...]:
        """The place (0 to 3) and name of each variable."""
        return tuple((i, f.variable) for i, f in enumerate(self.fields) if f.variable is not None)

    @cached_property
    def shape(self) -> object:
        """What the rule is but for the names of its variables."""
        number_of: dict[str, int] = {}
        return tuple(
            (
                field.literal,
                field.condition.source if field.condition else None,
                number_of.setdefault(field.variable, len(number_of))
                if field.variable is not None
                else None,
            )
            for field in self.fields
        )

    @cached_property
    def _once(self) -> bool:
        return len({name for _, name in self.variables}) == len(self.variables)

    @cached_property
    def _checked(self) -> tuple[int, ...]:
        """The places to look at, those that the report's index has answered left out."""
        needed = [i for i, f in enumerate(self.fields) if f.literal is not None or f.condition]
        return tuple(i for i in needed if self.indexed is None or i not in (0, 2))

    @cached_property
    def indexed(self) -> tuple[str, str] | None:
        """The type and key, when both are plain text: the report has an index of these."""
        kind, key = self.fields[0].literal, self.fields[2].literal
        return (kind, key) if kind is not None and key is not None else None

    @cached_property
    def _costly(self) -> tuple[tuple[int, Condition], ...]:
        return tuple(
            (place, field.condition)
            for place, field in enumerate(self.fields)
            if field.condition is not None and field.condition.costs
        )

    @cached_property
    def question(self) -> str:
        """What the rule asks of a report, but for the names of its variables."""
        # Interned: hundreds of profiles ask the same, and are told apart by address then.
        return sys.intern(repr(self.shape))

    def answer(self, report: Report, most: int) -> Answer:
        """The lines of the report that meet this rule taken alone: ascending indexes.

        The report remembers them: profiles of one shop have most rules in common. Raises GaveUp
        when it costs more than `most` steps.
        """
        lines: Sequence[int] = range(len(report.items))
        if self.indexed is not None:
            lines = report.lines.get(self.indexed, ())
        items = report.items
        cost = len(lines)
        for place, condition in self._costly:
            cost += sum(condition.cost(items[line][place]) for line in lines)
        if cost > most:
            raise GaveUp
        for place in self._checked:
            fits = self.fields[place].fits
            lines = [line for line in lines if fits(items[line][place])]
        found = [line for line in lines if self._once or self.agrees(items[line])]
        report.answered[self.question] = cost, found
        return cost, found

    def agrees(self, item: Item) -> bool:
        """Whether a variable that stands here more than once has one value."""
        bound: dict[str, str] = {}
        return all(bound.setdefault(name, item[i]) == item[i] for i, name in self.variables)


@dataclass(frozen=True)
class Specs:
    """All rules of a profile; every one must be met, each by a line of its own."""

    rules: tuple[Rule, ...]

    @cached_property
    def shared(self) -> frozenset[str]:
        """The variables that stand in more than one rule: only these tie rules together."""
        seen: set[str] = set()
        twice: set[str] = set()
        for rule in self.rules:
            names = {name for _, name in rule.variables}
            twice |= names & seen
            seen |= names
        return frozenset(twice)

    @cached_property
    def questions(self) -> tuple[tuple[str, Rule], ...]:
        """What there is to ask of a report, each with the first rule that asks it."""
        found: dict[str, Rule] = {}
        for rule in self.rules:
            found.setdefault(rule.question, rule)
        return tuple(found.items())

    @cached_property
    def reads(self) -> tuple[tuple[tuple[int, str], ...], ...]:
        """For each rule the place and name of its shared variables, each name once."""
        found = []
        for rule in self.rules:
            place_of = {name: place for place, name in rule.variables if name in self.shared}
            found.append(tuple((place, name) for name, place in place_of.items()))
        return tuple(found)

    @cached_property
    def shapes(self) -> tuple[int, ...]:
        """For each rule a number; rules of one number differ in the names of variables only."""
        numbers: dict[object, int] = {}
        return tuple(numbers.setdefault(rule.shape, len(numbers)) for rule in self.rules)

    @cached_property
    def keys(self) -> frozenset[str]:
        """The variables written `$$`: the CMDB entry is chosen by them."""
        fields = [field for rule in self.rules for field in rule.fields]
        return frozenset(f.variable for f in fields if f.is_key and f.variable is not None)


def candidates(specs: Specs, report: Report, work: Work) -> list[list[int]] | Rule:
    """For each rule the lines that meet it taken alone; or the first rule that no line meets.

    What an answer costs is counted every time, so that what was asked of the report before
    changes nothing. Raises GaveUp.
    """
    answered, left = report.answered, work.left
    for question, rule in specs.questions:
        cost, found = answered.get(question) or rule.answer(report, left)
        left -= cost
        if left < 0:
            raise GaveUp
        if not found:
            return rule
    work.left = left
    return [answered[rule.question][1] for rule in specs.rules]


def parse_field(text: str) -> Field:
    """The field that a text is. Raises SpecError."""
    if not text.startswith("$"):
        condition = parse_condition(text)
        return Field(text, condition=condition) if condition else Field(text, literal=text)
    head, equals, tail = text.partition("=")
    is_key = head.startswith("$$")
    name = head[2:] if is_key else head[1:]
    if not name or name.startswith("$"):
        raise SpecError(f"{cut(text)!r}: a variable is $name or $$name")
    condition = (parse_condition(tail) or plain(tail)) if equals else None
    return Field(text, condition=condition, variable=name, is_key=is_key)


def read_specs(path: Path) -> Specs:
    """The specs in a file. Raises BadFile, with every wrong row and its place."""
    return specs_of(read_literal(path))


def specs_of(literal: Literal) -> Specs:
    """The specs that a literal is. Raises BadFile, with every wrong row and its place."""
    problems: list[Problem] = []
    rules: list[Rule] = []
    if not literal.is_sequence:
        raise BadFile([literal.problem("specs are a list of 4-tuples")], _FORM)
    for number, row in enumerate(literal.parts(), 1):
        try:
            rules.append(_rule(row, number))
        except BadFile as error:
            problems += error.problems
    if problems:
        raise BadFile(problems, _FORM)
    return Specs(tuple(rules))


def parse_specs(rows: Sequence[Sequence[object]]) -> Specs:
    """The specs in plain data: rows of 4 texts or numbers. Raises BadFile (line is the row)."""
    rules: list[Rule] = []
    for number, row in enumerate(rows, 1):
        if len(row) != len(FIELDS):
            message = f"{len(row)} items instead of 4"
            raise BadFile([Problem(Path("specs"), number, 1, message)], _FORM)
        try:
            rules.append(Rule(number, tuple(parse_field(_text(value)) for value in row)))
        except SpecError as error:
            raise BadFile([Problem(Path("specs"), number, 1, str(error))], _FORM) from error
    return Specs(tuple(rules))


def _rule(row: Literal, number: int) -> Rule:
    value = row.value
    if not isinstance(value, (list, tuple)):
        raise BadFile([row.problem(f"a {type(value).__name__} where a row of 4 belongs")])
    if len(value) != len(FIELDS):
        hint = "; a comma may be missing" if len(value) < len(FIELDS) else ""
        raise BadFile([row.problem(f"{len(value)} items instead of 4{hint}")])
    fields, problems = [], []
    for part in row.parts():
        try:
            fields.append(parse_field(_text(part.value)))
        except SpecError as error:
            problems.append(part.problem(str(error)))
    if problems:
        raise BadFile(problems)
    return Rule(number, tuple(fields))


def _text(value: object) -> str:
    if not isinstance(value, (str, int, float)):
        raise SpecError(f"a {type(value).__name__} where text or a number belongs")
    return str(value)
