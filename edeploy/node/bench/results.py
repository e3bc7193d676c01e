"""What a test found out, and the document that it becomes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

SCHEMA = 1
MOST_SAMPLES = 3600
MOST_LINES = 200


class Part(Enum):
    """The part of a machine that a stage is about; the first word of its name."""

    CPU = "cpu"
    MEMORY = "memory"
    DISK = "disk"
    NETWORK = "network"
    OTHER = "other"


@dataclass(frozen=True)
class Result:
    """One value of one metric, with its samples, a second apart."""

    metric: str
    unit: str
    value: float
    samples: tuple[float, ...] = ()
    better: str = "higher"

    @property
    def usable(self) -> bool:
        """Whether it is a figure that machines can be compared by."""
        return 0 < self.value < math.inf


@dataclass(frozen=True)
class Written:
    """What a test may have overwritten: of which disk, from which byte on, how many bytes."""

    serial: str
    first_byte: int
    bytes: int


@dataclass(frozen=True)
class Outcome:
    """What a stage that went to its end gave. `errors` are hard: wrong results."""

    results: tuple[Result, ...] = ()
    tool: str = ""
    errors: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ended:
    """One stage of one run. `state` is done, missing or skipped; `at` and `seconds` count from the
    start of the test and of the stage."""

    name: str
    part: Part
    run: int
    state: str
    reason: str
    at: float
    seconds: float
    tool: str = ""
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Link:
    """What a link runs at, and what it can do: both its ends, or as far as is known (`both_ends`
    is False then) the machine's own."""

    name: str
    part: Part
    now: str
    can: str
    both_ends: bool = True


@dataclass(frozen=True)
class Change:
    """A counter before and after a stage; the stage is empty for the whole test."""

    name: str
    before: int
    after: int
    stage: str = ""
    run: int = 0


@dataclass(frozen=True)
class Trace:
    """A figure over the whole test, a point every so many seconds."""

    name: str
    unit: str
    points: tuple[float, ...]
    every: float = 1.0


@dataclass
class Findings:
    """All that a test has found out until now."""

    stages: list[Ended] = field(default_factory=list)
    results: list[tuple[str, int, Result]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    counters: list[Change] = field(default_factory=list)
    traces: list[Trace] = field(default_factory=list)
    written: list[Written] = field(default_factory=list)

    def error(self, text: str) -> None:
        """A hard error, once."""
        if text not in self.errors:
            self.errors.append(text)

    def warning(self, text: str) -> None:
        """What is told with the verdict, once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def document(self, **about: object) -> dict[str, object]:
        """The document of docs/reference/health.md, with what else is known about the test."""
        return {
            "schema": SCHEMA,
            **about,
            "stages": [_stage(one) for one in self.stages],
            "results": [_result(*one) for one in self.results],
            "errors": self.errors[:MOST_LINES],
            "warnings": self.warnings[:MOST_LINES],
            "links": [_link(one) for one in self.links[:MOST_LINES]],
            "counters": [_change(one) for one in self.counters[:MOST_LINES]],
            "traces": [_trace(one) for one in self.traces[:MOST_LINES]],
            "written": [vars(one) for one in self.written],
            "commands": [],
        }


def thinned(points: Sequence[float]) -> tuple[list[float], float]:
    """The points, or means of so many neighbours that few enough are left; and seconds a point."""
    width = -(-len(points) // MOST_SAMPLES) or 1
    if width == 1:
        return [_short(point) for point in points], 1.0
    groups = [points[start : start + width] for start in range(0, len(points), width)]
    return [_short(sum(group) / len(group)) for group in groups], float(width)


def _stage(one: Ended) -> dict[str, object]:
    return {
        "name": one.name,
        "component": one.part.value,
        "run": str(one.run),
        "state": one.state,
        "reason": one.reason,
        "at": round(one.at, 3),
        "seconds": round(one.seconds, 3),
        "tool": one.tool,
        "commands": list(one.commands),
    }


def _result(stage: str, run: int, one: Result) -> dict[str, object]:
    samples, every = thinned(one.samples)
    return {
        "stage": stage,
        "metric": one.metric,
        "unit": one.unit,
        "better": one.better,
        "run": str(run),
        "value": _short(one.value),
        "samples": samples,
        "every": every,
    }


def _link(one: Link) -> dict[str, object]:
    return {
        "name": one.name,
        "component": one.part.value,
        "now": one.now,
        "can": one.can,
        "both_ends": one.both_ends,
    }


def _change(one: Change) -> dict[str, object]:
    run = str(one.run) if one.run else ""
    return {**vars(one), "run": run}


def _trace(one: Trace) -> dict[str, object]:
    points, width = thinned(one.points)
    every = round(width * one.every, 3)
    return {"name": one.name, "unit": one.unit, "points": points, "every": every}


def _short(number: float) -> float:
    """Six digits that count: no tool here knows more."""
    return float(f"{number:.6g}")
