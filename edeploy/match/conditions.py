"""Conditions written as text, `and(gt(4), not(in(8, 9)))`, to something that answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from edeploy.match.functions import JOINTS, NAMES, Leaf, SpecError, build, equal
from edeploy.match.problems import cut
from edeploy.match.regexps import LONGEST

_CALL = re.compile(r"([a-z]+)\(")
_BLANKS = re.compile(r"\s*")
_PLAIN = re.compile(r"[^(),]+")
# A step through a regular expression: an escape, a class (its first `]` is literal), a character.
_REGEXP_STEP = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", re.DOTALL)
_QUOTED_REGEXP = re.compile(r"\s*(?:\"[^\"]*\"|'[^']*')\s*\)")


@dataclass(frozen=True)
class Joint:
    """`and`, `or`, `not` over the last `count` answers."""

    name: str
    count: int


@dataclass(frozen=True)
class Condition:
    """A condition of any depth, as steps in postfix order: no depth can exhaust the stack."""

    source: str
    steps: tuple[Leaf | Joint, ...]

    def holds(self, value: str) -> bool:
        """Whether the value meets it."""
        if len(self.steps) == 1 and isinstance(self.steps[0], Leaf):
            return self.steps[0].holds(value)
        answers: list[bool] = []
        for step in self.steps:
            if isinstance(step, Leaf):
                answers.append(step.holds(value))
                continue
            last = answers[-step.count :]
            del answers[-step.count :]
            answers.append(_join(step.name, last))
        return answers[0]

    def told(self, value: str) -> str:
        """What decides about a value: `is not < 9`, for `and(gt(1), lt(9))` and 12."""
        answers: list[tuple[bool, str]] = []
        for step in self.steps:
            if isinstance(step, Leaf):
                answers.append((step.holds(value), step.told(value)))
                continue
            last = answers[-step.count :]
            del answers[-step.count :]
            holds = _join(step.name, [answer for answer, _ in last])
            if step.name != "not":
                last = [one for one in last if one[0] == holds]
            answers.append((holds, " and ".join(dict.fromkeys(told for _, told in last))))
        return answers[0][1]

    @cached_property
    def costs(self) -> bool:
        """Whether asking about a value costs more than next to nothing."""
        return len(self.steps) > 1 or bool(self._slow)

    @cached_property
    def _slow(self) -> tuple[Callable[[str], int], ...]:
        return tuple(
            step.steps for step in self.steps if isinstance(step, Leaf) and step.steps is not None
        )

    def cost(self, value: str) -> int:
        """What `holds` costs at most, a step about a quarter of a microsecond."""
        return len(self.steps) + sum(steps(value) for steps in self._slow)


def parse_condition(text: str) -> Condition | None:
    """The condition that a text is; None when it is no call of a known function.

    Raises SpecError for a known function with wrong arguments.
    """
    call = _CALL.match(text)
    if call is None or call[1] not in NAMES or not text.endswith(")"):
        return None
    return Condition(text, tuple(_Parser(text).steps()))


def plain(text: str) -> Condition:
    """The condition that a value is this text."""
    return Condition(text, (equal(text),))


def _join(name: str, answers: list[bool]) -> bool:
    if name == "not":
        return not answers[0]
    return all(answers) if name == "and" else any(answers)


class _Parser:
    """Reads one call from left to right; open `and`, `or`, `not` wait on a stack of their own."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._open: list[tuple[str, int]] = []  # name, arguments so far
        self._steps: list[Leaf | Joint] = []

    def steps(self) -> list[Leaf | Joint]:
        self._argument()
        while self._open:
            self._separator()
        if self._at != len(self._text):
            raise SpecError(f"{cut(self._text[self._at :])!r} after the last parenthesis")
        return self._steps

    def _argument(self) -> None:
        """One argument of what is open: a call, or text that the value must be."""
        name = self._call()
        while name in JOINTS:  # a loop: `not(not(not(…` of any length is no recursion
            self._open.append((name, 1))
            name = self._call()
        if not name:
            self._steps.append(equal(self._word()))
        elif name == "regexp":
            self._steps.append(build(name, [self._regexp()]))
        else:
            self._steps.append(build(name, self._words()))

    def _call(self) -> str:
        """The name of the function whose call begins here, which is read; else empty text."""
        self._skip_blanks()
        call = _CALL.match(self._text, self._at)
        if call is None or call[1] not in NAMES:
            return ""
        self._at = call.end()
        return call[1]

    def _separator(self) -> None:
        """After an argument: the next one, or the end of the call."""
        self._skip_blanks()
        mark = self._text[self._at : self._at + 1]
        self._at += 1
        name, count = self._open.pop()
        if mark == ",":
            self._open.append((name, count + 1))
            self._argument()
            return
        if mark != ")":
            raise SpecError(f"{name}( is not closed")
        least, most = JOINTS[name]
        if not least <= count <= most:
            raise SpecError(f"{name}() takes {least} argument(s), not {count}")
        self._steps.append(Joint(name, count))

    def _words(self) -> list[str]:
        """The arguments up to the closing parenthesis, which is read too."""
        self._skip_blanks()
        if self._text.startswith(")", self._at):
            self._at += 1
            return []
        words = [self._word()]
        while self._text.startswith(",", self._at):
            self._at += 1
            self._skip_blanks()
            words.append(self._word())
        if not self._text.startswith(")", self._at):
            raise SpecError("a parenthesis is not closed")
        self._at += 1
        return words

    def _word(self) -> str:
        quote = self._text[self._at : self._at + 1]
        return self._quoted(quote) if quote in ('"', "'") and quote else self._unquoted()

    def _quoted(self, quote: str) -> str:
        end = self._text.find(quote, self._at + 1)
        if end < 0:
            raise SpecError(f"the quote {quote} is not closed")
        word = self._text[self._at + 1 : end]
        self._at = end + 1
        self._skip_blanks()
        if self._text[self._at : self._at + 1] not in (",", ")"):
            raise SpecError(f"a comma is missing after {quote}{cut(word)}{quote}")
        return word

    def _unquoted(self) -> str:
        """Text up to a comma or parenthesis; parentheses in it come in pairs."""
        start, depth = self._at, 0
        while self._at < len(self._text):
            mark = self._text[self._at]
            if depth == 0 and mark in ",)":
                word = self._text[start : self._at].strip()
                if not word:
                    raise SpecError("an argument is empty; write '' for empty text")
                return word
            depth += (mark == "(") - (mark == ")")
            run = _PLAIN.match(self._text, self._at)
            self._at = run.end() if run else self._at + 1
        raise SpecError("a parenthesis is not closed")

    def _regexp(self) -> str:
        """The raw pattern; commas, quotes and pairs of parentheses in it are its own."""
        start = self._at
        end = self._regexp_end(start)
        if not self._open and end != len(self._text) - 1:
            end = len(self._text) - 1  # alone in the field: all up to the last parenthesis
        if end < 0:
            raise SpecError("regexp( is not closed")
        self._at = end + 1
        pattern = self._text[start:end].strip()
        if len(pattern) > 1 and pattern[0] == pattern[-1] and pattern[0] in "\"'":
            return pattern[1:-1]
        return pattern

    def _regexp_end(self, start: int) -> int:
        quoted = _QUOTED_REGEXP.match(self._text, start)
        if quoted:
            return quoted.end() - 1
        depth, at = 0, start
        # A look at the next letters only: a text full of `[` would be read again from each.
        end = min(len(self._text), start + LONGEST + 2)
        while at < end:
            step = _REGEXP_STEP.match(self._text, at, end)
            assert step is not None  # noqa: S101  (the last branch takes any character)
            if step[0] == ")" and depth == 0:
                return at
            depth += (step[0] == "(") - (step[0] == ")")
            at = step.end()
        if end < len(self._text):
            raise SpecError(f"regexp() is not closed within {LONGEST} characters")
        return -1

    def _skip_blanks(self) -> None:
        blanks = _BLANKS.match(self._text, self._at)
        self._at = blanks.end() if blanks else self._at
