"""Power and boot device of a machine, through its BMC."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from enum import Enum

from edeploy.bmc.file import Bmc
from edeploy.errors import EdeployError
from edeploy.run import run

BOOT_NETWORK = "boot-network"

_ORDER = 120.0
"""Seconds: off and on, each with the deadline of `edeploy.bmc.ipmi`, and a login that is slow."""


class Action(Enum):
    """What `power` does."""

    ON = "on"
    OFF = "off"
    CYCLE = "cycle"
    STATUS = "status"


class BmcError(EdeployError):
    """A BMC that does not answer, refuses the login or the request, or does not do it."""


def power(bmc: Bmc, action: Action, *, through: Sequence[str] = ()) -> str:
    """Switch the machine and wait until the BMC tells the new state; `on` or `off`.

    Off takes the power away, without a shutdown; `cycle` is off and on, and turns on a machine
    that was off. `through`: words before the command, such as `ip netns exec NAME`.
    Raises BmcError.
    """
    return _order(bmc, action.value, through)


def boot_from_network_once(bmc: Bmc, *, through: Sequence[str] = ()) -> None:
    """Make the next start boot from the network, whatever the boot order. Raises BmcError."""
    _order(bmc, BOOT_NETWORK, through)


def _order(bmc: Bmc, order: str, through: Sequence[str]) -> str:
    # A process for each order: pyghmi keeps sessions and sockets for its whole process and mixes
    # them up between threads. The password goes by stdin, where no other user can read it.
    argv = [*through, sys.executable, "-I", "-m", "edeploy.bmc", order]
    done = run(argv, stdin=json.dumps(asdict(bmc)), timeout=_ORDER, check=False)
    if done.code != 0:
        message, _, hint = done.err.strip().partition("\n  ")
        raise BmcError(message or f"BMC {bmc.name}: the order `{order}` failed", hint)
    return done.out.strip()
