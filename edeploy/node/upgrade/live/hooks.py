"""`pre` and `post` of an edge, as existing installations have them."""

from __future__ import annotations

import enum
import os
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.run import ProgramFailed, run

WANTS_REBOOT = 100
# A hook restarts services; one that hangs must not hold an upgrade for ever.
LONGEST = 30 * 60.0


class HookFailed(EdeployError):
    """A hook ended with a status that is neither 0 nor 100, or not in time."""


class Ended(enum.Enum):
    """How a hook ended well."""

    WELL = "well"
    REBOOT = "reboot"


def run_hook(hook: Path, old: str, new: str, log: Path, longest: float = LONGEST) -> Ended:
    """Run a hook that may not be there; what it prints goes to the end of `log`.

    It finds EDEPLOY_FROM and EDEPLOY_TO in its environment. Raises HookFailed with its last lines.
    """
    if not hook.is_file():
        return Ended.WELL
    log.parent.mkdir(parents=True, exist_ok=True)
    before = log.stat().st_size if log.exists() else 0
    with open(log, "a", encoding="utf-8", errors="replace") as stream:
        try:
            done = run(
                [os.fspath(hook)],
                env={"EDEPLOY_FROM": old, "EDEPLOY_TO": new},
                timeout=longest,
                check=False,
                log=stream,
            )
        except ProgramFailed as error:
            raise HookFailed(error.message, f"Its output is in {log}.") from error
    if done.code == WANTS_REBOOT:
        return Ended.REBOOT
    if done.code != 0:
        with open(log, encoding="utf-8", errors="replace") as stream:
            stream.seek(before)
            lines = stream.read().splitlines()[-5:]
        text = "".join(f"\n  | {line}" for line in lines)
        raise HookFailed(f"{hook.name}: exit status {done.code}{text}", f"All of it is in {log}.")
    return Ended.WELL
