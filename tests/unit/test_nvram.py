"""UEFI boot order: the network stays first, whatever firmware calls it."""

import os
import stat
from pathlib import Path

import pytest

from edeploy.node.install import nvram
from edeploy.node.install.nvram import Entry, Firmware

OVMF = """\
BootCurrent: 0002
Timeout: 0 seconds
BootOrder: 0000,0001,0002,0003
Boot0000* UiApp\tFvVol(7cb8bdc9)/FvFile(462caa21)
Boot0001* UEFI Misc Device\tPciRoot(0x0)/Pci(0x3,0x0){auto_created_boot_option}
Boot0002* UEFI PXEv4 (MAC:525400123456)\tPciRoot(0x0)/MAC(525400123456,1)/IPv4(0.0.0.0)
Boot0003* UEFI HTTPv4 (MAC:525400123456)\tPciRoot(0x0)/MAC(525400123456,1)/IPv4(0.0.0.0)/Uri()
"""


def test_the_way_that_booted_us_stays_before_ours_and_other_networks_come_after() -> None:
    firmware = nvram.parse(OVMF)
    assert firmware.current == "0002"
    assert nvram.new_order(firmware, "0004") == ("0002", "0004", "0000", "0001", "0003")


def test_the_entry_that_booted_us_counts_as_network() -> None:
    firmware = Firmware(
        current="000A",
        order=("0001", "000A"),
        entries=(Entry("0001", "debian", "HD(1,GPT)"), Entry("000A", "Slot 3 Port 1", "Vendor()")),
    )
    assert nvram.new_order(firmware, "0002") == ("000A", "0002", "0001")


def test_a_booted_entry_outside_the_order_comes_first() -> None:
    firmware = Firmware("0009", ("0001",), (Entry("0009", "x", ""), Entry("0001", "disk", "")))
    assert nvram.new_order(firmware, "0002") == ("0009", "0002", "0001")


def test_an_order_that_names_what_is_gone() -> None:
    firmware = Firmware("", ("0007", "0002", "0001"), (Entry("0001", "PXE", ""),))
    assert nvram.new_order(firmware, "0002") == ("0001", "0002")


def test_firmware_that_says_nothing() -> None:
    assert nvram.parse("EFI variables are not supported") == Firmware("", (), ())


@pytest.mark.parametrize(
    ("name", "network"),
    [
        ("Integrated NIC 1 Port 1 Partition 1", True),
        ("Embedded LOM 1 Port 1 : HPE Ethernet - NIC (HTTP(S) IPv4)", True),
        ("UEFI: PXE IP4 Intel(R) Ethernet", True),
        ("Network Card", True),
        ("Linux Boot Manager", False),
        ("Plan 9", False),
    ],
)
def test_names_of_network_entries(name: str, network: bool) -> None:
    assert Entry("0001", name, "").network is network


def test_register_replaces_our_older_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an efibootmgr that keeps its entries in files, and writes down how it was called."""
    (tmp_path / "efivars").mkdir()
    (tmp_path / "efivars/BootOrder-8be4df61").touch()
    (tmp_path / "extra").write_text("Boot0005* edeploy\tHD(1,GPT)\n")
    program = tmp_path / "bin/efibootmgr"
    program.parent.mkdir()
    program.write_text(
        f"#!/bin/sh\ncd {tmp_path}\nprintf '%s\\n' \"$*\" >> calls\n"
        'case "$*" in\n'
        f"--verbose) cat <<'E'\n{OVMF}E\ncat extra;;\n"
        "*--delete-bootnum) : > extra;;\n"
        "*--create-only*) printf 'Boot0004* edeploy\\tHD(1,GPT)\\n' > extra;;\n"
        "esac\n"
    )
    os.chmod(program, stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(nvram, "VARIABLES", tmp_path / "efivars")
    assert nvram.register("/dev/vda", 1) == "0002,0004,0000,0001,0003"
    assert (tmp_path / "calls").read_text().splitlines() == [
        "--verbose",
        "--quiet --bootnum 0005 --delete-bootnum",
        "--quiet --create-only --disk /dev/vda --part 1 --label edeploy"
        r" --loader \EFI\BOOT\BOOTX64.EFI",
        "--verbose",
        "--quiet --bootorder 0002,0004,0000,0001,0003",
    ]
