"""The QEMU command line of a machine: a pure function."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edeploy.lab.accel import Accel
from edeploy.lab.firmware import Ovmf
from edeploy.lab.folder import MachineFolder
from edeploy.lab.rack import BootFrom, Bus, Disk, Firmware, Machine, Nic, NicModel, Smbios

PROGRAM = "qemu-system-x86_64"

_RETRY_BOOT_MILLISECONDS = 5000
"""A BIOS that finds nothing to boot starts over, as servers do, and finds a late boot service."""

_DISK_DEVICE = {
    Bus.VIRTIO: "virtio-blk-pci",
    Bus.SCSI: "scsi-hd,bus=scsi.0",
    Bus.SATA: "ide-hd",
    Bus.NVME: "nvme",
}
_NIC_DEVICE = {
    NicModel.VIRTIO: "virtio-net-pci",
    NicModel.E1000: "e1000",
    NicModel.E1000E: "e1000e",
    NicModel.RTL8139: "rtl8139",
    NicModel.VMXNET3: "vmxnet3",
}


@dataclass(frozen=True)
class Host:
    """What the host gives to every machine: the accelerator, and OVMF if any needs it."""

    accel: Accel
    ovmf: Ovmf | None


def boot_order(machine: Machine, first: BootFrom | None = None) -> list[str]:
    """Ids of the devices to boot from, in order; `first` puts one kind before the others."""
    kinds = list(machine.boot)
    if first is not None:
        kinds = [first, *(kind for kind in kinds if kind is not first)]
    ids = {
        BootFrom.NETWORK: [f"nic{number}" for number in range(len(machine.nics))],
        BootFrom.DISK: [f"disk{number}" for number in range(len(machine.disks))],
    }
    return [device for kind in kinds for device in ids[kind]]


def arguments(
    machine: Machine,
    folder: MachineFolder,
    taps: Sequence[str],
    host: Host,
    *,
    first: BootFrom | None = None,
) -> list[str]:
    """The words that start the machine as a daemon; `taps` are its interfaces on the bridge."""
    order = {device: place for place, device in enumerate(boot_order(machine, first), 1)}
    return [
        PROGRAM,
        "-name", _plain(machine.name),
        "-no-user-config", "-nodefaults",
        # Without graphics SeaBIOS and iPXE talk on the serial port, as servers' firmware does.
        "-machine", "q35,graphics=off",
        "-accel", host.accel.value,
        "-cpu", "host" if host.accel is Accel.KVM else machine.cpu_model,
        "-smp", str(machine.cpus),
        "-m", f"{machine.memory // 2**20}M",
        "-display", "none",
        "-boot", f"strict=on,reboot-timeout={_RETRY_BOOT_MILLISECONDS}",
        *_firmware(machine, folder, host),
        *_smbios(machine.smbios),
        "-object", "rng-random,id=random,filename=/dev/urandom",
        "-device", "virtio-rng-pci,rng=random",
        *_console(folder),
        *_disks(machine, folder, order),
        *_nics(machine, taps, order),
        "-daemonize",
        "-pidfile", str(folder.qemu_pid),
    ]  # fmt: skip


def _firmware(machine: Machine, folder: MachineFolder, host: Host) -> list[str]:
    if machine.firmware is Firmware.BIOS:
        return []
    if host.ovmf is None:
        raise ValueError(f"{machine.name} is an UEFI machine and the host has no OVMF")
    return [
        "-drive", _file(host.ovmf.code, "if=pflash,unit=0,format=raw,readonly=on"),
        "-drive", _file(folder.variables, "if=pflash,unit=1,format=raw"),
        # Each is a round of DHCP that waits for an answer before the next device has its turn.
        "-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=n",
    ]  # fmt: skip


def _smbios(values: Smbios) -> list[str]:
    system = {
        "manufacturer": values.manufacturer,
        "product": values.product,
        "version": values.version,
        "serial": values.serial,
        "uuid": str(values.uuid),
        "sku": values.sku,
        "family": values.family,
    }
    board = {key: system[key] for key in ("manufacturer", "product", "version", "serial")}
    chassis = {key: system[key] for key in ("manufacturer", "version", "serial", "sku")}
    tables = ((1, system), (2, board), (3, chassis))
    return [word for kind, table in tables for word in ("-smbios", _table(kind, table))]


def _table(kind: int, values: dict[str, str]) -> str:
    given = (f",{key}={_plain(value)}" for key, value in values.items() if value)
    return f"type={kind}{''.join(given)}"


def _console(folder: MachineFolder) -> list[str]:
    console = _plain(str(folder.console_socket))
    log = _plain(str(folder.console_log))
    monitor = _plain(str(folder.monitor_socket))
    return [
        "-chardev",
        f"socket,id=console,path={console},server=on,wait=off,logfile={log},logappend=on",
        "-serial", "chardev:console",
        "-chardev", f"socket,id=monitor,path={monitor},server=on,wait=off",
        "-mon", "chardev=monitor,mode=control",
    ]  # fmt: skip


def _disks(machine: Machine, folder: MachineFolder, order: dict[str, int]) -> list[str]:
    words = []
    if any(disk.bus is Bus.SCSI for disk in machine.disks):
        words += ["-device", "virtio-scsi-pci,id=scsi"]
    for number, disk in enumerate(machine.disks):
        words += _disk(disk, number, folder.disk(number), order)
    return words


def _disk(disk: Disk, number: int, path: Path, order: dict[str, int]) -> list[str]:
    # What the guest flushes is in the host's memory: a machine's power loss keeps it, and a lab
    # need not outlive a crash of the host.
    drive = f"if=none,id=drive{number},format=raw,cache=unsafe,discard=unmap"
    if disk.throttle is not None:
        drive += f",throttling.bps-total={disk.throttle}"
    if disk.iops is not None:
        drive += f",throttling.iops-total={disk.iops}"
    name = f"disk{number}"
    device = f"{_DISK_DEVICE[disk.bus]},id={name},drive=drive{number},serial={disk.serial}"
    return ["-drive", _file(path, drive), "-device", device + _boot_index(name, order)]


def _nics(machine: Machine, taps: Sequence[str], order: dict[str, int]) -> list[str]:
    words = []
    for number, (nic, tap) in enumerate(zip(machine.nics, taps, strict=True)):
        name = f"nic{number}"
        device = f"{_NIC_DEVICE[nic.model]},id={name},netdev=net{number},mac={nic.mac}"
        device += _boot_rom(machine, nic) + _boot_index(name, order)
        words += ["-netdev", f"tap,id=net{number},ifname={tap},script=no,downscript=no"]
        words += ["-device", device]
    return words


def _boot_rom(machine: Machine, nic: Nic) -> str:
    # OVMF has its own driver and PXE for virtio; the card's ROM would bring an old iPXE instead.
    own = machine.firmware is Firmware.UEFI and nic.model is NicModel.VIRTIO
    return ",romfile=" if own else ""


def _boot_index(device: str, order: dict[str, int]) -> str:
    return f",bootindex={order[device]}" if device in order else ""


def _file(path: Path, options: str) -> str:
    return f"file={_plain(str(path))},{options}"


def _plain(value: str) -> str:
    """QEMU's options end at a comma; two commas are one in the value."""
    return value.replace(",", ",,")
