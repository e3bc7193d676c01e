"""Tells an operator in front of the machine what it does, and keeps it for the log."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from edeploy.node import timeouts

ACTIVE = Path("/sys/class/tty/console/active")
# What is uploaded at the end is at most 1 MiB.
MAX_LOG_BYTES = 900_000
_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


class Console:
    """Lines on all consoles, each with the seconds since the kernel started.

    `detail` lines are shown with VERBOSE=1 only; all lines are kept, the oldest go first when
    there are too many. May be used by several threads.
    """

    def __init__(self, outputs: Sequence[BinaryIO], *, verbose: bool = False) -> None:
        self.verbose = verbose
        self._outputs = list(outputs)
        self._lines: deque[str] = deque()
        self._size = 0
        self._lock = threading.Lock()
        self._last_progress = (float("-inf"), "")

    def say(self, text: str) -> None:
        """Show and keep each line of `text`."""
        for line in text.splitlines() or [""]:
            self._line(line, show=True)

    def detail(self, text: str) -> None:
        """Keep each line of `text`; show it with VERBOSE=1."""
        for line in text.splitlines():
            self._line(line, show=self.verbose)

    def progress(self, step: str, done: int, total: int, unit: str) -> None:
        """Show how far `step` is, every few seconds and when it is complete; not kept."""
        self.live(step, amount(done, total, unit), whole=done == total)

    def live(self, step: str, text: str, *, whole: bool = False) -> None:
        """Show how `step` stands now, every few seconds, at once when it is whole; not kept."""
        now = time.monotonic()
        when, last_step = self._last_progress
        if step == last_step and now - when < timeouts.CONSOLE_EVERY and not whole:
            return
        self._last_progress = (now, step)
        self._show(f"{_stamp()} {step}: {printable(text)}")

    def log(self) -> str:
        """All lines that are kept, as text."""
        with self._lock:
            return "".join(f"{line}\n" for line in self._lines)

    def _line(self, text: str, *, show: bool) -> None:
        line = f"{_stamp()} {printable(text)}"
        with self._lock:
            self._lines.append(line)
            self._size += len(line.encode()) + 1
            while self._size > MAX_LOG_BYTES:
                self._size -= len(self._lines.popleft().encode()) + 1
        if show:
            self._show(line)

    def _show(self, line: str) -> None:
        data = f"edeploy {line}\r\n".encode()
        with self._lock:
            for output in self._outputs:
                try:
                    output.write(data)
                    output.flush()
                except OSError:
                    # A console that went away, such as serial over LAN, must not end the work.
                    continue


def consoles(active: Path = ACTIVE, devices: Path = Path("/dev")) -> list[BinaryIO]:
    """All consoles that the kernel uses, open for writing: a rack has screens and serial lines."""
    found: list[BinaryIO] = []
    for name in active.read_text().split() if active.exists() else ():
        try:
            handle = os.open(devices / name, os.O_WRONLY | os.O_NOCTTY)
        except OSError:
            continue
        found.append(os.fdopen(handle, "wb", buffering=0))
    return found


def amount(done: int, total: int, unit: str) -> str:
    """`45 %, 120 of 268 MB` or `1200 of 14000 files`; without a known total, `120 MB`."""
    if unit == "bytes":
        scale, unit = next((item for item in _UNITS if max(done, total) >= item[0]), (1.0, "bytes"))
        figures = [f"{number / scale:.0f}" for number in (done, total)]
    else:
        figures = [str(done), str(total)]
    if not total:
        return f"{figures[0]} {unit}"
    return f"{100 * done // total:3d} %, {figures[0]} of {figures[1]} {unit}"


def printable(text: str) -> str:
    """`text` without characters that would make a terminal do something."""
    return "".join(char if char.isprintable() or char == "\t" else "?" for char in text)


def _stamp() -> str:
    return f"{time.clock_gettime(time.CLOCK_BOOTTIME):7.1f}"
