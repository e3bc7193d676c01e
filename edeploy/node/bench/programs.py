"""Runs the programs of a stage: several at once, watched, ended at the deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Callable, Optional

from edeploy.errors import EdeployError
from edeploy.node.bench.results import Written
from edeploy.node.detect.tree import Tree
from edeploy.node.follow import follow
from edeploy.run import LAST_LINES, pasteable

# What a program may print: iperf3's JSON of an hour has a megabyte.
_MOST_OUTPUT = 16 << 20


class StageFailed(EdeployError):
    """A stage has no result: a program failed, printed nonsense, or took too long."""


class TestStopped(EdeployError):
    """The server, or the deadline of the whole test, has ended it."""

    # pytest takes classes of such a name for tests.
    __test__ = False


@dataclass
class Stop:
    """Whether the test is to end, and why: set once, by any thread."""

    why: str = ""

    def check(self) -> None:
        """Raises TestStopped."""
        if self.why:
            raise TestStopped(self.why)


@dataclass(frozen=True)
class Printed:
    """A program that has ended: exit status and all that it printed."""

    code: int
    text: str

    @property
    def last(self) -> str:
        """Its last lines, for an error."""
        return "\n".join(f"  | {line}" for line in self.text.splitlines()[-LAST_LINES:])


@dataclass
class Bench:
    """What a stage works with: the machine, its time, and who hears of its values.

    `deadline` is on the monotonic clock; `tell` gets the last value and its unit.
    """

    tree: Tree
    deadline: float
    stop: Stop
    tell: Callable[[float, str], None] = lambda _value, _unit: None
    commands: list[str] = field(default_factory=list)
    written: list[Written] = field(default_factory=list)

    def check(self) -> None:
        """Raises StageFailed after the deadline, TestStopped when the test is to end."""
        self.stop.check()
        if time.monotonic() > self.deadline:
            raise StageFailed("not done in its time, ended")

    def run(
        self,
        *argvs: Sequence[str],
        on_line: Callable[[int, str], None] = lambda _number, _line: None,
        on_tick: Callable[[], None] = lambda: None,
    ) -> list[Printed]:
        """Run programs at the same time; what they printed, in their order.

        `on_line` gets the number of the program and a line, `on_tick` is called about once a
        second. Raises StageFailed and TestStopped, and ProgramMissing; then all have ended.
        """
        self.commands += [pasteable(argv) for argv in argvs]
        together = _Together(self, on_line, on_tick)
        return together.run(argvs)


class _Together:
    """Programs that run, and end, together."""

    def __init__(
        self, bench: Bench, on_line: Callable[[int, str], None], on_tick: Callable[[], None]
    ) -> None:
        self._bench = bench
        self._on_line = on_line
        self._on_tick = on_tick
        self._printed: dict[int, Printed] = {}
        self._error: Optional[BaseException] = None  # noqa: UP045 - Python 3.9 on machines

    def run(self, argvs: Sequence[Sequence[str]]) -> list[Printed]:
        # The first in this thread: most stages have one program only.
        others = [
            threading.Thread(target=self._one, args=(number, argv), daemon=True)
            for number, argv in enumerate(argvs)
            if number
        ]
        for thread in others:
            thread.start()
        self._one(0, argvs[0])
        for thread in others:
            thread.join()
        if self._error is not None:
            raise self._error
        return [self._printed[number] for number in range(len(argvs))]

    def _one(self, number: int, argv: Sequence[str]) -> None:
        lines: list[str] = []
        room = _MOST_OUTPUT

        def on_line(line: str) -> None:
            nonlocal room
            room -= len(line) + 1
            if room < 0:
                raise StageFailed(f"{argv[0]} prints without end")
            lines.append(line)
            self._on_line(number, line)

        def on_tick() -> None:
            self._bench.check()
            if self._error is not None:
                raise StageFailed("another program of this stage failed")
            if not number:
                self._on_tick()

        try:
            done = follow(argv, on_line=on_line, on_tick=on_tick)
            self._printed[number] = Printed(done.code, "\n".join(lines))
        except BaseException as error:
            if self._error is None:
                self._error = error
