"""Work that a process of its own does, with its own mounts and children, as if it were done here.

Whatever that process mounts or starts ends with it, and it ends with its parent, however that ends.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import edeploy
from edeploy.errors import EdeployError
from edeploy.images.build.chroot import isolated
from edeploy.run import ProgramFailed, ProgramMissing, run

Job = TypeVar("Job")


def done_apart(
    module: str,
    job: Mapping[str, object],
    on_step: Callable[[str], None],
    *,
    what: str,
    where: str,
    around: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> None:
    """Have `module`, which serves such jobs, do one; `what` and `where` name it in errors.

    `around` is a command that starts the one after it, `env` is added to this process's own.
    Raises what the work raised there: EdeployError, ProgramFailed, ProgramMissing, OSError.
    """
    failures: list[dict[str, object]] = []
    others: list[str] = []

    def hear(line: str) -> None:
        try:
            said = json.loads(line)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            others.append(line)
        elif "step" in said:
            on_step(str(said["step"]))
        else:
            failures.append(said)

    # Ours, wherever Python would look for it.
    settings = {**(env or {}), "PYTHONPATH": str(Path(edeploy.__file__).parents[1])}
    argv = isolated([*around, sys.executable, "-m", module])
    text = json.dumps(job)
    done = run(argv, stdin=text, env=settings, timeout=None, check=False, on_line=hear)
    if failures:
        raise _error_of(failures[0], where)
    if done.code != 0:
        tail = "".join(f"\n  | {line}" for line in others[-12:])
        raise ProgramFailed(f"{what} ended: {done.code}{tail}", code=done.code)


def serve_job(
    parsed: Callable[[str], Job], work: Callable[[Job, Callable[[str], None]], None]
) -> int:
    """What that module's process does: reads its job from stdin, prints a line of JSON a step."""
    try:
        work(parsed(sys.stdin.read()), lambda step: _say({"step": step}))
    except EdeployError as error:
        code = error.code if isinstance(error, ProgramFailed) else None
        kind = type(error).__name__
        _say({"kind": kind, "message": error.message, "hint": error.hint, "code": code})
        return 1
    except OSError as error:
        _say({"errno": error.errno, "strerror": error.strerror, "filename": error.filename})
        return 1
    return 0


def _say(what: dict[str, object]) -> None:
    print(json.dumps(what, default=str), flush=True)


def _error_of(said: dict[str, object], where: str) -> EdeployError | OSError:
    if "errno" in said:
        return OSError(said["errno"], said["strerror"], str(said["filename"] or where))
    message, hint, code = str(said["message"]), str(said["hint"]), said["code"]
    if said["kind"] == ProgramFailed.__name__:
        return ProgramFailed(message, hint, code=code if isinstance(code, int) else None)
    if said["kind"] == ProgramMissing.__name__:
        return ProgramMissing(message, hint)
    return EdeployError(message, hint)
