"""Locks of a store: held by processes, and free again when these die, however they die."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edeploy.errors import EdeployError


class Busy(EdeployError):
    """Somebody else holds the lock."""


@contextmanager
def alone(path: Path, what: str, *, on_wait: Callable[[str], None] | None = None) -> Iterator[None]:
    """Holds the lock `path`; nobody else has it then, alone or together.

    With `on_wait`, which is told who has it, this waits; else it raises Busy: "`what`" completes
    the sentence "another process …".
    """
    with open(path, "a+", encoding="ascii") as lock:
        if not _try(lock.fileno(), fcntl.LOCK_EX):
            lock.seek(0)
            holder = f"another process ({lock.read().strip() or 'unknown'}) {what}"
            if on_wait is None:
                raise Busy(holder, "Wait until it is done.")
            on_wait(f"waiting: {holder}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        lock.truncate()
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


@contextmanager
def together(path: Path) -> Iterator[None]:
    """Holds the lock `path` with others who hold it this way; waits while somebody has it alone."""
    with open(path, "a+", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


def _try(handle: int, how: int) -> bool:
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
