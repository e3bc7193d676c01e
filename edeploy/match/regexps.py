"""Regular expressions of Python in bounded time: no expression and no value holds up a match.

Python's engine tries one way after the other, and `(a+)+$` has 2^n of them in n letters. How many
there are at most can be counted beforehand. Where they are few, that engine does the work. Where
they are not, the same question is put in another way: each step of the expression is tried at each
place of the text once (Thompson 1968), which is slower for good cases and never slow.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field
from functools import cached_property

from edeploy.match.regexp_tree import BadRegexp as BadRegexp
from edeploy.match.regexp_tree import (
    Node,
    Step,
    program,
    size,
    tree,
    ways,
)

LONGEST = 1000
# Ways that Python's engine may try: about a hundredth of a second.
_MOST_WAYS = 1_000_000
_TOO_MANY_WAYS = 1_000_000_000
_WAYS_A_STEP = 20
_COMMON = 100
_LARGEST_PROGRAM = 3000


@dataclass(frozen=True)
class Regexp:
    """An expression, and what it costs to look for it."""

    _pattern: re.Pattern[str]
    _tree: Node
    _known: dict[int, int] = field(default_factory=dict, compare=False)

    def found(self, text: str) -> bool:
        """Whether the expression is found somewhere in a text."""
        if self._is_quick(text) or not self._has_program:
            return self._pattern.search(text) is not None
        return _reaches_end(self._program, text)

    def steps(self, text: str) -> int:
        """What `found` costs at most for this text, a step about a quarter of a microsecond."""
        if self._is_quick(text) or not self._has_program:
            return 1 + self._ways(len(text)) // _WAYS_A_STEP
        return 4 * size(self._tree) * (len(text) + 1)

    @property
    def is_endless(self) -> bool:
        """Whether texts of common length may take for ever."""
        return not self._has_program and self._ways(_COMMON) > _TOO_MANY_WAYS

    def _is_quick(self, text: str) -> bool:
        return self._ways(len(text)) <= _MOST_WAYS

    @cached_property
    def _has_program(self) -> bool:
        return size(self._tree) <= _LARGEST_PROGRAM

    @cached_property
    def _program(self) -> tuple[Step, ...]:
        return program(self._tree)

    def _ways(self, length: int) -> int:
        known = self._known.get(length)
        if known is None:
            # From each place of the text the search begins anew.
            known = self._known[length] = ways(self._tree, length) * (length + 1)
        return known


def compiled(source: str) -> Regexp:
    """The expression that a text is. Raises BadRegexp: no expression, or one that may take long."""
    if len(source) > LONGEST:
        raise BadRegexp(f"is longer than {LONGEST} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `[[`: another meaning is thought of since Python 3.7
            found = Regexp(re.compile(source), tree(source))
    except (re.error, RecursionError, OverflowError) as error:
        raise BadRegexp(f"does not compile: {error}") from error
    if found.is_endless:
        raise BadRegexp("may take for ever: too much is repeated, looked around for or referred to")
    return found


def _reaches_end(steps: tuple[Step, ...], text: str) -> bool:
    """Whether the last step is reached from the first, begun at any place of the text."""
    waiting = [(len(steps) - 1, place) for place in range(len(text) + 1)]
    seen = set(waiting)
    while waiting:
        number, place = waiting.pop()
        step = steps[number]
        if step.is_end:
            return True
        if step.pattern is not None:
            taken = step.pattern.match(text, place)
            if taken is None:
                continue
            place = taken.end()
        for following in step.then:
            if (following, place) not in seen:
                seen.add((following, place))
                waiting.append((following, place))
    return False
