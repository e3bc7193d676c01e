"""The one place that runs programs to their end."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
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
) -> Done:
    """Run a program and wait for it; its own process group, so that a time-out ends it whole.

    `env` is added to this process's own, with LC_ALL=C.UTF-8; `timeout` is in seconds;
    with `log`, all output goes there (it must be a real file) and `out` and `err` are empty.
    Raises ProgramMissing, and ProgramFailed when `check` or at the time-out.
    """
    words = tuple(os.fspath(word) for word in argv)
    target = log if log is not None else subprocess.PIPE
    try:
        child = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=target,
            stderr=subprocess.STDOUT if log is not None else subprocess.PIPE,
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


def _end(child: subprocess.Popen[str]) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.communicate()
