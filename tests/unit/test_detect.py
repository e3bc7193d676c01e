"""Probes against machines that are folders, and against what real programs printed."""

import json
import os
import stat
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from edeploy.inventory.items import Item, Report
from edeploy.node.detect import cpu, detect, disks, ipmi, memory, network, probes, system
from edeploy.node.detect.tree import Tree

PROBE_DATA = Path(__file__).parents[3] / "shared/data/probe"

DIMM = """\
Handle 0x1100, DMI type 17, 40 bytes
Memory Device
\tTotal Width: 72 bits
\tSize: 16 GB
\tForm Factor: DIMM
\tLocator: DIMM_A1
\tType: DDR3
\tType Detail: Synchronous
\tSpeed: 1600 MT/s
\tManufacturer: 00CE00B300CE
\tSerial Number: 88BDD1AA
\tPart Number: M393B2G70DB0-YK0
"""
EMPTY = """\
Handle 0x1101, DMI type 17, 40 bytes
Memory Device
\tSize: No Module Installed
\tForm Factor: DIMM
\tLocator: DIMM_A5
\tType: DDR3
\tType Detail: Synchronous
\tSpeed: Unknown
\tManufacturer: Not Specified
"""


def machine(root: Path, files: Mapping[str, str], links: Mapping[str, str] | None = None) -> Tree:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    for name, target in (links or {}).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(target)
    return Tree(root)


def fake(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    os.chmod(folder / name, stat.S_IRWXU)


def report(items: Iterator[Item]) -> Report:
    return Report(tuple(items))


class TestSystem:
    def test_product_has_its_sku_in_brackets(self, tmp_path: Path) -> None:
        tree = machine(
            tmp_path,
            {
                "sys/class/dmi/id/product_name": "ProLiant DL360p Gen8\n",
                "sys/class/dmi/id/product_sku": "654081-B21      \n",
                "sys/class/dmi/id/sys_vendor": "HP\n",
                "sys/class/dmi/id/product_serial": "CZ3323FDVH\n",
                "sys/class/dmi/id/bios_version": "P71\n",
                "proc/sys/kernel/osrelease": "6.1.0-1-cloud-amd64\n",
            },
        )
        found = report(system.system(tree))
        assert found.value("system", "product", "name") == "ProLiant DL360p Gen8 (654081-B21)"
        assert found.value("system", "product", "vendor") == "HP"
        assert found.value("system", "product", "serial") == "CZ3323FDVH"
        assert found.value("firmware", "bios", "version") == "P71"
        assert found.value("system", "boot", "firmware") == "bios"
        assert found.value("system", "kernel", "version") == "6.1.0-1-cloud-amd64"

    @pytest.mark.parametrize("sku", ["", "Not Specified", "To be filled by O.E.M."])
    def test_product_without_sku(self, tmp_path: Path, sku: str) -> None:
        tree = machine(
            tmp_path,
            {"sys/class/dmi/id/product_name": "lab", "sys/class/dmi/id/product_sku": sku},
        )
        assert report(system.system(tree)).value("system", "product", "name") == "lab"

    def test_firmware_is_uefi_when_the_kernel_shows_it(self, tmp_path: Path) -> None:
        (tmp_path / "sys/firmware/efi").mkdir(parents=True)
        assert system.firmware(Tree(tmp_path)) == "uefi"


class TestMemory:
    def test_banks(self) -> None:
        found = report(memory.parse_banks(f"# dmidecode 3.4\n\n{DIMM}\n{EMPTY}\n"))
        assert found.rows() == [
            ["memory", "bank:0", "size", "17179869184"],
            ["memory", "bank:0", "clock", "1600000000"],
            ["memory", "bank:0", "description", "DIMM DDR3 Synchronous 1600 MHz (0.6 ns)"],
            ["memory", "bank:0", "vendor", "00CE00B300CE"],
            ["memory", "bank:0", "product", "M393B2G70DB0-YK0"],
            ["memory", "bank:0", "serial", "88BDD1AA"],
            ["memory", "bank:0", "slot", "DIMM_A1"],
            ["memory", "bank:1", "description", "DIMM DDR3 Synchronous [empty]"],
            ["memory", "bank:1", "slot", "DIMM_A5"],
            ["memory", "banks", "count", "2"],
        ]

    def test_total_is_what_the_banks_hold(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fake(tmp_path / "bin", "dmidecode", f"cat <<'E'\n{DIMM}\n{DIMM}\nE")
        monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
        tree = machine(
            tmp_path,
            {"sys/firmware/dmi/tables/DMI": "x", "proc/meminfo": "MemTotal:  32000000 kB\n"},
        )
        assert report(memory.memory(tree)).value("memory", "total", "size") == str(32 << 30)

    def test_total_without_firmware_tables(self, tmp_path: Path) -> None:
        tree = machine(tmp_path, {"proc/meminfo": "MemTotal:     2048 kB\nMemFree: 1 kB\n"})
        assert report(memory.memory(tree)).rows() == [["memory", "total", "size", "2097152"]]


class TestCpu:
    def test_two_sockets_with_two_threads_a_core(self, tmp_path: Path) -> None:
        files = {"sys/devices/system/cpu/online": "0-7\n"}
        for number in range(8):
            folder = f"sys/devices/system/cpu/cpu{number}/topology"
            files[f"{folder}/physical_package_id"] = str(number // 4)
            files[f"{folder}/core_id"] = str(number // 2 % 2)
        files["proc/cpuinfo"] = "\n\n".join(
            f"processor\t: {number}\nvendor_id\t: GenuineIntel\nmodel name\t: E5-{number // 4}\n"
            "flags\t\t: fpu vme"
            for number in range(8)
        )
        files["sys/devices/system/node/node0/cpulist"] = "0-3\n"
        files["sys/devices/system/node/node252/cpulist"] = "\n"
        found = report(cpu.cpu(machine(tmp_path, files)))
        assert found.value("cpu", "physical", "number") == "2"
        assert found.value("cpu", "logical", "number") == "8"
        assert found.value("cpu", "physical_1", "cores") == "2"
        assert found.value("cpu", "physical_1", "threads") == "4"
        assert found.value("cpu", "physical_1", "product") == "E5-1"
        assert found.value("cpu", "physical_0", "flags") == "fpu vme"
        assert found.value("numa", "node_0", "cpu_mask") == "0xf"
        assert found.value("numa", "node_252", "cpu_count") == "0"

    @pytest.mark.parametrize(
        ("text", "numbers"), [("0-2,8,10-11\n", [0, 1, 2, 8, 10, 11]), ("", []), ("\n", [])]
    )
    def test_kernel_lists(self, text: str, numbers: list[int]) -> None:
        assert cpu.range_list(text) == numbers


def block(name: str, sectors: int, **files: str) -> dict[str, str]:
    return {f"sys/block/{name}/size": f"{sectors}\n"} | {
        f"sys/block/{name}/{file.replace('__', '/')}": text for file, text in files.items()
    }


class TestDisks:
    def test_sata_disk(self, tmp_path: Path) -> None:
        tree = machine(
            tmp_path,
            block(
                "sda",
                585937500,
                device__vendor="ATA     \n",
                device__model="ST300\n",
                device__rev="2.12\n",
                device__vpd_pg80="\x00\x00\x00\x08  S123  \x00",
                device__scsi_disk__x__cache_type="write back\n",
                queue__rotational="1\n",
                queue__scheduler="none [mq-deadline] bfq\n",
            ),
            {
                "dev/disk/by-id/ata-ST300_S123": "../../sda",
                "dev/disk/by-id/wwn-0x5000c500a1b2c3d4": "../../sda",
                "dev/disk/by-id/wwn-0x5000c500a1b2c3d4-part1": "../../sda1",
            },
        )
        found = report(disks.disks(tree))
        assert found.value("disk", "logical", "count") == "1"
        assert found.value("disk", "sda", "size") == "300"  # no fraction: 300.0 GB
        assert found.value("disk", "sda", "vendor") == "ATA"
        assert found.value("disk", "sda", "rev") == "2.12"
        assert found.value("disk", "sda", "serial") == "S123"
        assert found.value("disk", "sda", "scheduler") == "mq-deadline"
        assert found.value("disk", "sda", "Write Cache Enable") == "1"
        assert found.value("disk", "sda", "Read Cache Disable") == "0"
        assert found.value("disk", "sda", "wwn-id") == "wwn-0x5000c500a1b2c3d4"
        assert [item.value for item in found.all("disk", "sda", "id")] == [
            "ata-ST300_S123",
            "wwn-0x5000c500a1b2c3d4",
        ]
        assert disks.all_disks(tree)[0].by_id == "/dev/disk/by-id/ata-ST300_S123"

    def test_nvme_and_virtio_serials(self, tmp_path: Path) -> None:
        tree = machine(
            tmp_path,
            block("nvme0n1", 2000409264, device__serial="S3EW \n", wwid="eui.0025385a1")
            | block("vda", 16777216, serial="EDL0001", device__vendor="0x1af4"),
        )
        known = {disk.name: disk for disk in disks.all_disks(tree)}
        assert (known["nvme0n1"].serial, known["nvme0n1"].wwn) == ("S3EW", "eui.0025385a1")
        assert (known["vda"].serial, known["vda"].size) == ("EDL0001", 8 << 30)
        assert known["vda"].by_id == "/dev/vda"

    def test_what_is_no_disk(self, tmp_path: Path) -> None:
        tree = machine(
            tmp_path,
            block("sr0", 100, device__vendor="QEMU")
            | block("loop0", 100)
            | block("dm-0", 100)
            | block("sdb", 0, device__vendor="card reader")
            | block("mmcblk0boot0", 100, device__type="MMC"),
        )
        assert report(disks.disks(tree)).rows() == [["disk", "logical", "count", "0"]]
        assert [disk.name for disk in disks.all_disks(tree)] == ["dm-0", "loop0"]

    def test_serial_from_udev_where_sysfs_has_none(self, tmp_path: Path) -> None:
        tree = machine(
            tmp_path,
            block("sda", 100, dev="8:0\n", device__model="x")
            | {"run/udev/data/b8:0": "S:disk/by-id/x\nE:ID_SERIAL_SHORT=S9\nE:ID_BUS=usb\n"},
        )
        assert disks.all_disks(tree)[0].serial == "S9"


PCI_IDS = b"""\
# comment
14e4  Broadcom Inc.
\t1657  NetXtreme BCM5719 Gigabit Ethernet PCIe
\t\t103c 169d  Ethernet 1Gb 4-port 331FLR Adapter
\t165f  NetXtreme BCM5720
1af4  Red Hat, Inc.
\t1000  Virtio network device
"""


class TestNetwork:
    def test_card(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pci = "sys/devices/pci0000:00/0000:15:00.0"
        card = f"{pci}/net/edtest0"
        addresses = [
            {
                "ifname": "lo",
                "addr_info": [{"local": "127.0.0.1", "prefixlen": 8, "scope": "host"}],
            },
            {
                "ifname": "edtest0",
                "addr_info": [
                    {"local": "10.66.6.136", "prefixlen": 24, "scope": "global"},
                    {"local": "fe80::1", "prefixlen": 64, "scope": "link"},
                    {"local": "fd77::5", "prefixlen": 64, "scope": "global"},
                ],
            },
        ]
        fake(tmp_path / "bin", "ip", f"cat <<'E'\n{json.dumps(addresses)}\nE")
        monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
        tree = machine(
            tmp_path,
            {
                f"{card}/address": "D8:9D:67:1B:07:E4\n",
                f"{card}/carrier": "1\n",
                f"{card}/speed": "1000\n",
                f"{card}/duplex": "full\n",
                f"{pci}/vendor": "0x14e4\n",
                f"{pci}/device": "0x1657\n",
                f"{pci}/config": "\x00" * 64,
                "usr/share/misc/pci.ids": PCI_IDS.decode(),
                "sys/class/net/lo/address": "00:00:00:00:00:00",
            },
            {
                f"{card}/device": "../../../0000:15:00.0",
                f"{pci}/driver": "../../../bus/pci/drivers/tg3",
                f"{pci}/subsystem": "../../../bus/pci",
                "sys/class/net/edtest0": "../../devices/pci0000:00/0000:15:00.0/net/edtest0",
            },
        )
        found = {item.key: item.value for item in network.network(tree)}
        assert found == {
            "serial": "d8:9d:67:1b:07:e4",
            "link": "yes",
            "driver": "tg3",
            "speed": "1Gbit/s",
            "size": "1000000000",
            "duplex": "full",
            "businfo": "pci@0000:15:00.0",
            "latency": "0",
            "vendor": "Broadcom Inc.",
            "product": "NetXtreme BCM5719 Gigabit Ethernet PCIe",
            "ipv4": "10.66.6.136",
            "ipv4-network": "10.66.6.0",
            "ipv4-cidr": "24",
            "ipv4-netmask": "255.255.255.0",
            "ipv6": "fd77::5",
            "ipv6-network": "fd77::",
            "ipv6-cidr": "64",
        }

    @pytest.mark.parametrize(
        ("vendor", "device", "names"),
        [
            ("1af4", "1000", ("Red Hat, Inc.", "Virtio network device")),
            ("14e4", "169d", ("Broadcom Inc.", "")),
            ("1af4", "165f", ("Red Hat, Inc.", "")),
            ("ffff", "1000", ("", "")),
            ("", "", ("", "")),
        ],
    )
    def test_pci_names(self, vendor: str, device: str, names: tuple[str, str]) -> None:
        assert network.pci_names(PCI_IDS, vendor, device) == names

    @pytest.mark.parametrize(
        ("megabits", "text"), [(100, "100Mbit/s"), (1000, "1Gbit/s"), (2500, "2.5Gbit/s")]
    )
    def test_speed(self, megabits: int, text: str) -> None:
        assert network.speed(megabits) == text


class TestIpmi:
    def test_lan_settings_of_a_real_bmc(self) -> None:
        if not PROBE_DATA.is_dir():
            pytest.skip(f"{PROBE_DATA} is not there")
        found = report(ipmi.parse_lan((PROBE_DATA / "ipmi_lan_info").read_text()))
        assert found.value("ipmi", "lan", "ip-address") == "10.151.68.13"
        assert found.value("ipmi", "lan", "mac-address") == "00:30:48:f4:4d:83"
        assert found.value("ipmi", "lan", "rmcp+-cipher-suites") == "1,2,3,6,7,8,11,12,0"
        assert "AMI" not in {item.value for item in found.items}

    def test_no_bmc_no_items(self, tmp_path: Path) -> None:
        assert list(ipmi.ipmi(Tree(tmp_path))) == []

    def test_channel_that_is_a_network(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        script = (
            'case "$*" in\n'
            '"channel info 8") echo "  Channel Medium Type   : 802.3 LAN";;\n'
            '"lan print 8") echo "IP Address              : 192.0.2.9";;\n'
            "*) exit 1;;\nesac"
        )
        fake(tmp_path / "bin", "ipmitool", script)
        monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
        tree = machine(tmp_path, {"dev/ipmi0": ""})
        assert report(ipmi.ipmi(tree)).rows() == [
            ["system", "ipmi", "channel", "8"],
            ["ipmi", "lan", "ip-address", "192.0.2.9"],
        ]


class TestAll:
    def test_a_failing_probe_is_an_item(self, tmp_path: Path) -> None:
        def broken(_: Tree) -> Iterator[Item]:
            yield Item("cpu", "logical", "number", "1")
            raise KeyError("socket")

        def good(_: Tree) -> list[Item]:
            return [Item("system", "product", "name", "lab")]

        found = probes.detect(Tree(tmp_path), [("broken", broken), ("good", good)])
        assert found.rows() == [
            ["probe", "broken", "error", "KeyError: 'socket'"],
            ["system", "product", "name", "lab"],
        ]

    def test_a_hanging_probe_does_not_hold_the_others(self, tmp_path: Path) -> None:
        release = threading.Event()

        def hanging(_: Tree) -> list[Item]:
            release.wait()
            return []

        try:
            found = probes.detect(Tree(tmp_path), [("disks", hanging)], patience=0.01)
        finally:
            release.set()
        assert found.rows() == [["probe", "disks", "error", "not done after 0.01 s"]]

    def test_this_machine(self) -> None:
        found = detect()
        assert int(found.value("cpu", "logical", "number") or 0) > 0
        assert int(found.value("memory", "total", "size") or 0) > 1 << 20
