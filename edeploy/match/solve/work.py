"""What an answer may cost: no rules and no report hold up the one who asks."""

from __future__ import annotations

from dataclasses import dataclass

# Steps, about a quarter of a microsecond each: real racks need some thousands.
MOST_WORK = 3_000_000


class GaveUp(Exception):
    """The work allowed for one answer is spent."""


@dataclass
class Work:
    """Steps that are left for one question: counted, not timed, so that the answer to a question
    is the same on any machine at any time.
    """

    left: int = MOST_WORK

    def spend(self, steps: int) -> None:
        """Raises GaveUp."""
        self.left -= steps
        if self.left < 0:
            raise GaveUp
