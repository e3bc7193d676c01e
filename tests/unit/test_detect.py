"""Probes that read the kernel's files, against machines that are folders; and all of them."""

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from folder_machine import CAPTURED, block, fake, machine, report

from edeploy.inventory.items import MAX_REPORT_BYTES, Item, parse_report
from edeploy.node.detect import (
    aliases,
    cpu,
    detect,
    devices,
    disks,
    infiniband,
    memory,
    network,
    probes,
    security,
    system,
)
from edeploy.node.detect.probes import Probe
from edeploy.node.detect.tree import SMBIOS, Tree


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
    def test_total_is_what_the_banks_hold(self, tmp_path: Path) -> None:
        table = (CAPTURED / "smbios.bin").read_bytes()
        tree = machine(tmp_path, {"proc/meminfo": "MemTotal:  2900000 kB\n"})
        (tmp_path / SMBIOS).parent.mkdir(parents=True)
        (tmp_path / SMBIOS).write_bytes(table)
        found = report(memory.memory(tree))
        assert found.value("memory", "total", "size") == str(3 << 30)
        assert found.value("memory", "banks", "count") == "1"

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

    def test_what_firmware_says_of_the_sockets(self, tmp_path: Path) -> None:
        tree = machine(tmp_path, {"sys/devices/system/cpu/smt/control": "on\n"})
        (tmp_path / SMBIOS).parent.mkdir(parents=True)
        (tmp_path / SMBIOS).write_bytes((CAPTURED / "smbios.bin").read_bytes())
        found = report(cpu.cpu(tree))
        assert found.value("cpu", "physical_1", "physid") == "401"
        assert found.value("cpu", "physical_1", "enabled_cores") == "2"
        assert found.value("cpu", "physical", "smt") == "on"

    def test_names_that_only_lscpu_knows(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fields = [
            {"field": "Vendor ID:", "data": "ARM"},
            {"field": "Model name:", "data": "Neoverse-N1"},
        ]
        script = f"[ $1 = -J ] && cat <<'E'\n{json.dumps({'lscpu': fields})}\nE"
        fake(tmp_path / "bin", "lscpu", script)
        monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
        arm = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n"
        found = report(cpu.cpu(machine(tmp_path, {"proc/cpuinfo": arm})))
        assert found.value("cpu", "physical_0", "product") == "Neoverse-N1"
        assert found.value("cpu", "physical_0", "vendor") == "ARM"


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


PCI_IDS = """\
# names
14e4  Broadcom Inc. and subsidiaries
\t1657  NetXtreme BCM5719 Gigabit Ethernet PCIe
10de  NVIDIA Corporation
\t20b5  GA100 [A100 PCIe 80GB]
1a03  ASPEED Technology, Inc.
1000  Broadcom / LSI
\t005d  MegaRAID SAS-3 3108 [Invader]
"""


class TestNetwork:
    def test_card(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        port = "sys/devices/pci0000:00/0000:00:03.0"
        pci = f"{port}/0000:15:00.0"
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
                f"{pci}/current_link_width": "1\n",
                f"{pci}/max_link_width": "4\n",
                f"{port}/max_link_width": "2\n",
                f"{pci}/current_link_speed": "2.5 GT/s PCIe\n",
                f"{pci}/max_link_speed": "5.0 GT/s PCIe\n",
                f"{port}/max_link_speed": "8.0 GT/s PCIe\n",
                "usr/share/misc/pci.ids": PCI_IDS,
                "sys/class/net/lo/address": "00:00:00:00:00:00",
            },
            {
                f"{card}/device": "../../../0000:15:00.0",
                f"{pci}/driver": "../../../bus/pci/drivers/tg3",
                f"{pci}/subsystem": "../../../bus/pci",
                "sys/class/net/edtest0": f"../../{card[len('sys/') :]}",
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
            "vendor": "Broadcom Inc. and subsidiaries",
            "pcie_width": "1",
            "pcie_width_max": "2",
            "pcie_speed": "2.5",
            "pcie_speed_max": "5.0",
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
        ("megabits", "text"), [(100, "100Mbit/s"), (1000, "1Gbit/s"), (2500, "2.5Gbit/s")]
    )
    def test_speed(self, megabits: int, text: str) -> None:
        assert network.speed(megabits) == text


class TestDevices:
    def test_graphics_and_controllers(self, tmp_path: Path) -> None:
        files = {"usr/share/misc/pci.ids": PCI_IDS}
        for address, number, vendor, device in (
            ("0000:03:00.0", "0x010400", "0x1000", "0x005d"),
            ("0000:04:00.0", "0x010802", "0x144d", "0xa80a"),
            ("0000:06:00.0", "0x030000", "0x1a03", "0x2000"),
            ("0000:3b:00.0", "0x030200", "0x10de", "0x20b5"),
        ):
            folder = f"sys/bus/pci/devices/{address}"
            files |= {f"{folder}/class": number, f"{folder}/vendor": vendor}
            files[f"{folder}/device"] = device
        files["sys/bus/pci/devices/0000:3b:00.0/current_link_width"] = "8"
        files["sys/bus/pci/devices/0000:3b:00.0/max_link_width"] = "16"
        assert report(devices.devices(machine(tmp_path, files))).rows() == [
            ["controller", "0000:03:00.0", "vendor", "Broadcom / LSI"],
            ["controller", "0000:03:00.0", "product", "MegaRAID SAS-3 3108 [Invader]"],
            ["controller", "0000:03:00.0", "class", "0104"],
            ["gpu", "0000:3b:00.0", "vendor", "NVIDIA Corporation"],
            ["gpu", "0000:3b:00.0", "product", "GA100 [A100 PCIe 80GB]"],
            ["gpu", "0000:3b:00.0", "class", "0302"],
            ["gpu", "0000:3b:00.0", "pcie_width", "8"],
            ["gpu", "0000:3b:00.0", "pcie_width_max", "16"],
            ["gpu", "logical", "count", "1"],
        ]


class TestSecurity:
    @pytest.mark.parametrize(("byte", "word"), [(b"\1", "on"), (b"\0", "off")])
    def test_secure_boot(self, tmp_path: Path, byte: bytes, word: str) -> None:
        folder = tmp_path / "sys/firmware/efi/efivars"
        folder.mkdir(parents=True)
        name = "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
        (folder / name).write_bytes(b"\6\0\0\0" + byte)
        assert report(security.security(Tree(tmp_path))).rows() == [
            ["system", "boot", "secure_boot", word]
        ]

    def test_tpm(self, tmp_path: Path) -> None:
        tree = machine(tmp_path, {"sys/class/tpm/tpm0/tpm_version_major": "2\n"})
        found = report(security.security(tree))
        assert found.value("system", "tpm", "version") == "2"

    def test_neither(self, tmp_path: Path) -> None:
        assert list(security.security(Tree(tmp_path))) == []


class TestInfiniband:
    def test_a_card_as_ibstat_tells_it(self, tmp_path: Path) -> None:
        card = "sys/class/infiniband/mlx4_0"
        tree = machine(
            tmp_path,
            {
                f"{card}/hca_type": "MT4099\n",
                f"{card}/fw_ver": "2.11.500\n",
                f"{card}/hw_rev": "0x0\n",
                f"{card}/node_guid": "0002:c903:00ea:6840\n",
                f"{card}/sys_image_guid": "0002:c903:00ea:6843\n",
                f"{card}/ports/1/state": "4: ACTIVE\n",
                f"{card}/ports/1/phys_state": "5: LinkUp\n",
                f"{card}/ports/1/rate": "56 Gb/sec (4X FDR)\n",
                f"{card}/ports/1/lid": "0x6\n",
                f"{card}/ports/1/lid_mask_count": "0x0\n",
                f"{card}/ports/1/sm_lid": "0x1\n",
                f"{card}/ports/1/link_layer": "InfiniBand\n",
                f"{card}/ports/1/gids/0": "fe80:0000:0000:0000:0002:c903:00ea:6841\n",
            },
        )
        assert [tuple(item[1:]) for item in infiniband.infiniband(tree)] == [
            ("card0", "card_type", "mlx4_0"),
            ("card0", "device_type", "MT4099"),
            ("card0", "fw_version", "2.11.500"),
            ("card0", "hw_version", "0"),
            ("card0", "nb_ports", "1"),
            ("card0", "sys_guid", "0x0002c90300ea6843"),
            ("card0", "node_guid", "0x0002c90300ea6840"),
            ("card0_port1", "state", "Active"),
            ("card0_port1", "physical_state", "LinkUp"),
            ("card0_port1", "rate", "56"),
            ("card0_port1", "link_layer", "InfiniBand"),
            ("card0_port1", "base_lid", "6"),
            ("card0_port1", "lmc", "0"),
            ("card0_port1", "sm_lid", "1"),
            ("card0_port1", "port_guid", "0x0002c90300ea6841"),
        ]


class TestAliases:
    def test_older_spellings(self) -> None:
        items = [
            Item("cpu", "physical_0", "vendor", "GenuineIntel"),
            Item("cpu", "physical_0", "product", "Intel(R) Xeon(R) CPU E5-2420 v2 @ 2.20GHz"),
            Item("cpu", "physical_0", "clock", "7200000000"),
            Item("network", "eth0", "vendor", "Broadcom Inc. and subsidiaries"),
            Item("disk", "sda", "rev", "2.12"),
            Item("ldisk", "disk0", "StripSize", "64 KB"),
            Item("system", "product", "name", "edeploy_test_vm"),
        ]
        assert [tuple(item) for item in aliases.aliases(items)] == [
            ("cpu", "physical_0", "vendor", "Intel Corp."),
            ("cpu", "physical_0", "product", "Xeon"),
            ("cpu", "physical_0", "clock", "2905032704"),
            ("network", "eth0", "vendor", "Broadcom Corporation"),
            ("disk", "sda", "revision", "2.12"),
            ("ldisk", "disk0", "strip_size", "64 KB"),
            ("system", "product", "name", "edeploy_test_vm ()"),
        ]

    def test_a_product_with_its_sku_has_no_other_name(self) -> None:
        item = Item("system", "product", "name", "ProLiant DL360p Gen8 (654081-B21)")
        assert list(aliases.aliases([item])) == []


class TestAll:
    def test_a_failing_probe_leaves_the_reason_and_what_it_had_found(self, tmp_path: Path) -> None:
        def broken(_: Tree) -> Iterator[Item]:
            yield Item("cpu", "logical", "number", "1")
            raise KeyError("socket")

        def good(_: Tree) -> list[Item]:
            return [Item("system", "product", "serial", "lab")]

        found = probes.detect(Tree(tmp_path), [Probe("broken", broken), Probe("good", good)])
        assert found.rows() == [
            ["cpu", "logical", "number", "1"],
            ["probe", "broken", "error", "KeyError: 'socket'"],
            ["system", "product", "serial", "lab"],
        ]

    def test_a_hanging_probe_does_not_hold_the_others(self, tmp_path: Path) -> None:
        said, release = threading.Event(), threading.Event()

        def hanging(_: Tree) -> Iterator[Item]:
            yield Item("disk", "logical", "count", "2")
            said.set()
            release.wait()
            yield Item("disk", "sda", "size", "1")

        def other(_: Tree) -> list[Item]:
            said.wait()
            return [Item("cpu", "logical", "number", "1")]

        told: list[str] = []
        try:
            found = probes.detect(
                Tree(tmp_path),
                [Probe("cpu", other), Probe("disks", hanging, patience=0.01)],
                on_end=lambda all_of_them: told.extend(one.name for one in all_of_them),
            )
        finally:
            release.set()
        assert found.rows() == [
            ["cpu", "logical", "number", "1"],
            ["disk", "logical", "count", "2"],
            ["probe", "disks", "error", "not done after 0.01 s"],
        ]
        assert told == ["cpu", "disks"]

    def test_a_program_that_fails_is_told_in_one_line_and_cards_stay(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fake(tmp_path / "bin", "ip", "echo 'no such thing' >&2; exit 3")
        monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
        card = "sys/class/net/edtest0"
        tree = machine(tmp_path, {f"{card}/address": "52:54:00:00:00:01", f"{card}/device/x": ""})
        found = probes.detect(tree, [Probe("network", network.network)])
        assert found.value("network", "edtest0", "serial") == "52:54:00:00:00:01"
        reason = "ip -json address show: exit status 3 | no such thing"
        assert found.value("probe", "network", "error") == reason

    def test_a_program_that_is_absent_is_no_error(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
        files = block("sda", 1000, device__model="x") | {"dev/ipmi0": ""}
        found = probes.detect(machine(tmp_path, files))
        assert found.all("probe") == []
        assert found.value("disk", "sda", "model") == "x"

    def test_a_report_too_long_for_an_upload_is_cut_and_says_so(self, tmp_path: Path) -> None:
        def talkative(_: Tree) -> list[Item]:
            return [Item("ipmi", f"sensor {n}", "value", "x" * 1000) for n in range(3000)]

        found = probes.detect(Tree(tmp_path), [Probe("talkative", talkative)])
        data = json.dumps(found.rows()).encode()
        assert len(data) < MAX_REPORT_BYTES
        assert parse_report(data).rows() == found.rows()
        assert "items were left out" in (found.value("probe", "report", "error") or "")
        assert found.items[0].id == "sensor 0"

    def test_this_machine(self) -> None:
        found = detect()
        assert int(found.value("cpu", "logical", "number") or 0) > 0
        assert int(found.value("memory", "total", "size") or 0) > 1 << 20
