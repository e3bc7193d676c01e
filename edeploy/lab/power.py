"""Switches a lab's machine through its BMC, from inside the lab's network."""

from edeploy.bmc import power as bmc_power
from edeploy.bmc.file import Bmc, find_bmc, load_bmcs
from edeploy.bmc.power import Action
from edeploy.lab import network
from edeploy.lab.status import LabMachine


def power(machine: LabMachine, action: Action) -> str:
    """As `edeploy.bmc.power.power`, whichever network this process is in. Raises BmcError."""
    return bmc_power.power(_bmc(machine), action, through=_inside(machine))


def boot_from_network_once(machine: LabMachine) -> None:
    """As `edeploy.bmc.power.boot_from_network_once`. Raises BmcError."""
    bmc_power.boot_from_network_once(_bmc(machine), through=_inside(machine))


def _bmc(machine: LabMachine) -> Bmc:
    return find_bmc(load_bmcs(machine.lab.bmcs), machine.machine.name)


def _inside(machine: LabMachine) -> list[str]:
    return network.inside(machine.lab.namespace, [])
