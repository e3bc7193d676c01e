"""Processes that are not our children: alive or not, and how to see them end."""

import os
import select
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.lab import timeouts

_DEAD = "ZX"
"""States of a process that has ended and that its parent has not asked about yet."""


class StillAlive(EdeployError):
    """A process that SIGKILL did not end in time."""


def read_pid(path: Path, name: str) -> int | None:
    """The id in a pid file, when a process of this name has it; None else.

    The kernel keeps 15 characters of a name.
    """
    try:
        pid = int(path.read_text())
        stat = Path("/proc", str(pid), "stat").read_text()
    except (OSError, ValueError):
        return None
    running, _, rest = stat.partition("(")[2].rpartition(") ")
    return pid if running == name[:15] and rest[0] not in _DEAD else None


def kill(pid: int) -> None:
    """SIGKILL, and wait for the end. Raises StillAlive."""
    if _signal_and_wait([pid], signal.SIGKILL, timeouts.KILLED):
        raise StillAlive(f"process {pid} does not end", "Look at its state with `ps`.")


def end_all(pids: Callable[[], Iterable[int]]) -> None:
    """End what `pids` tells, and what it tells then: SIGTERM, after a time SIGKILL.

    Raises StillAlive.
    """
    _signal_and_wait(pids(), signal.SIGTERM, timeouts.END)
    deadline = time.monotonic() + timeouts.KILLED
    while left := list(pids()):
        if time.monotonic() > deadline:
            names = ", ".join(str(pid) for pid in left)
            raise StillAlive(f"processes do not end: {names}", "Look at their state with `ps`.")
        _signal_and_wait(left, signal.SIGKILL, timeouts.KILLED)


def _signal_and_wait(pids: Iterable[int], number: signal.Signals, seconds: float) -> bool:
    """Whether any is left after `seconds`."""
    handles = []
    try:
        for pid in pids:
            try:
                handle = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            handles.append(handle)
            signal.pidfd_send_signal(handle, number)
        return _wait(handles, time.monotonic() + seconds)
    finally:
        for handle in handles:
            os.close(handle)


def _wait(handles: Iterable[int], deadline: float) -> bool:
    """Whether any is left at the deadline; a pidfd is readable once its process has ended."""
    poll = select.poll()
    left = set(handles)
    for handle in left:
        poll.register(handle, select.POLLIN)
    while left and (rest := deadline - time.monotonic()) > 0:
        for handle, _ in poll.poll(rest * 1000):
            poll.unregister(handle)
            left.discard(handle)
    return bool(left)
