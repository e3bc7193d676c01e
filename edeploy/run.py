"""The one place that runs programs to their end."""

from __future__ import annotations

import os
import selectors
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from edeploy.errors import EdeployError

LAST_LINES = 12


class ProgramMissing(EdeployError):
    """The program is not installed."""


class ProgramFailed(EdeployError):
    """The program ended with a status other than 0, by a signal, or too late."""

    def __init__(self, message: str, hint: str = "", *, code: int | None = None) -> None:
        super().__init__(message, hint)
        self.code = code


@dataclass(frozen=True)
class Done:
    """A program that has ended: its arguments, exit status and output."""

    argv: tuple[str, ...]
    code: int
    out: str
    err: str


def pasteable(argv: Sequence[str]) -> str:
    """The command as a line that an operator can paste into a shell."""
    return " ".join(shlex.quote(word) for word in argv)


def run(
    argv: Sequence[str | os.PathLike[str]],
    *,
    stdin: str = "",
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    timeout: float | None = 120,
    check: bool = True,
    log: IO[str] | None = None,
    on_line: Callable[[str], None] | None = None,
) -> Done:
    """Run a program and wait for it; its own process group, so that a time-out ends it whole.

    `env` is added to this process's own, with LC_ALL=C.UTF-8; `timeout` is in seconds;
    with `log`, all output goes there (it must be a real file) and `out` and `err` are empty;
    `on_line` hears each line of output as it comes, and `out` then has stderr's lines as well.
    Raises ProgramMissing, and ProgramFailed when `check` or at the time-out.
    """
    words = tuple(os.fspath(word) for word in argv)
    target = log if log is not None else subprocess.PIPE
    apart = log is None and on_line is None
    try:
        child = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=target,
            stderr=subprocess.PIPE if apart else subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
            cwd=cwd,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except FileNotFoundError as error:
        if cwd is not None and not os.path.isdir(cwd):
            raise EdeployError(f"{words[0]}: the folder {os.fspath(cwd)} does not exist") from error
        raise ProgramMissing(
            f"{words[0]}: not found in PATH", f"Install the package that has `{words[0]}`."
        ) from error
    except OSError as error:
        raise ProgramFailed(f"{pasteable(words)}: {error.strerror}") from error
    try:
        if on_line is not None and log is None:
            out, err = _tell(child, stdin, timeout, on_line), ""
        else:
            out, err = child.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        _end(child)
        raise ProgramFailed(f"{pasteable(words)}: not done after {timeout:g} s, ended") from error
    except BaseException:
        _end(child)
        raise
    done = Done(words, child.returncode, out or "", err or "")
    if check and done.code != 0:
        raise failure(done)
    return done


def failure(done: Done) -> ProgramFailed:
    """The error for a program that failed: how it ended and the last lines that it printed."""
    how = f"exit status {done.code}"
    if done.code < 0:
        how = f"ended by {signal.Signals(-done.code).name}"
    lines = (done.err.strip() or done.out.strip()).splitlines()[-LAST_LINES:]
    text = "".join(f"\n  | {line}" for line in lines)
    return ProgramFailed(f"{pasteable(done.argv)}: {how}{text}", code=done.code)


def _tell(
    child: subprocess.Popen[str],
    stdin: str,
    timeout: float | None,
    on_line: Callable[[str], None],
) -> str:
    """All output of `child`, each line told as it comes. Raises TimeoutExpired."""
    deadline = None if timeout is None else time.monotonic() + timeout
    if child.stdin is None or child.stdout is None:
        raise ValueError("the child has no pipes")
    with suppress(BrokenPipeError), child.stdin as pipe:
        pipe.write(stdin)
    # `communicate`, which reaps the child at a time-out, would flush it.
    child.stdin = None
    whole, told = bytearray(), 0
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not selector.select(left):
                raise subprocess.TimeoutExpired(child.args, timeout or 0.0)
            data = os.read(child.stdout.fileno(), 1 << 16)
            whole += data
            end = len(whole) if not data else whole.rfind(b"\n") + 1
            for line in whole[told:end].decode("utf-8", "replace").splitlines():
                on_line(line)
            told = max(told, end)
            if not data:
                break
    child.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
    return whole.decode("utf-8", "replace")


def _end(child: subprocess.Popen[str]) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    # Not `communicate`: one that was interrupted at its start cannot be gone on with.
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    child.wait()
