"""What labs there are, and how their machines are."""

from dataclasses import dataclass
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.lab import network
from edeploy.lab.chassis import qemu_pid
from edeploy.lab.down import NoLab
from edeploy.lab.folder import LAB_ROOT, LabFolder, MachineFolder
from edeploy.lab.rack import Machine
from edeploy.lab.rack_file import load_rack


@dataclass(frozen=True)
class LabMachine:
    """A machine of a lab that is up. `pid` is QEMU's, None while the machine is off."""

    lab: LabFolder
    folder: MachineFolder
    machine: Machine
    pid: int | None

    @property
    def power(self) -> str:
        return "off" if self.pid is None else "on"


def labs(root: Path = LAB_ROOT) -> list[LabFolder]:
    """The labs that are up, by name."""
    if not root.is_dir():
        return []
    folders = (LabFolder(root, path.name) for path in sorted(root.iterdir()) if path.is_dir())
    return [folder for folder in folders if is_up(folder)]


def is_up(folder: LabFolder) -> bool:
    return folder.ready.exists() and network.exists(folder.namespace)


def machines(folder: LabFolder) -> list[LabMachine]:
    """The machines of a lab, in the order of its rack file. Raises NoLab."""
    if not is_up(folder):
        raise NoLab(f"the lab {folder.name} is not up", "`edeploy lab ls` lists those that are.")
    found = []
    for machine in load_rack(folder.rack).machines:
        place = folder.machine(machine.name)
        found.append(LabMachine(folder, place, machine, qemu_pid(place)))
    return found


def find_machine(name: str, root: Path = LAB_ROOT) -> LabMachine:
    """A machine by its name, or by LAB/NAME. Raises EdeployError: none, or several."""
    lab, _, short = name.rpartition("/")
    there = [machine for folder in labs(root) for machine in machines(folder)]
    found = [
        machine
        for machine in there
        if machine.machine.name == short and lab in ("", machine.lab.name)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(f"{machine.lab.name}/{short}" for machine in found)
        raise EdeployError(f"several labs have a machine {short}", f"Say which: {names}.")
    names = ", ".join(machine.machine.name for machine in there)
    raise EdeployError(
        f"no lab has a machine {name!r}",
        f"Machines of labs that are up: {names}."
        if names
        else "No lab is up; `edeploy lab up RACK.yaml` starts one.",
    )
