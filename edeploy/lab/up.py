"""Brings a lab up: network, files and BMC of every machine; the machines stay off."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from edeploy import atomic
from edeploy.bmc.file import Bmc, write_bmcs
from edeploy.errors import EdeployError
from edeploy.lab import firmware, ipmi, network, qemu
from edeploy.lab.accel import Accel, choose_accel
from edeploy.lab.chassis import Commands, write_chassis
from edeploy.lab.down import down, has_disks, remove_files
from edeploy.lab.folder import LAB_ROOT, LabFolder, MachineFolder
from edeploy.lab.lock import locked
from edeploy.lab.processes import end_all
from edeploy.lab.rack import IPMI_PORT, BootFrom, Firmware, Machine, Rack
from edeploy.lab.rack_file import load_rack
from edeploy.run import ProgramMissing

_PACKAGES = {
    "ip": "iproute2",
    "tc": "iproute2",
    "setsid": "util-linux",
    qemu.PROGRAM: "qemu-system-x86",
    ipmi.PROGRAM: "openipmi",
}
_PASSWORD_BYTES = 9


class LabUp(EdeployError):
    """A lab of this name is up already."""


@dataclass(frozen=True)
class Lab:
    """A lab that is up."""

    rack: Rack
    folder: LabFolder
    accel: Accel

    def inside(self, argv: list[str]) -> list[str]:
        """The words that run a program in the lab's network."""
        return network.inside(self.folder.namespace, argv)


def up(rack_file: Path, *, root: Path = LAB_ROOT, accel: Accel | None = None) -> Lab:
    """Bring the rack of a file up. After a failure or an interrupt nothing of it is left.

    Disks that an earlier lab of this name left (`down(..., keep_disks=True)`) are used again.
    `accel` None: the best that works here, found by a short probe.
    Raises EdeployError: a wrong rack file, a program or firmware that is not installed, LabUp.
    """
    rack = load_rack(rack_file)
    _check_host()
    host = _choose_host(rack, accel)
    folder = LabFolder(root, rack.name)
    with locked(folder):
        _clear_the_place(folder)
        keep_disks = has_disks(folder)
        with ExitStack() as undo:
            network.create(folder.namespace)
            undo.callback(_take_back, folder, keep_disks=keep_disks)
            network.connect(folder.namespace, rack)
            bmcs = [
                _prepare(rack, index, folder.machine(machine.name), host)
                for index, machine in enumerate(rack.machines)
            ]
            write_bmcs(folder.bmcs, bmcs)
            for machine in rack.machines:
                ipmi.start_bmc(machine, folder.machine(machine.name), folder.namespace)
            atomic.write(folder.rack, rack_file.read_bytes(), mode=0o600)
            atomic.write(folder.ready, host.accel.name)
            undo.pop_all()
    return Lab(rack, folder, host.accel)


@contextmanager
def running(rack_file: Path, *, root: Path = LAB_ROOT, accel: Accel | None = None) -> Iterator[Lab]:
    """A lab that is up for the length of a `with`, and down after it. Raises as `up`."""
    lab = up(rack_file, root=root, accel=accel)
    try:
        yield lab
    finally:
        down(lab.rack.name, root=root)


def _check_host() -> None:
    for program, package in _PACKAGES.items():
        if shutil.which(program) is None:
            raise ProgramMissing(f"{program}: not found in PATH", f"Install the package {package}.")
    if os.geteuid() != 0:
        raise EdeployError("a lab needs network namespaces, which only root makes", "Use sudo.")


def _choose_host(rack: Rack, accel: Accel | None) -> qemu.Host:
    kinds = {machine.firmware for machine in rack.machines}
    ovmf = firmware.find_ovmf() if Firmware.UEFI in kinds else None
    firmware.check_nic_roms()
    return qemu.Host(accel or choose_accel(), ovmf)


def _clear_the_place(folder: LabFolder) -> None:
    """Refuse a lab that lives; remove what a dead one left. The lock says that none is starting."""
    living = network.processes(folder.namespace)
    if living and folder.ready.exists():
        raise LabUp(
            f"lab {folder.name} is up already", f"End it with `edeploy lab down {folder.name}`."
        )
    if living:
        raise LabUp(
            f"the network namespace {folder.namespace} is in use: {len(living)} processes",
            f"It is of another lab folder, or of an `up` that was killed. "
            f"`edeploy lab down {folder.name}` ends them all.",
        )
    network.delete(folder.namespace)
    remove_files(folder, keep_disks=True)
    for log in folder.path.glob("*/*.log"):
        log.unlink()


def _take_back(folder: LabFolder, *, keep_disks: bool) -> None:
    end_all(lambda: network.processes(folder.namespace))
    network.delete(folder.namespace)
    remove_files(folder, keep_disks=keep_disks)


def _prepare(rack: Rack, index: int, folder: MachineFolder, host: qemu.Host) -> Bmc:
    machine = rack.machines[index]
    folder.path.mkdir(parents=True, exist_ok=True)
    _make_disks(machine, folder, host)
    taps = [network.tap_name(index, number) for number in range(len(machine.nics))]
    choices: dict[str, BootFrom | None] = {"": None, **{kind.value: kind for kind in BootFrom}}
    commands = Commands(
        starts={
            name: qemu.arguments(machine, folder, taps, host, first=first)
            for name, first in choices.items()
        },
        orders={name: qemu.boot_order(machine, first) for name, first in choices.items()},
    )
    write_chassis(folder, commands)
    password = machine.bmc.password or secrets.token_urlsafe(_PASSWORD_BYTES)
    ipmi.write_config(machine, folder, password)
    return Bmc(
        name=machine.name,
        address=str(machine.bmc.address),
        port=IPMI_PORT,
        username=machine.bmc.username,
        password=password,
        serial=machine.smbios.serial,
        mac=machine.nics[0].mac if machine.nics else None,
    )


def _make_disks(machine: Machine, folder: MachineFolder, host: qemu.Host) -> None:
    for number, disk in enumerate(machine.disks):
        with folder.disk(number).open("ab") as stream:
            stream.truncate(disk.size)
    if host.ovmf is not None and machine.firmware is Firmware.UEFI:
        if not folder.variables.exists():
            shutil.copyfile(host.ovmf.variables, folder.variables)
