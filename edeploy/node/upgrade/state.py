"""What the client knows of its versions, in one file that is replaced whole."""

from __future__ import annotations

import enum
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from edeploy import atomic
from edeploy.errors import EdeployError


class Phase(enum.Enum):
    """How far the last upgrade got."""

    # Nothing is under way; `good` runs.
    IDLE = "idle"
    # The next version is being fetched and built.
    STAGING = "staging"
    # Its tree is complete and is what the manifest says.
    VERIFIED = "verified"
    # The boot loader tries it at the next boot.
    ARMED = "armed"
    # It runs, and nobody has said yet that it does its job.
    TRIAL = "trial"
    # It did not: `good` runs again, `why` says for what reason.
    ROLLED_BACK = "rolled-back"


@dataclass(frozen=True)
class State:
    """`good` and `trial` are names of deployed versions, "" for none; `before` is the version to
    which a rollback leads. `overlaps` are paths below /etc that image and machine both changed."""

    phase: Phase = Phase.IDLE
    good: str = ""
    trial: str = ""
    before: str = ""
    why: str = ""
    overlaps: tuple[str, ...] = ()


class BadState(EdeployError):
    """The state file is not readable."""


def read_state(path: Path) -> State:
    """The state; that of a machine which was never upgraded when there is no file.

    Raises BadState.
    """
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        return State()
    except (OSError, ValueError) as error:
        raise _bad(path, error) from error
    try:
        return State(
            phase=Phase(data["phase"]),
            overlaps=tuple(str(name) for name in data["overlaps"]),
            **{name: str(data[name]) for name in ("good", "trial", "before", "why")},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _bad(path, error) from error


def write_state(path: Path, state: State) -> None:
    """Replace the file. Raises OSError; the old state is then still there."""
    data = {**asdict(state), "phase": state.phase.value}
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    atomic.write(path, json.dumps(data, indent=1) + "\n", mode=0o644)


def _bad(path: Path, error: Exception) -> BadState:
    return BadState(
        f"{path}: not the state of this machine's versions: {error}",
        "Remove the file when one version boots and runs; `edeploy-node status` then says which.",
    )
