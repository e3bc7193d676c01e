"""Parsers: each file that a real program printed gives the items that reports have."""

import ast
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from edeploy.inventory.items import Item, Report
from edeploy.node.detect import sources
from edeploy.node.detect.sources import (
    areca,
    conrep,
    cpuinfo,
    ethtool,
    ip_address,
    ipmitool,
    kernel_log,
    lldp,
    lldpctl,
    lldptool,
    lscpu,
    lshw,
    megacli,
    nvme,
    pci_ids,
    sizes,
    smartctl,
    smbios,
    ssacli,
    storcli,
)
from edeploy.node.detect.sources.cpulist import range_list
from edeploy.node.detect.sources.loose_json import document

PROBE_DATA = Path(__file__).parents[3] / "shared/data/probe"
CAPTURED = Path(__file__).parents[1] / "captured"

Parse = Callable[[str], Iterable[Item]]


def bytes_of(text: str) -> bytes:
    return text.encode("latin-1")


def cpuinfo_items(text: str) -> Iterable[Item]:
    for number, record in cpuinfo.parse_cpuinfo(text).items():
        yield Item("cpu", f"logical_{number}", "product", record.get("model name", ""))


def frame_items(text: str) -> Iterable[Item]:
    neighbour = lldp.parse_frame(bytes_of(text))
    return neighbour.items("eth0") if neighbour else ()


def scan_items(text: str) -> Iterable[Item]:
    return [Item("disk", name, "SMART/type", kind) for name, kind in smartctl.scan(text)]


def complaint_items(text: str) -> Iterable[Item]:
    return [Item("probe", "smart:x", "error", smartctl.complaint(text))]


def controller_items(text: str) -> Iterable[Item]:
    return [Item("hpa", f"slot_{it.slot}", "name", it.name) for it in ssacli.controllers(text)]


# Which parser a file is for, by its name; the first that fits.
PARSERS: tuple[tuple[str, Parse], ...] = (
    (r"areca_disks", lambda text: areca.parse_areca(text, "disk1")),
    (r"areca_hw", lambda text: areca.parse_areca(text, "hardware")),
    (r"areca_sys", lambda text: areca.parse_areca(text, "system")),
    (r"conrep", conrep.parse_conrep),
    (r"cpuinfo", cpuinfo_items),
    (r"ctrl_ld_show", lambda text: [*ssacli.parse_logical(text, 2), *ssacli.parse_drives(text, 2)]),
    (r"dmesg|kernel-log", kernel_log.parse_kernel_log),
    (r"ethtool", lambda text: ethtool.parse_features(text, "eth0")),
    (r"ipmi_lan", ipmitool.parse_lan),
    (r"ipmi.*sdr", ipmitool.parse_sdr),
    (r"lldp-frame", frame_items),
    (r"lldpctl", lldpctl.parse_lldpctl),
    (r"lldptool", lambda text: lldptool.parse_lldptool(text, "eth0")),
    (r"lscpu", lscpu.parse_lscpu),
    (r"lshw", lshw.parse_lshw),
    (r"megacli_adpcount|megacli_adp_all", lambda text: megacli.parse_adapter(text, 0)),
    (r"megacli_enc", lambda text: megacli.parse_enclosures(text, 0)),
    (r"megacli_ld", lambda text: megacli.parse_logical(text, 0)),
    (r"nvme-smart", lambda text: nvme.parse_nvme(text, "nvme0n1")),
    (r"smartctl-scan", scan_items),
    (r"smartctl-none", complaint_items),
    # A disk of QEMU's SCSI has no SMART: nothing is the right answer.
    (r"smartctl", lambda text: smartctl.parse_smartctl(text, "sda")),
    (r"smbios", lambda text: smbios.memory_banks(smbios.structures(bytes_of(text)))),
    (r"ssacli-controllers", controller_items),
    (r"ssacli-drives", lambda text: ssacli.parse_drives(text, 0)),
    (r"ssacli-details", ssacli.parse_drive_details),
    (r"storcli", storcli.parse_storcli),
)
SILENT = {"smartctl-scsi.json"}


def parser_of(name: str) -> Parse | None:
    return next((parse for pattern, parse in PARSERS if re.match(f".*?(?:{pattern})", name)), None)


def read(path: Path) -> str:
    if path.suffix == ".bin":
        return path.read_bytes().decode("latin-1")
    return path.read_text(errors="replace")


def parsed(path: Path) -> Report:
    parse = parser_of(path.name)
    assert parse is not None, f"no parser for {path}"
    return Report(tuple(parse(read(path))))


def shared(name: str) -> Report:
    if not PROBE_DATA.is_dir():
        pytest.skip(f"{PROBE_DATA} is not there")
    return parsed(PROBE_DATA / name)


FILES = [path for path in sorted(CAPTURED.iterdir()) if path.suffix != ".md"]
if PROBE_DATA.is_dir():
    FILES += sorted(PROBE_DATA.iterdir())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_has_a_parser_that_finds_something(path: Path) -> None:
    report = parsed(path)
    assert bool(report.items) == (path.name not in SILENT)
    for item in report.items:
        assert all(isinstance(field, str) and field == field.strip() for field in item), item
        assert all(item), item
        assert "\n" not in "".join(item), item


def modules() -> list[Path]:
    return sorted(Path(sources.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.name)
def test_parsers_are_pure(path: Path) -> None:
    """They see text and nothing else: no module that could read, run or send."""
    pure = {"__future__", "re", "json", "ipaddress", "xml", "dataclasses", "collections"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        for name in names:
            inside = name.startswith(("edeploy.inventory.items", "edeploy.node.detect.sources"))
            assert inside or name.split(".")[0] in pure & sys.stdlib_module_names, name
    assert "open(" not in path.read_text()


class TestSmartctl:
    def test_ata(self) -> None:
        found = shared("smartctl_ata")
        assert found.value("disk", "sda", "SMART/device_model") == "ST3000DM001-9YN166"
        assert found.value("disk", "sda", "SMART/health") == "OK"
        name = "SMART/Airflow_Temperature_Cel(190)"
        assert found.value("disk", "sda", f"{name}/value") == "064"
        assert found.value("disk", "sda", f"{name}/thresh") == "045"
        assert found.value("disk", "sda", f"{name}/when_failed") == "NEVER"
        assert found.value("disk", "sda", f"{name}/raw") == "36 (Min/Max 34/38)"

    def test_nvme(self) -> None:
        found = shared("smartctl_nvme")
        assert found.value("disk", "sda", "SMART/model_number") == "Samsung SSD 950 PRO 256GB"
        assert found.value("disk", "sda", "SMART/temperature") == "40"
        assert found.value("disk", "sda", "SMART/temperature_unit") == "Celsius"
        assert found.value("disk", "sda", "SMART/critical_warning") == "0x00"
        assert found.value("disk", "sda", "SMART/percentage_used") == "0"

    def test_text_and_json_of_one_disk_give_the_same_items(self) -> None:
        text, structured = (parsed(CAPTURED / f"smartctl-ata.{kind}") for kind in ("txt", "json"))
        assert set(text.rows()[0]) == set(structured.rows()[0])
        assert sorted(text.items) == sorted(structured.items)
        assert len(text.items) > 30

    def test_smartctl_and_nvme_agree_on_one_disk(self) -> None:
        by_nvme = parsed(CAPTURED / "nvme-smart-log.json")
        by_smartctl = smartctl.parse_smartctl(read(CAPTURED / "smartctl-nvme.json"), "nvme0n1")
        assert set(by_nvme.items) <= set(by_smartctl)

    def test_a_failing_disk(self) -> None:
        text = (
            '{"model_name": "X", "smart_status": {"passed": false}, "ata_smart_attributes": {'
            '"table": [{"id": 5, "name": "Reallocated_Sector_Ct", "value": 9, "worst": 9,'
            ' "thresh": 36, "when_failed": "now", "raw": {"value": 7, "string": "7"}}]}}'
        )
        found = Report(tuple(smartctl.parse_smartctl(text, "sda")))
        assert found.value("disk", "sda", "SMART/health") == "FAILED"
        failed = found.value("disk", "sda", "SMART/Reallocated_Sector_Ct(5)/when_failed")
        assert failed == "FAILING_NOW"

    def test_a_sas_disk_in_json(self) -> None:
        text = (
            '{"scsi_vendor": "SEAGATE", "scsi_product": "ST9300605SS", "serial_number": "6XP2",'
            '"rotation_rate": 10000, "smart_status": {"passed": true},'
            '"temperature": {"current": 36, "drive_trip": 68}, "power_on_time": {"hours": 14491},'
            '"scsi_grown_defect_list": 3, "scsi_start_stop_cycle_counter":'
            '{"accumulated_start_stop_cycles": 8}, "scsi_error_counter_log": {"read":'
            '{"total_errors_corrected": 15, "gigabytes_processed": "25920.949",'
            '"total_uncorrected_errors": 1}}}'
        )
        assert {item.key[6:]: item.value for item in smartctl.parse_smartctl(text, "sda")} == {
            "vendor": "SEAGATE",
            "product": "ST9300605SS",
            "serial_number": "6XP2",
            "rotation_rate": "10000 rpm",
            "health": "OK",
            "current_drive_temperature": "36",
            "current_drive_temperature_unit": "C",
            "drive_trip_temperature": "68",
            "drive_trip_temperature_unit": "C",
            "start_stop_cycle_count": "8",
            "power_on_hours": "14491",
            "grown_defects": "3",
            "read_total_corrected_errors": "15",
            "read_gigabytes_processed": "25920.949",
            "read_total_uncorrected_errors": "1",
        }

    def test_a_sas_disk_in_text(self) -> None:
        text = (
            "Vendor:               SEAGATE\nProduct:              ST9300605SS\n"
            "SMART Health Status: FAILURE PREDICTION THRESHOLD EXCEEDED\n"
            "Current Drive Temperature:     36 C\n"
            "read:   1521076288        0         0  1521076288          0      25920.949       2\n"
        )
        found = Report(tuple(smartctl.parse_smartctl(text, "sda")))
        health = found.value("disk", "sda", "SMART/health")
        assert health == "FAILURE PREDICTION THRESHOLD EXCEEDED"
        assert found.value("disk", "sda", "SMART/current_drive_temperature") == "36"
        assert found.value("disk", "sda", "SMART/read_total_uncorrected_errors") == "2"

    def test_scan_and_complaint(self) -> None:
        devices = smartctl.scan(read(CAPTURED / "smartctl-scan.json"))
        assert ("/dev/nvme0", "nvme") in devices
        complaint = smartctl.complaint(read(CAPTURED / "smartctl-none.json"))
        assert complaint == "/dev/null: Unable to detect device type"
        assert smartctl.complaint("{}") == ""


class TestSmbios:
    def test_the_lab(self) -> None:
        entries = smbios.structures((CAPTURED / "smbios.bin").read_bytes())
        banks = Report(tuple(smbios.memory_banks(entries)))
        assert banks.value("memory", "bank:0", "size") == str(3 << 30)
        assert banks.value("memory", "bank:0", "description") == "DIMM RAM 1600 MHz (0.6 ns)"
        assert banks.value("memory", "bank:0", "configured_clock") == "1600000000"
        sockets = Report(tuple(smbios.processors(entries)))
        assert sockets.value("cpu", "physical_0", "physid") == "400"
        assert sockets.value("cpu", "physical_1", "socket") == "CPU 1"
        assert sockets.value("cpu", "physical_1", "frequency") == "2000000000"

    def test_modules_of_two_sockets(self) -> None:
        first = device(
            array=0x1000, size=16384, speed=1600, configured=1333, slot="PROC  1 DIMM  1"
        )
        empty = device(array=0x1000, size=0, speed=0, configured=0, slot="PROC  1 DIMM  2")
        slot = "PROC  2 DIMM 1"
        large = device(
            array=0x1001, size=0x7FFF, speed=4800, configured=4800, slot=slot, extended=65536
        )  # fmt: skip
        table = array(0x1000) + array(0x1001) + first + empty + large + b"\x7f\4\0\0\0\0"
        assert [list(item[1:]) for item in smbios.memory_banks(smbios.structures(table))] == [
            ["bank:0:0", "size", "17179869184"],
            ["bank:0:0", "clock", "1600000000"],
            ["bank:0:0", "configured_clock", "1333000000"],
            ["bank:0:0", "description", "DIMM DDR3 Synchronous 1600 MHz (0.6 ns)"],
            ["bank:0:0", "vendor", "HP"],
            ["bank:0:0", "slot", "PROC  1 DIMM  1"],
            ["bank:0:0", "type", "DDR3"],
            ["bank:0:0", "ranks", "2"],
            ["bank:0:1", "description", "DIMM DDR3 Synchronous [empty]"],
            ["bank:0:1", "vendor", "HP"],
            ["bank:0:1", "slot", "PROC  1 DIMM  2"],
            ["bank:1:0", "size", "68719476736"],
            ["bank:1:0", "clock", "4800000000"],
            ["bank:1:0", "configured_clock", "4800000000"],
            ["bank:1:0", "description", "DIMM DDR3 Synchronous 4800 MHz (0.2 ns)"],
            ["bank:1:0", "vendor", "HP"],
            ["bank:1:0", "slot", "PROC  2 DIMM 1"],
            ["bank:1:0", "type", "DDR3"],
            ["bank:1:0", "ranks", "2"],
            ["banks", "count", "3"],
        ]


def array(handle: int) -> bytes:
    return bytes([16, 15]) + handle.to_bytes(2, "little") + bytes(11) + b"\0\0"


def device(
    *, array: int, size: int, speed: int, configured: int, slot: str, extended: int = 0
) -> bytes:
    body = bytearray(0x28)
    body[0], body[1] = 17, len(body)
    for place, number, length in (
        (0x04, array, 2), (0x0C, size, 2), (0x0E, 9, 1), (0x10, 1, 1), (0x12, 0x18, 1),
        (0x13, 1 << 7, 2), (0x15, speed, 2), (0x17, 2, 1), (0x1B, 2, 1), (0x1C, extended, 4),
        (0x20, configured, 2),
    ):  # fmt: skip
        body[place : place + length] = number.to_bytes(length, "little")
    return bytes(body) + slot.encode() + b"\0HP\0\0"


class TestProcessors:
    def test_names_and_masks(self) -> None:
        found = shared("lscpu-7302")
        assert found.value("cpu", "physical_0", "product") == "AMD EPYC 7302P 16-Core Processor"
        assert found.value("cpu", "physical_0", "threads") == "32"
        assert found.value("cpu", "physical_0", "max_Mhz") == "3000.0"

    def test_the_mask_is_the_same_from_a_list_and_from_a_mask(self) -> None:
        for name, mask in (("lscpu", "0x3f00000000003f"), ("lscpux", "0x3f00000000003f")):
            found = shared(name)
            assert found.value("numa", "node_0", "cpu_mask") == mask
            assert found.value("numa", "node_0", "cpu_count") == "12"
            assert found.value("cpu", "physical", "number") == "2"

    def test_arm(self) -> None:
        found = shared("lscpu_aarch64")
        assert found.value("cpu", "physical_3", "product") == "X-Gene"
        assert found.value("cpu", "physical_3", "stepping") == "0"

    def test_json_and_text_agree(self) -> None:
        text, structured = (set(parsed(CAPTURED / f"lscpu.{it}").items) for it in ("txt", "json"))
        assert text == structured

    @pytest.mark.parametrize(
        ("text", "numbers"), [("0-2,8,10-11\n", [0, 1, 2, 8, 10, 11]), ("", []), ("a-b,1-", [1])]
    )
    def test_kernel_lists(self, text: str, numbers: list[int]) -> None:
        assert range_list(text) == numbers


class TestLshw:
    def test_a_machine(self) -> None:
        found = shared("lshw")
        assert found.value("system", "product", "name") == "MacBookAir5,2 (System SKU#)"
        assert found.value("system", "motherboard", "name") == "Mac-2E6FAB96566FE58C"
        assert found.value("memory", "bank:0", "slot")
        assert found.all("network", key="serial")

    def test_several_arrays_of_memory(self) -> None:
        text = (
            '<?xml version="1.0" encoding="utf-8"?><list><node id="x" class="system">'
            '<node id="memory:0" class="memory"><node id="bank:1" class="memory">'
            "<slot>A2</slot></node></node>"
            '<node id="memory:1" class="memory"><node id="bank:0" class="memory">'
            "<slot>B1</slot></node></node></node></list>"
        )
        assert [tuple(item[1:]) for item in lshw.parse_lshw(text)] == [
            ("bank:0:1", "slot", "A2"),
            ("bank:1:0", "slot", "B1"),
            ("banks", "count", "2"),
        ]


class TestNeighbours:
    def test_a_frame_of_lldpd(self) -> None:
        found = parsed(CAPTURED / "lldp-frame.bin")
        assert found.value("lldp", "eth0", "switch") == "vm"
        assert found.value("lldp", "eth0", "port_description") == "va"
        assert found.value("lldp", "eth0", "System Description") == "Captured lldpd"
        assert found.value("lldp", "eth0", "Management Address/IPv4") == "192.0.2.1"
        assert found.value("lldp", "eth0", "Time to Live") == "120"

    def test_a_switch(self) -> None:
        parts = (
            (1, b"\x04\xf8\xb1\x56\x15\xe6\xc6"),
            (2, b"\x05gi1/1"),
            (3, b"\0\x78"),
            (5, b"Switch POD"),
            (7, b"\0\x14\0\x04"),
            (127, b"\0\x80\xc2\x01\0\x64"),
            (0, b""),
        )
        frame = b"".join((kind << 9 | len(it)).to_bytes(2, "big") + it for kind, it in parts)
        neighbour = lldp.parse_frame(frame + b"trailer")
        assert neighbour is not None
        assert [tuple(item[2:]) for item in neighbour.items("eth0")] == [
            ("switch", "Switch POD"),
            ("switch_id", "f8:b1:56:15:e6:c6"),
            ("port", "gi1/1"),
            ("vlan", "100"),
            ("Chassis ID/MAC", "f8:b1:56:15:e6:c6"),
            ("Port ID/Ifname", "gi1_1"),
            ("Time to Live", "120"),
            ("System Name", "Switch POD"),
            ("System Capabilities/System capabilities", "Bridge, Router"),
            ("System Capabilities/System capabilities/Enabled capabilities", "Bridge"),
            ("Port VLAN ID/PVID", "100"),
        ]

    def test_who_takes_his_leave_is_no_neighbour(self) -> None:
        frame = (CAPTURED / "lldp-frame.bin").read_bytes()
        assert lldp.parse_frame(frame.replace(b"\x06\x02\0\x78", b"\x06\x02\0\0")) is None
        assert lldp.parse_frame(b"") is None

    def test_lldptool_has_the_names_of_old_reports(self) -> None:
        found = shared("lldptool_tin")
        assert found.value("lldp", "eth0", "Port ID/Ifname") == "gi1_1"
        name = "MAC_PHY Configuration Status/PMD auto-negotiation capabilities/MAU type"
        assert found.value("lldp", "eth0", name) == "1000 BaseTFD"
        assert found.value("lldp", "eth0", "port") == "gi1/1"
        assert found.value("lldp", "eth0", "switch") == "Switch POD"

    def test_lldpctl(self) -> None:
        found = parsed(CAPTURED / "lldpctl.json")
        assert found.value("lldp", "vb", "switch") == "vm"
        assert found.value("lldp", "vb", "Port Description") == "va"
        assert found.value("lldp", "vb", "Management Address/IPv4") == "192.0.2.1"
        able = "System Capabilities/System capabilities/Enabled capabilities"
        assert found.value("lldp", "vb", able) == "Station"


class TestRaid:
    def test_megacli(self) -> None:
        adapter = shared("megacli_adp_all_info")
        assert adapter.value("megaraid", "Controller_0", "ProductName") == "PERC H710 Mini"
        slots = shared("megacli_enc").value("megaraid", "Controller_0/Enclosure_1", "NumberOfSlots")
        assert slots == "8"
        drive = shared("megacli_ld_get_info")
        assert drive.value("ldisk", "disk0", "Size") == "465.25"
        assert drive.value("ldisk", "disk0", "StripSize") == "64 KB"

    def test_megacli_physical_disk(self) -> None:
        text = (
            "Enclosure Device ID: 32\nSlot Number: 0\nPD Type: SAS\n"
            "Coerced Size: 278.875 GB [0x22dc0000 Sectors]\nDrive Temperature :31C (87.80 F)\n"
            "Inquiry Data: SEAGATE ST300\n"
        )
        taken: set[str] = set()
        assert [tuple(item[1:]) for item in megacli.parse_physical(text, 1, 0, taken)] == [
            ("disk0", "ctrl", "1"),
            ("disk0", "type", "SAS"),
            ("disk0", "id", "32:0"),
            ("disk0", "size", "278.875"),
            ("disk0", "SlotNumber", "0"),
            ("disk0", "DriveTemperature", "31"),
            ("disk0", "DriveTemperature_units", "Celsius"),
            ("disk0", "InquiryData[0]", "SEAGATE"),
            ("disk0", "InquiryData[1]", "ST300"),
        ]
        # The same slot of another enclosure is another disk.
        assert {item.id for item in megacli.parse_physical(text, 1, 0, taken)} == {"disk1"}
        assert list(megacli.parse_physical("Exit Code: 0x01", 1, 3, taken)) == []

    def test_storcli_has_the_names_of_megacli(self) -> None:
        found = parsed(CAPTURED / "storcli.json")
        assert found.value("megaraid", "Controller_0", "ProductName") == "PERC H730P Mini"
        assert found.value("pdisk", "disk0", "id") == "32:0"
        assert found.value("pdisk", "disk0", "size") == "558.375"
        assert found.value("pdisk", "disk2", "id") == "64:1"
        assert found.value("pdisk", "disk2", "size") == "1819"
        assert found.value("ldisk", "disk1", "State") == "Degraded"
        level = "Primary-1, Secondary-0, RAID Level Qualifier-0"
        assert found.value("ldisk", "disk0", "RaidLevel") == level
        assert found.value("disk", "megaraid", "count") == "3"

    def test_smart_array(self) -> None:
        found = ssacli.controllers(read(CAPTURED / "ssacli-controllers.txt"))
        assert found == [
            ssacli.Controller(0, "Smart Array P420i"),
            ssacli.Controller(2, "Smart Array P420"),
        ]
        drives = parsed(CAPTURED / "ssacli-drives.txt")
        assert drives.value("disk", "1I:1:1", "size") == "300"
        assert drives.value("disk", "1I:1:1", "slot") == "0"
        assert drives.value("disk", "1I:1:2", "size") == "1800"
        assert drives.value("disk", "1I:1:2", "status") == "Predictive Failure"
        assert drives.value("disk", "1I:1:2", "array") == "A"
        assert drives.value("disk", "1I:1:3", "array") is None
        details = parsed(CAPTURED / "ssacli-details.txt")
        assert details.value("disk", "1I:1:1", "serial_number") == "6SJ4XYWF0000B2500F5N"
        assert details.value("disk", "1I:1:1", "current_temperature_c") == "31"
        assert details.value("disk", "1I:1:1", "size") is None

    def test_areca(self) -> None:
        hardware = shared("areca_hw_info")
        assert hardware.value("areca", "hardware", "Enclosure1/CpuFan") == "2596"
        assert hardware.value("areca", "hardware", "Enclosure1/CpuFan/unit") == "RPM"
        assert shared("areca_disks_info").value("areca", "disk1", "DiskCapacity") == "1000.2"
        assert shared("areca_sysinfo").value("areca", "system", "ControllerName") == "ARC-1222"

    @pytest.mark.parametrize(
        ("text", "size"),
        [("300 GB", "300"), ("1.8 TB", "1800"), ("558.375 GB", "558.375"), ("500 MB", "0.5"),
         ("1.819 TB", "1819"), ("N/A", ""), ("", "")],
    )  # fmt: skip
    def test_sizes(self, text: str, size: str) -> None:
        assert sizes.gigabytes(text) == size


class TestOthers:
    def test_lan_settings_of_a_real_bmc(self) -> None:
        found = shared("ipmi_lan_info")
        assert found.value("ipmi", "lan", "ip-address") == "10.151.68.13"
        assert found.value("ipmi", "lan", "mac-address") == "00:30:48:f4:4d:83"
        assert found.value("ipmi", "lan", "rmcp+-cipher-suites") == "1,2,3,6,7,8,11,12,0"
        assert "AMI" not in {item.value for item in found.items}

    def test_sensors(self) -> None:
        found = shared("parse_ipmi_sdr")
        assert found.value("ipmi", "Fan 1", "value") == "33.32"
        assert found.value("ipmi", "Fan 1", "unit") == "percent"
        assert found.value("ipmi", "Temp 4", "unit") == "degrees C"

    def test_kernel_log(self) -> None:
        flags = "64bit apst clo ems led ncq part pio slum sntf"
        assert shared("dmesg").rows() == [["ahci", "0000:00:1f.2:", "flags", flags]]
        assert parsed(CAPTURED / "kernel-log.txt").value("ahci", "0000:00:1f.2:", "flags")

    def test_offloads(self) -> None:
        found = shared("ethtool_k")
        assert found.value("network", "eth0", "rx-checksumming") == "on"
        key = "tx-checksumming/tx-checksum-ipv4"
        assert found.value("network", "eth0", key) == "off [fixed]"

    def test_firmware_settings(self) -> None:
        found = shared("conrep.dat")
        assert found.value("hp", "bios", "Workload_Profile") == "Custom"

    def test_addresses(self) -> None:
        text = (
            '[{"ifname": "eth0", "addr_info": ['
            '{"local": "10.66.6.136", "prefixlen": 24, "scope": "global"},'
            '{"local": "fe80::1", "prefixlen": 64, "scope": "link"},'
            '{"local": "bad", "prefixlen": 64, "scope": "global"}]}]'
        )
        assert ip_address.parse_addresses(text) == {
            "eth0": [
                ("ipv4", "10.66.6.136"),
                ("ipv4-network", "10.66.6.0"),
                ("ipv4-cidr", "24"),
                ("ipv4-netmask", "255.255.255.0"),
            ]
        }

    def test_loose_json(self) -> None:
        node = document('warning\n{"a": {"b": [1, true, null, "x"]}}')
        assert [it.text for it in node["a"]["b"].members] == ["1", "true", "", "x"]
        assert node["a"]["c"]["d"].text == ""
        assert document("no").value is None
        assert document("{").value is None

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
        table = (
            b"# comment\n14e4  Broadcom Inc.\n\t1657  NetXtreme BCM5719 Gigabit Ethernet PCIe\n"
            b"\t\t103c 169d  Ethernet 1Gb 4-port 331FLR Adapter\n\t165f  NetXtreme BCM5720\n"
            b"1af4  Red Hat, Inc.\n\t1000  Virtio network device\n"
        )
        assert pci_ids.pci_names(table, vendor, device) == names
