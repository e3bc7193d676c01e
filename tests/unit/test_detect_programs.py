"""Probes that ask programs, against programs that print what real ones did."""

import os
from pathlib import Path

import pytest
from folder_machine import CAPTURED, block, fake, machine, report

from edeploy.errors import EdeployError
from edeploy.inventory.items import Item
from edeploy.node.detect import (
    card_driver,
    firmware_settings,
    ipmi,
    kernel_log,
    neighbours,
    probes,
    raid,
    sensors,
    smart,
    system,
)
from edeploy.node.detect.sources.ipmitool import parse_sdr
from edeploy.node.detect.tree import Tree


class TestIpmi:
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

    def test_fake_bmc_of_old_virtual_machines(self, tmp_path: Path) -> None:
        tree = machine(tmp_path, {"proc/cmdline": "console=ttyS0 FAKEIPMI\n"})
        assert report(ipmi.ipmi(tree)).rows() == [["system", "ipmi-fake", "channel", "0"]]

    def test_a_bmc_that_says_nothing_is_an_error(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fake(tmp_path / "bin", "ipmitool", "echo 'Could not open device' >&2; exit 1")
        monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
        with pytest.raises(EdeployError, match="Could not open device"):
            list(ipmi.ipmi(machine(tmp_path, {"dev/ipmi0": ""})))
        fake(tmp_path / "bin", "ipmitool", '[ "$*" = "mc info" ]')
        assert list(ipmi.ipmi(Tree(tmp_path))) == []


class TestSensors:
    def test_temperatures_of_a_socket_in_thousandths(self, tmp_path: Path) -> None:
        monitor = "sys/class/hwmon/hwmon3"
        tree = machine(
            tmp_path,
            {
                f"{monitor}/temp1_label": "Package id 1\n",
                f"{monitor}/temp1_input": "41000\n",
                f"{monitor}/temp1_max": "82000\n",
                f"{monitor}/temp10_label": "Core 8\n",
                f"{monitor}/temp10_input": "39000\n",
                f"{monitor}/temp2_label": "Core 0\n",
                f"{monitor}/temp2_crit": "92000\n",
                f"{monitor}/temp2_crit_alarm": "0\n",
                "sys/class/hwmon/hwmon0/temp1_label": "Composite",
                "sys/class/hwmon/hwmon0/temp1_input": "30000",
            },
            {f"{monitor}/device": "../../../devices/platform/coretemp.1"},
        )
        assert report(sensors.sensors(tree)).rows() == [
            ["cpu", "physical_1", "Package_id_1/temperature", "41000"],
            ["cpu", "physical_1", "Package_id_1/max", "82000"],
            ["cpu", "physical_1", "Core_0/critical", "92000"],
            ["cpu", "physical_1", "Core_0/critical_alarm", "0"],
            ["cpu", "physical_1", "Core_8/temperature", "39000"],
        ]

    def test_what_the_bmc_told_before_it_failed_stays(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        script = f"cat {CAPTURED}/ipmitool-sdr.txt; echo 'Get SDR 4 failed' >&2; exit 1"
        fake(tmp_path / "bin", "ipmitool", script)
        monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
        tree = machine(tmp_path, {"dev/ipmi0": ""})
        found = probes.detect(tree, [probes.Probe("sensors", sensors.sensors)])
        known = parse_sdr((CAPTURED / "ipmitool-sdr.txt").read_text())
        reason = "ipmitool sdr: exit status 1 | Get SDR 4 failed"
        assert list(found.items) == [*known, Item("probe", "sensors", "error", reason)]


class TestSmart:
    def test_each_disk_is_asked_and_one_that_is_silent_is_an_item(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        none = CAPTURED / "smartctl-none.json"
        script = (
            f'case "$*" in\n"-j -a /dev/sda") cat {CAPTURED}/smartctl-ata.json;;\n'
            f'"-j -a /dev/sdb") cat {none}; exit 2;;\n'
            f'"-j -a /dev/nvme0n1") cat {CAPTURED}/smartctl-nvme.json;;\nesac'
        )
        fake(tmp_path / "bin", "smartctl", script)
        monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
        files: dict[str, str] = {}
        for name in ("sda", "sdb", "nvme0n1", "vda"):
            files |= block(name, 1000, device__model="x")
        found = report(smart.smart(machine(tmp_path, files)))
        assert found.value("disk", "sda", "SMART/serial_number") == "SATA1"
        assert found.value("disk", "nvme0n1", "SMART/model_number") == "QEMU NVMe Ctrl"
        complaint = "/dev/null: Unable to detect device type"
        assert found.value("probe", "smart:sdb", "error") == complaint
        assert not found.all(id="vda")
        assert [item.id for item in found.items] == sorted(
            (item.id for item in found.items),
            key=["nvme0n1", "sda", "smart:sdb"].index,
        )

    def test_a_version_without_json(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        script = (
            'if [ "$1" = -j ]; then echo "=======> UNRECOGNIZED OPTION: j"; exit 1; fi\n'
            f"cat {CAPTURED}/smartctl-ata.txt"
        )
        fake(tmp_path / "bin", "smartctl", script)
        monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
        tree = machine(tmp_path, block("sda", 1000, device__model="x"))
        found = report(smart.smart(tree))
        assert found.value("disk", "sda", "SMART/device_model") == "QEMU HARDDISK"

    def test_disks_behind_controllers(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scan = '{"devices": [{"name": "/dev/bus/2", "type": "megaraid,8"}]}'
        script = (
            f'case "$*" in\n"--scan -j") echo \'{scan}\';;\n'
            f"*megaraid,8|*cciss,1) cat {CAPTURED}/smartctl-ata.json;;\n"
            f"*) cat {CAPTURED}/smartctl-scsi.json;;\nesac"
        )
        fake(tmp_path / "bin", "smartctl", script)
        monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
        files = {
            "sys/devices/2:0:0:0/vendor": "DELL",
            "sys/devices/3:0:0:0/vendor": "HP",
            "sys/devices/3:0:0:0/model": "LOGICAL VOLUME",
        }
        for name in ("sda", "sdb"):
            files[f"sys/block/{name}/size"] = "1000"
        links = {
            "sys/block/sda/device": "../../devices/2:0:0:0",
            "sys/block/sdb/device": "../../devices/3:0:0:0",
        }
        found = report(smart.smart(machine(tmp_path, files, links)))
        assert {item.id for item in found.items} == {"sda{megaraid,8}", "sdb{cciss,1}"}

    def test_nvme_where_smartctl_is_not(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        script = f"[ $4 = /dev/nvme1n1 ] && /bin/cat {CAPTURED}/nvme-smart-log.json"
        fake(tmp_path / "bin", "nvme", script)
        monkeypatch.setenv("PATH", f"{tmp_path}/bin")
        files = block("nvme0n1", 1000, device__model="x") | block(
            "nvme1n1", 1000, device__model="x"
        )
        found = report(smart.smart(machine(tmp_path, files)))
        assert found.value("disk", "nvme1n1", "SMART/temperature") == "50"
        complaint = "nvme smart-log -o json /dev/nvme0n1: exit status 1"
        assert found.value("probe", "smart:nvme0n1", "error") == complaint


class TestRaid:
    def test_smart_array(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        script = (
            'case "$*" in\n"ctrl all show") echo "Smart Array P420i in Slot 0 (Embedded)";;\n'
            '"ctrl slot=0 show") echo "   Firmware Version: 8.32";;\n'
            f'"ctrl slot=0 pd all show") cat {CAPTURED}/ssacli-drives.txt;;\n'
            f'"ctrl slot=0 pd all show detail") cat {CAPTURED}/ssacli-details.txt;;\nesac'
        )
        fake(tmp_path / "bin", "hpssacli", script)
        monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
        found = report(raid.hpa(Tree(tmp_path)))
        assert found.value("hpa", "slots", "count") == "1"
        assert found.value("hpa", "slot_0", "firmware_version") == "8.32"
        assert found.value("disk", "1I:1:3", "type") == "Solid State SATA"
        assert found.value("disk", "1I:1:1", "rotational_speed") == "10000"
        assert found.value("disk", "hpa", "count") == "3"
        assert found.value("disk", "hpa", "size") == "2580.10"

    def test_megacli(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        script = (
            'case "$*" in\n*-adpCount*) echo "Controller Count: 1.";;\n'
            '*-AdpAllInfo*) echo "Product Name    : PERC H310";;\n'
            "*-EncInfo*) printf '    Enclosure 0:\\n    Device ID   : 32\\n"
            "    Number of Slots : 2\\n';;\n"
            "*'[32:1]'*) printf 'Enclosure Device ID: 32\\nPD Type: SAS\\n"
            "Coerced Size: 278.875 GB [0x0 Sectors]\\n';;\n"
            '*-LDGetNum*) echo "Number of Virtual Drives Configured on Adapter 0: 1";;\n'
            '*-LDInfo*) echo "State: Optimal";;\nesac'
        )
        fake(tmp_path / "bin", "MegaCli64", script)
        monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
        found = report(raid.megaraid(Tree(tmp_path)))
        assert found.value("megaraid", "Controller_0", "ProductName") == "PERC H310"
        assert found.value("pdisk", "disk1", "size") == "278.875"
        assert found.value("pdisk", "all", "size") == "278.88"
        assert found.value("ldisk", "disk0", "State") == "Optimal"
        assert found.value("disk", "megaraid", "count") == "1"

    def test_storcli_is_asked_first(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fake(tmp_path / "bin", "perccli64", f"cat {CAPTURED}/storcli.json")
        fake(tmp_path / "bin", "megacli", "echo 'Controller Count: 9.'")
        monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
        found = report(raid.megaraid(Tree(tmp_path)))
        assert found.value("pdisk", "disk2", "MediaType") == "HDD"
        assert found.value("disk", "megaraid", "count") == "3"

    def test_areca(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        script = (
            'case "$*" in\n"sys info") echo "Controller Name    : ARC-1222";;\n'
            '"hw info") echo "  CPU Fan          : 2596 RPM";;\n'
            "\"disk info drv=1\") printf 'Model Name  : Hitachi\\nDisk Capacity : 1000.2GB\\n';;\n"
            "esac"
        )
        fake(tmp_path / "bin", "cli64", script)
        monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
        found = report(raid.areca(Tree(tmp_path)))
        assert found.value("areca", "hardware", "CpuFan") == "2596"
        assert found.value("areca", "disk1", "DiskCapacity") == "1000.2"
        assert not found.all("areca", "disk2")


class TestOtherSources:
    def test_kernel_log_only_where_a_sata_controller_is(self, tmp_path: Path) -> None:
        log = (CAPTURED / "kernel-log.txt").read_text()
        tree = machine(tmp_path, {"dev/kmsg": log})
        assert list(kernel_log.kernel_log(tree)) == []
        machine(tmp_path, {"sys/bus/pci/drivers/ahci/0000:00:1f.2/vendor": "0x8086"})
        assert report(kernel_log.kernel_log(tree)).value("ahci", "0000:00:1f.2:", "flags")

    def test_firmware_settings_of_hp(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        xml = '<Conrep><Section name="Power_Button_Mode">Enabled</Section></Conrep>'
        fake(tmp_path / "bin", "hp-conrep", f"echo '{xml}' > \"$3\"")
        monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
        tree = machine(tmp_path, {"sys/class/dmi/id/sys_vendor": "HPE\n"})
        assert report(firmware_settings.firmware_settings(tree)).rows() == [
            ["hp", "bios", "Power_Button_Mode", "Enabled"]
        ]

    def test_neighbours_by_a_daemon(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fake(tmp_path / "bin", "lldpctl", f"cat {CAPTURED}/lldpctl.json")
        monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
        assert report(neighbours.neighbours(Tree(tmp_path))).value("lldp", "vb", "switch") == "vm"

    def test_a_machine_without_smbios(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        xml = '<node id="p" class="system"><product>8335-GTG</product></node>'
        fake(tmp_path / "bin", "lshw", f"echo '{xml}'")
        monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
        assert report(system.lshw(Tree(tmp_path))).rows() == [
            ["system", "product", "name", "8335-GTG"]
        ]

    def test_fastest_mode_of_a_card(self) -> None:
        twenty_five = (1 << 31 | 1 << 5 | 1 << 6).to_bytes(4, "little") + bytes(4)
        assert card_driver.fastest(twenty_five) == 25000
        assert card_driver.fastest(bytes(8)) == 0
        assert card_driver.fastest(b"") == 0
