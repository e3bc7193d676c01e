"""A stage of a test: what is measured in one go, how long it may take, or why it is left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from edeploy.node.bench.programs import Bench
from edeploy.node.bench.results import Outcome, Part

# Programs take this long to begin and to end on a slow machine.
OVERHEAD = 2.0
# And this much longer than that before they count as hanging.
GRACE = 20.0


@dataclass(frozen=True)
class Stage:
    """One thing to measure. `seconds` is how long it takes in all; `work` gets the number of the
    run; `patience` is how long it may take. With `late` it comes after all others of its run."""

    name: str
    part: Part
    seconds: float
    work: Callable[[Bench, int], Outcome]
    extra_patience: float = 0.0
    late: bool = False
    grace: float = GRACE

    @property
    def patience(self) -> float:
        """Seconds after which the stage is ended and counts as missing."""
        return 1.5 * self.seconds + self.grace + self.extra_patience


@dataclass(frozen=True)
class LeftOut:
    """A stage that this machine, or this test, does not have."""

    name: str
    part: Part
    reason: str
