"""What a regular expression is made of: how many ways there are through it, and its single steps.

Python's own parser reads it (private to `re`, but the only one that reads just what Python does;
the tests notice when it changes).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from re import _compiler, _parser  # type: ignore[attr-defined]
from typing import Protocol, cast, overload

# More than can ever be waited for.
ENDLESS = 10**12
_DEEPEST = 50
_LONG = 1000
_WAYS_A_STEP = 20

# Read one character, or look at the borders of one; all else refers to what was found before.
_SIMPLE = frozenset(["LITERAL", "NOT_LITERAL", "ANY", "IN", "AT"])


class _Parsed(Protocol):
    """`re._parser.SubPattern`: a list of (opcode, value)."""

    def __len__(self) -> int: ...

    @overload
    def __getitem__(self, index: int) -> tuple[object, object]: ...

    @overload
    def __getitem__(self, index: slice) -> _Parsed: ...

    def append(self, code: tuple[object, object]) -> None: ...


# Of the groups around, from the outermost: flags switched on and off in it.
_Flags = tuple[tuple[int, int], ...]


class BadRegexp(ValueError):
    """An expression that cannot be used."""


@dataclass(frozen=True)
class Once:
    """What is tried as a whole: a character, a border, a look around; `inner` is tried within."""

    parsed: _Parsed
    inner: Node | None = None
    refers: bool = False


@dataclass(frozen=True)
class Chain:
    """One after the other."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Choice:
    """One of several."""

    options: tuple[Node, ...]


@dataclass(frozen=True)
class Repeat:
    """From `least` to `most` times (None: any number)."""

    least: int
    most: int | None
    body: Node


Node = Once | Chain | Choice | Repeat


@dataclass(frozen=True)
class Step:
    """What is tried at a place of the text (None: nothing), and the numbers of the steps then."""

    pattern: re.Pattern[str] | None
    then: tuple[int, ...]

    @property
    def is_end(self) -> bool:
        """Whether the whole expression has been found."""
        return not self.then


def tree(source: str) -> Node:
    """The expression that a text is. Raises re.error, BadRegexp."""
    return _chain(_parser.parse(source), (), 0)


def ways(node: Node, length: int) -> int:
    """How many ways through the expression there are at most in a text, ENDLESS at most."""
    if isinstance(node, Once):
        return ways(node.inner, length) if node.inner else 1
    if isinstance(node, Chain):
        product = 1
        for part in node.parts:
            product *= ways(part, length)
        return min(product, ENDLESS)
    if isinstance(node, Choice):
        return min(sum(ways(option, length) for option in node.options), ENDLESS)
    most = max(length if node.most is None else min(node.most, length), node.least)
    each = ways(node.body, length)
    if each == 1:
        return most - node.least + 1
    return ENDLESS if most > ENDLESS.bit_length() else min(each ** (most + 1), ENDLESS)


def size(node: Node) -> int:
    """How many steps the expression has as a program, ENDLESS for one that cannot be put so."""
    if isinstance(node, Once):
        if node.refers or (node.inner and size(node.inner) == ENDLESS):
            return ENDLESS
        return 1 + ways(node.inner, _LONG) // _WAYS_A_STEP if node.inner else 1
    if isinstance(node, Chain):
        return min(sum(map(size, node.parts)), ENDLESS)
    if isinstance(node, Choice):
        return min(1 + sum(map(size, node.options)), ENDLESS)
    copies = node.least + 1 if node.most is None else node.most
    return min((size(node.body) + 1) * copies, ENDLESS)


def program(node: Node) -> tuple[Step, ...]:
    """The steps of an expression: the first is the end, the last is where to begin."""
    steps = [Step(None, ())]
    begin = _emit(node, 0, steps)
    return (*steps, Step(None, (begin,)))


def _emit(node: Node, then: int, steps: list[Step]) -> int:
    """Add the steps of a node that go on with step `then`; the number of its first."""
    if isinstance(node, Once):
        return _added(Step(_compiler.compile(node.parsed), (then,)), steps)
    if isinstance(node, Chain):
        for part in reversed(node.parts):
            then = _emit(part, then, steps)
        return then
    if isinstance(node, Choice):
        return _added(Step(None, tuple(_emit(one, then, steps) for one in node.options)), steps)
    first = then
    if node.most is None:
        first = _added(Step(None, (then,)), steps)
        steps[first] = Step(None, (_emit(node.body, first, steps), then))
    else:
        for _ in range(node.most - node.least):
            first = _added(Step(None, (_emit(node.body, first, steps), then)), steps)
    for _ in range(node.least):
        first = _emit(node.body, first, steps)
    return first


def _added(step: Step, steps: list[Step]) -> int:
    steps.append(step)
    return len(steps) - 1


def _chain(parsed: _Parsed, flags: _Flags, depth: int) -> Chain:
    if depth > _DEEPEST:
        raise BadRegexp("is nested too deeply")
    return Chain(tuple(_node(parsed, position, flags, depth) for position in range(len(parsed))))


def _node(parsed: _Parsed, position: int, flags: _Flags, depth: int) -> Node:
    """The part of what was parsed at a position; `flags` are those of the groups around it."""
    kind, value = str(parsed[position][0]), parsed[position][1]
    inner = depth + 1
    if kind == "SUBPATTERN":
        _, on, off, body = cast(tuple[object, int, int, _Parsed], value)
        return _chain(body, (*flags, (on, off)) if on or off else flags, inner)
    if kind == "BRANCH":
        options = cast(tuple[None, list[_Parsed]], value)[1]
        return Choice(tuple(_chain(option, flags, inner) for option in options))
    if kind in ("MAX_REPEAT", "MIN_REPEAT"):
        return _repeat(value, flags, inner)
    whole = _alone(parsed, position, flags)
    if kind == "POSSESSIVE_REPEAT":
        return Once(whole, _repeat(value, flags, inner))
    if kind in ("ASSERT", "ASSERT_NOT"):
        return Once(whole, _chain(cast(tuple[int, _Parsed], value)[1], flags, inner))
    if kind == "ATOMIC_GROUP":
        return Once(whole, _chain(cast(_Parsed, value), flags, inner))
    return Once(whole, refers=kind not in _SIMPLE)


def _repeat(value: object, flags: _Flags, depth: int) -> Repeat:
    least, most, body = cast(tuple[int, int, _Parsed], value)
    return Repeat(least, None if most == _parser.MAXREPEAT else most, _chain(body, flags, depth))


def _alone(parsed: _Parsed, position: int, flags: _Flags) -> _Parsed:
    """One part as an expression of its own, in the groups that set flags for it."""
    alone = parsed[position : position + 1]
    for on, off in reversed(flags):
        around = parsed[0:0]
        around.append((_parser.SUBPATTERN, (None, on, off, alone)))
        alone = around
    return alone
