"""Identity: which marks count, what is junk, and the name that a machine gets."""

import glob
from collections import Counter
from pathlib import Path

import pytest
from fleet import Parts

from edeploy import names
from edeploy.inventory import junk
from edeploy.inventory.identity import Mark, firmware_identity, identify
from edeploy.inventory.items import Item, Report, read_report

REAL = sorted(
    glob.glob(str(Path(__file__).parents[3] / "shared/data/hw/*.hw"))
    + glob.glob(str(Path(__file__).parents[3] / "shared/data/ahc/bl460c/*"))
)


def test_the_name_is_product_vendor_serial() -> None:
    identity = identify(
        Report(
            (
                Item("system", "product", "name", "Pro (X-1)"),
                Item("system", "product", "vendor", "A B"),
                Item("system", "product", "serial", "CZ 33/23"),
                Item("system", "product", "uuid", "4C4C4544-0035-3010-8048-B7C04F4E3232"),
            )
        )
    )
    assert identity.name == "ProX1-AB-CZ3323"
    assert identity.serial == "CZ 33/23"
    assert identity.uuid == "4c4c4544-0035-3010-8048-b7c04f4e3232"
    assert Mark("serial", "cz33/23") in identity.marks


@pytest.mark.parametrize(
    "text",
    """To be filled by O.E.M.|To Be Filled By O.E.M|0123456789|123456789|1234567890|Empty|None
    |0000000000|XXXXXXX|..| |Default string|System Serial Number|Chassis Serial Number|N/A
    |Not Specified|SYS-1234567890|MB-1234567890|SN-12345|0123456789ABCDEF|9876543210|0|INVALID
    |Base Board Serial Number|unknown|O.E.M.|12345678901234567890|Type2 - Board Serial Number"""
    .split("|"),
)  # fmt: skip
def test_a_mac_stands_in_for_a_junk_serial(text: str) -> None:
    identity = identify(Parts(text, macs=("d8:9d:67:00:00:0B", "d8:9d:67:00:00:0a")).report())
    assert identity.serial is None
    assert identity.name == "Box-Makers-d8-9d-67-00-00-0a"
    assert identity.macs == ("d8:9d:67:00:00:0a", "d8:9d:67:00:00:0b")


@pytest.mark.parametrize(
    "text",
    ["CZ3404YWNN", "9K9PW02", "EDL0001", "C02JR02WF57J", "VMware-56 4d 12 ab", "S1", "1234A5678"],
)
def test_a_real_serial_is_none_of_the_junk(text: str) -> None:
    assert identify(Parts(text).report()).serial == text


@pytest.mark.parametrize(
    "text",
    [
        "00000000-0000-0000-0000-000000000000",
        "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
        "FEFEFEFE-FEFE-FEFE-FEFE-FEFEFEFEFEFE",
        "03000200-0400-0500-0006-000700080009",
        "00020003-0004-0005-0006-000700080009",
        "Not Settable",
        "",
    ],
)
def test_junk_uuids(text: str) -> None:
    assert identify(Parts(uuid=text).report()).uuid is None


def test_a_good_uuid_may_give_the_name() -> None:
    good = "11111111-2222-3333-4444-555555555555"
    assert identify(Parts(uuid=good).report()).name == f"Box-Makers-{good}"


def cards(*rows: tuple[str, str, str]) -> tuple[str, ...]:
    """The MACs that count of cards given by (MAC, driver, bus)."""
    items = []
    for number, (mac, driver, bus) in enumerate(rows):
        name = f"eth{number}"
        items += [
            Item("network", name, "serial", mac),
            Item("network", name, "driver", driver),
            Item("network", name, "businfo", bus),
        ]
    return identify(Report(tuple(items))).macs


def test_the_network_card_of_the_bmc_is_not_the_machine() -> None:
    assert cards(("b0:3a:f2:b6:05:9f", "rndis_host", "usb@1-1")) == ()
    board = ("3c:ec:ef:6f:1f:3c", "igb", "pci@0000:01:00.0")
    assert cards(board, ("b0:3a:f2:b6:05:9f", "rndis_host", "usb@1-1")) == (board[0],)


def test_a_card_on_usb_counts_where_there_is_no_other() -> None:
    dongle = ("00:e0:4c:68:00:01", "r8152", "usb@2-1")
    board = ("3c:ec:ef:6f:1f:3c", "igb", "pci@0000:01:00.0")
    assert cards(dongle, board) == (board[0],)
    assert cards(dongle) == (dongle[0],)


def test_a_made_up_mac_counts_where_there_is_no_other() -> None:
    virtual = ("52:54:00:00:00:01", "virtio_net", "virtio@0")
    board = ("3c:ec:ef:6f:1f:3c", "igb", "pci@0000:01:00.0")
    assert cards(virtual) == (virtual[0],)
    assert cards(board, virtual) == (board[0],)


@pytest.mark.parametrize("mac", ["00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01"])
def test_junk_macs(mac: str) -> None:
    assert cards((mac, "igb", "pci@0")) == ()


def disks(*rows: tuple[str, str, str]) -> tuple[str, ...]:
    return identify(Report(tuple(Item("disk", *row) for row in rows))).disks


def test_a_disk_is_its_wwn_or_its_serial() -> None:
    assert disks(("sda", "serial", "WD-1 23"), ("sda", "size", "600")) == ("wd-123",)
    assert disks(("sda", "serial", "WD-123"), ("sda", "wwn-id", "wwn-0x50014ee2b5c0ffee")) == (
        "50014ee2b5c0ffee",
    )
    old = ("sda", "id", "scsi-36c81f660e62119001af2530b0a392ced")
    new = ("sda", "id", "wwn-0x6c81f660e62119001af2530b0a392ced")
    assert disks(old) == disks(new) == disks(old, new) != ()
    behind = (("sda{cciss,0}", "SMART/serial_number", "WD1X"), ("1I:1:1", "serial_number", "WD2X"))
    assert disks(*behind) == ("wd1x", "wd2x")


@pytest.mark.parametrize(
    "row",
    [
        ("sda", "serial", "QM00001"),
        ("sda", "serial", "0000000000"),
        ("sda", "wwn-id", "wwn-0x0000000000000000"),
        ("nvme0n1", "wwn-id", "wwn-eui.0000000000000000"),
    ],
)
def test_junk_disks(row: tuple[str, str, str]) -> None:
    assert disks(row) == ()


def test_a_stick_is_not_the_machine() -> None:
    assert disks(("sdb", "serial", "AA0101"), ("sdb", "id", "usb-Lexar_JumpDrive_AA0101-0:0")) == ()


def test_a_board_that_repeats_the_serial_says_nothing_new() -> None:
    marks = identify(Parts("EDL1", board="EDL1", chassis="EDL1").report()).marks
    assert marks == {Mark("serial", "edl1")}


def test_what_can_not_tell_a_machine() -> None:
    assert not identify(Report(())).tells
    assert not identify(Parts("Empty", "0" * 8 + "-0000-0000-0000-" + "0" * 12).report()).tells
    assert not identify(Parts(chassis="CH1", disks=("WD1",)).report()).tells
    for parts in (Parts("S1"), Parts(board="B1"), Parts(macs=("d8:9d:67:00:00:01",))):
        assert identify(parts.report()).tells


def test_firmware_is_read_like_a_report() -> None:
    asked = firmware_identity("D8:9D:67:00:00:01", "0" * 36, "To be filled by O.E.M.")
    assert asked.marks == {Mark("mac", "d8:9d:67:00:00:01")}


@pytest.mark.parametrize("text", ["", "..", "a/../../b", "\x00", "é" * 300, "x" * 500, "-rf"])
def test_every_name_is_fit_for_a_file(text: str) -> None:
    report = Report(
        tuple(Item("system", "product", key, text) for key in ("name", "vendor", "serial"))
    )
    assert names.checked(identify(report).name, "machine")


def test_forms() -> None:
    assert junk.serial(" Cz 1\t2 ") == "cz12"
    assert junk.mac(" D8:9D:67:00:00:01 ") == "d8:9d:67:00:00:01"
    assert junk.wwn("naa.50014ee2b5c0ffee") == junk.wwn("0x50014EE2B5C0FFEE")


@pytest.mark.skipif(not REAL, reason="no real reports here: ../shared/data")
def test_real_machines_have_nothing_in_common() -> None:
    identities = [identify(read_report(path)) for path in REAL]
    assert len(identities) >= 24
    assert all(identity.tells for identity in identities)
    assert len({identity.name for identity in identities}) == len(identities)
    marks = Counter(mark for identity in identities for mark in identity.marks)
    assert max(marks.values()) == 1
