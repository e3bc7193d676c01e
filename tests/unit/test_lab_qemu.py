"""The command line of a machine has what its rack file says."""

from dataclasses import replace
from pathlib import Path

import pytest

from edeploy.lab.accel import Accel
from edeploy.lab.firmware import Ovmf
from edeploy.lab.folder import MachineFolder
from edeploy.lab.qemu import Host, arguments, boot_order
from edeploy.lab.rack import (
    DEMO_RACK,
    BootFrom,
    Bus,
    Disk,
    Machine,
    Nic,
    NicModel,
)
from edeploy.lab.rack_file import load_rack

HOST = Host(Accel.TCG, Ovmf(Path("/fw/code.fd"), Path("/fw/vars.fd")))
FOLDER = MachineFolder(Path("/labs/demo/bios-1"))
BIOS, UEFI = load_rack(DEMO_RACK).machines


def words(machine: Machine, *, host: Host = HOST, first: BootFrom | None = None) -> list[str]:
    taps = [f"m0n{number}" for number in range(len(machine.nics))]
    return arguments(machine, FOLDER, taps, host, first=first)


def values(argv: list[str], option: str) -> list[str]:
    return [argv[place + 1] for place, word in enumerate(argv) if word == option]


def device(argv: list[str], name: str) -> str:
    (found,) = (value for value in values(argv, "-device") if f",id={name}," in value)
    return found


def test_memory_cpus_and_accelerator() -> None:
    argv = words(BIOS)
    assert values(argv, "-m") == ["2048M"]
    assert values(argv, "-smp") == ["2"]
    assert values(argv, "-accel") == ["tcg,thread=multi"]
    assert values(words(replace(BIOS, cpu_model="max")), "-cpu") == ["max"]
    assert values(words(BIOS, host=Host(Accel.KVM, None)), "-cpu") == ["host"]


def test_the_guest_may_restart_itself() -> None:
    assert "-no-reboot" not in words(BIOS)


def test_bios_has_no_flash_and_boots_by_the_roms_of_its_cards() -> None:
    argv = words(BIOS, host=Host(Accel.TCG, None))
    assert not any("pflash" in value for value in values(argv, "-drive"))
    assert "romfile" not in device(argv, "nic0")


def test_uefi_has_the_shared_code_and_its_own_variables() -> None:
    flash = [value for value in values(words(UEFI), "-drive") if "pflash" in value]
    assert flash == [
        "file=/fw/code.fd,if=pflash,unit=0,format=raw,readonly=on",
        "file=/labs/demo/bios-1/vars.fd,if=pflash,unit=1,format=raw",
    ]
    assert device(words(UEFI), "nic0").endswith(",romfile=,bootindex=1")


def test_uefi_keeps_the_rom_of_cards_that_ovmf_has_no_driver_for() -> None:
    machine = replace(UEFI, nics=(replace(UEFI.nics[0], model=NicModel.E1000),))
    assert "romfile" not in device(words(machine), "nic0")


def test_smbios_reaches_system_board_and_chassis() -> None:
    smbios = replace(BIOS.smbios, product="Lab, first", sku="K1")
    tables = values(words(replace(BIOS, smbios=smbios)), "-smbios")
    assert tables == [
        "type=1,manufacturer=edeploy,product=Lab,, first,version=1,serial=EDLBIOS1,"
        "uuid=4c544c42-0001-4077-8001-ed0000000001,sku=K1",
        "type=2,manufacturer=edeploy,product=Lab,, first,version=1,serial=EDLBIOS1",
        "type=3,manufacturer=edeploy,version=1,serial=EDLBIOS1,sku=K1",
    ]


@pytest.mark.parametrize(
    ("bus", "start"),
    [
        (Bus.VIRTIO, "virtio-blk-pci,"),
        (Bus.SCSI, "scsi-hd,bus=scsi.0,"),
        (Bus.SATA, "ide-hd,"),
        (Bus.NVME, "nvme,"),
    ],
)
def test_disks_have_bus_serial_and_throttle(bus: Bus, start: str) -> None:
    argv = words(replace(BIOS, disks=(Disk(bus, 2**30, "S1", 1000, 50),)))
    assert device(argv, "disk0").startswith(start)
    assert ",serial=S1," in device(argv, "disk0")
    (drive,) = values(argv, "-drive")
    assert drive.startswith("file=/labs/demo/bios-1/disk0.raw,")
    assert drive.endswith(",throttling.bps-total=1000,throttling.iops-total=50")
    assert any(value.startswith("virtio-scsi-pci") for value in values(argv, "-device")) == (
        bus is Bus.SCSI
    )


@pytest.mark.parametrize(
    ("model", "start"),
    [
        (NicModel.VIRTIO, "virtio-net-pci,"),
        (NicModel.E1000, "e1000,"),
        (NicModel.E1000E, "e1000e,"),
        (NicModel.RTL8139, "rtl8139,"),
        (NicModel.VMXNET3, "vmxnet3,"),
    ],
)
def test_cards_have_model_and_mac(model: NicModel, start: str) -> None:
    argv = words(replace(BIOS, nics=(Nic(model, "52:54:00:00:00:02", None),)))
    assert device(argv, "nic0").startswith(start)
    assert ",mac=52:54:00:00:00:02" in device(argv, "nic0")
    assert values(argv, "-netdev") == ["tap,id=net0,ifname=m0n0,script=no,downscript=no"]


def test_boot_order_is_that_of_the_rack_but_for_one_start() -> None:
    machine = replace(BIOS, disks=BIOS.disks * 2, boot=(BootFrom.DISK, BootFrom.NETWORK))
    assert boot_order(machine) == ["disk0", "disk1", "nic0"]
    assert boot_order(machine, BootFrom.NETWORK) == ["nic0", "disk0", "disk1"]
    assert device(words(machine), "nic0").endswith(",bootindex=3")
    assert device(words(machine, first=BootFrom.NETWORK), "nic0").endswith(",bootindex=1")


def test_a_device_outside_of_the_boot_order_is_not_booted() -> None:
    argv = words(replace(BIOS, boot=(BootFrom.NETWORK,)))
    assert "bootindex" not in device(argv, "disk0")
    assert values(argv, "-boot")[0].startswith("strict=on,")


def test_console_is_a_socket_and_a_log() -> None:
    (console, _) = values(words(BIOS), "-chardev")
    assert "path=/labs/demo/bios-1/console.sock,server=on,wait=off" in console
    assert "logfile=/labs/demo/bios-1/console.log,logappend=on" in console
