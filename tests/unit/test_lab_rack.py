"""Racks are read whole, and every mistake in one is told with its line."""

from pathlib import Path

import pytest

from edeploy.errors import EdeployError
from edeploy.lab.rack import (
    DEMO_RACK,
    BootFrom,
    Bus,
    Firmware,
    NicModel,
    Rack,
)
from edeploy.lab.rack_file import load_rack

SMALL = """\
name: small
network: {address: 10.9.0.1/24}
machines:
  - name: one
    firmware: bios
    bmc: {address: 10.9.0.201}
"""

FULL = """\
name: full
network: {address: 10.9.0.1/24, ipv6: "fd09::1/64"}
machines:
  - name: one
    firmware: uefi
    memory: 3G
    cpus: 4
    cpu_model: max
    disks:
      - {bus: nvme, size: 20G, serial: 0001, throttle: 200M, iops: 1000}
      - {bus: sata, size: 1T}
    nics:
      - {model: e1000e, mac: "52:54:00:AA:BB:02", rate: 1G}
      - {}
    smbios: {manufacturer: Maker, product: "A, B", version: "2", serial: S1, sku: K, family: F,
             uuid: 4c544c42-0001-4077-8001-ed0000000001}
    bmc: {address: 10.9.0.201, username: root, password: secret!}
    boot: [disk, network]
"""


def read(tmp_path: Path, text: str) -> Rack:
    path = tmp_path / "rack.yaml"
    path.write_text(text)
    return load_rack(path)


def test_the_demo_rack_has_a_machine_of_each_firmware() -> None:
    rack = load_rack(DEMO_RACK)
    assert rack.name == "demo"
    assert [machine.firmware for machine in rack.machines] == [Firmware.BIOS, Firmware.UEFI]
    assert [machine.smbios.serial for machine in rack.machines] == ["EDLBIOS1", "EDLUEFI1"]
    assert [str(machine.bmc.address) for machine in rack.machines] == ["10.77.0.201", "10.77.0.202"]
    assert str(rack.network.ipv6) == "fd77:65de::1/64"


def test_every_value_is_read(tmp_path: Path) -> None:
    machine = read(tmp_path, FULL).machines[0]
    assert (machine.memory, machine.cpus, machine.cpu_model) == (3 * 2**30, 4, "max")
    first, second = machine.disks
    assert (first.bus, first.size, first.throttle) == (Bus.NVME, 20 * 2**30, 200 * 2**20)
    assert (first.iops, second.iops) == (1000, None)
    assert first.serial == "0001"
    assert (second.bus, second.size, second.throttle) == (Bus.SATA, 2**40, None)
    assert machine.nics[0].model is NicModel.E1000E
    assert (machine.nics[0].mac, machine.nics[0].rate) == ("52:54:00:aa:bb:02", 10**9)
    assert machine.smbios.product == "A, B"
    assert (machine.bmc.username, machine.bmc.password) == ("root", "secret!")
    assert machine.boot == (BootFrom.DISK, BootFrom.NETWORK)


def test_what_is_not_said_is_the_same_at_every_reading(tmp_path: Path) -> None:
    assert read(tmp_path, SMALL) == read(tmp_path, SMALL)
    machine = read(tmp_path, SMALL).machines[0]
    assert (machine.memory, machine.cpus, machine.disks) == (2 * 2**30, 2, ())
    assert machine.nics[0].mac.startswith("52:54:00:")
    assert machine.boot == (BootFrom.NETWORK, BootFrom.DISK)
    assert machine.bmc.password is None


def test_equal_machines_of_two_racks_differ(tmp_path: Path) -> None:
    one = read(tmp_path, SMALL).machines[0]
    other = read(tmp_path, SMALL.replace("name: small", "name: other")).machines[0]
    assert one.nics[0].mac != other.nics[0].mac
    assert one.smbios.serial != other.smbios.serial
    assert one.smbios.uuid != other.smbios.uuid


SECOND = """\
  - name: two
    firmware: bios
    bmc: {address: 10.9.0.202}
"""


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("firmware: bios", "firmware: coreboot", 5, "'coreboot' is none of bios, uefi"),
        ("firmware: bios", "firmwear: bios", 5, "unknown key 'firmwear'"),
        ("    firmware: bios\n", "", 4, "'firmware' is missing"),
        ("name: one", "name: ../one", 4, "no name for a machine"),
        ("name: small", "name: a b", 1, "no name for a rack"),
        ("firmware: bios", "firmware: bios\n    memory: 2 GB", 6, "'2 GB' is not a size"),
        ("firmware: bios", "firmware: bios\n    memory: 1M", 6, "64M at least"),
        ("firmware: bios", "firmware: bios\n    cpu_model: a b", 6, "-cpu help"),
        ("firmware: bios", "firmware: bios\n    cpus: many", 6, "no number from 1 to 64"),
        ("firmware: bios", "firmware: bios\n    disks: [{bus: floppy, size: 8G}]", 6, "'floppy'"),
        ("firmware: bios", "firmware: bios\n    disks: [{bus: sata}]", 6, "'size' is missing"),
        ("firmware: bios", "firmware: bios\n    disks: [{bus: sata, size: 700}]", 6, "sectors"),
        ("firmware: bios", "firmware: bios\n    nics: [{model: ne2000}]", 6, "'ne2000'"),
        ("firmware: bios", "firmware: bios\n    nics: [{mac: '01:00:00:00:00:01'}]", 6, "one card"),
        ("firmware: bios", "firmware: bios\n    nics: [{rate: fast}]", 6, "bits per second"),
        ("firmware: bios", "firmware: bios\n    boot: [network, network]", 6, "once"),
        ("firmware: bios", "firmware: bios\n    boot: [floppy]", 6, "'floppy'"),
        ("firmware: bios", "firmware: bios\n    smbios: {uuid: 12}", 6, "uuid"),
        ("firmware: bios", "firmware: bios\n    smbios: {serial: \"a\\tb\"}", 6, "printable"),
        ("10.9.0.201}", "10.9.0.201, password: 'a b'}", 6, "no space"),
        ("10.9.0.201", "10.8.0.201", 4, "not a free address of 10.9.0.0/24"),
        ("10.9.0.201", "10.9.0.1", 4, "not a free address"),
        ("10.9.0.201", "10.9.0", 6, "address"),
        ("10.9.0.1/24", "10.9.0.1", 2, "no room for machines"),
        ("{address: 10.9.0.1/24}", "{address: 10.9.0.1/24, ipv6: fe}", 2, "ipv6"),
        ("machines:", "machines: []\nothers:", 4, "unknown key 'others'"),
        (SMALL, "", 1, "empty"),
        (SMALL, "name: [", 2, ""),
        ("bmc: {address: 10.9.0.201}\n", f"bmc: {{address: 10.9.0.202}}\n{SECOND}", 7, "that of"),
        ("name: one", "name: two", 7, "name two is that of 'two' too"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_line(
    tmp_path: Path, old: str, new: str, line: int, words: str
) -> None:
    text = SMALL if old in SMALL else ""
    if "is that of" in words:
        text += SECOND
    assert old in text
    with pytest.raises(EdeployError) as error:
        read(tmp_path, text.replace(old, new, 1))
    assert error.value.message.startswith(f"{tmp_path}/rack.yaml:{line}:")
    assert words in error.value.message


def test_a_rack_without_machines_is_refused(tmp_path: Path) -> None:
    text = "name: small\nnetwork: {address: 10.9.0.1/24}\nmachines: []\n"
    with pytest.raises(EdeployError, match=r"rack.yaml:3:11: a rack needs a machine"):
        read(tmp_path, text)
