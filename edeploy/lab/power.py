"""Switches a lab's machine through its BMC, from inside the lab's network."""

import sys

from edeploy.bmc.__main__ import BOOT_NETWORK
from edeploy.bmc.power import Action, BmcError
from edeploy.lab import network
from edeploy.lab.status import LabMachine
from edeploy.run import run

_ORDER = 60.0
"""Seconds: off and on, each with the BMC's own deadline."""


def power(machine: LabMachine, action: Action) -> str:
    """As `edeploy.bmc.power.power`, whichever network this process is in. Raises BmcError."""
    return _order(machine, action.value)


def boot_from_network_once(machine: LabMachine) -> None:
    """As `edeploy.bmc.power.boot_from_network_once`. Raises BmcError."""
    _order(machine, BOOT_NETWORK)


def _order(machine: LabMachine, action: str) -> str:
    words = [str(machine.lab.bmcs), machine.machine.name, action]
    argv = [sys.executable, "-I", "-m", "edeploy.bmc", *words]
    done = run(network.inside(machine.lab.namespace, argv), timeout=_ORDER, check=False)
    if done.code != 0:
        message, _, hint = done.err.strip().partition("\n  ")
        raise BmcError(message or "the order to the BMC failed", hint)
    return done.out.strip()
