"""Runs a program and tells what it prints while it prints it."""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Callable

from edeploy.node import timeouts
from edeploy.run import LAST_LINES, Done, ProgramMissing

_LINE_END = re.compile(rb"[\r\n]")


def follow(
    argv: Sequence[str],
    *,
    on_line: Callable[[str], None],
    on_tick: Callable[[], None],
    env: Mapping[str, str] | None = None,
) -> Done:
    """Run a program to its end: `on_line` gets each line of stdout and stderr (a carriage return
    ends one too), `on_tick` is called about once a second.

    What either raises ends the program and its children. The result's `out` has the last lines;
    its status is not checked. Raises ProgramMissing.
    """
    try:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise ProgramMissing(
            f"{argv[0]}: not found in PATH", f"Build a ramdisk that has `{argv[0]}`."
        ) from error
    last: deque[str] = deque(maxlen=LAST_LINES)
    try:
        for line in _lines(child, on_tick):
            last.append(line)
            on_line(line)
        code = child.wait()
    except BaseException:
        end_group(child)
        raise
    finally:
        if child.stdout:
            child.stdout.close()
    return Done(tuple(argv), code, "\n".join(last), "")


def end_group(child: subprocess.Popen[bytes]) -> None:
    """End a program that has its own session, its children too, and reap it."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()


def _lines(child: subprocess.Popen[bytes], on_tick: Callable[[], None]) -> Iterator[str]:
    """Over at the end of the output, or of the program: one that it left running in the
    background may keep the output open for ever."""
    rest = b""
    for data in _pieces(child, on_tick):
        *lines, rest = _LINE_END.split(rest + data)
        yield from (line.decode(errors="replace") for line in lines if line.strip())
    if rest.strip():
        yield rest.decode(errors="replace")


def _pieces(child: subprocess.Popen[bytes], on_tick: Callable[[], None]) -> Iterator[bytes]:
    if child.stdout is None:
        return
    pipe = child.stdout.fileno()
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        next_tick = 0.0
        while True:
            ready = selector.select(timeouts.TICK)
            data = os.read(pipe, 1 << 16) if ready else b""
            yield data
            if not data and (ready or child.poll() is not None):
                return
            if time.monotonic() >= next_tick:
                on_tick()
                next_tick = time.monotonic() + timeouts.TICK
