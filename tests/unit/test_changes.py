"""What differs between reports: parts that go, come and change; and what is no news."""

import glob
import random
from pathlib import Path

import pytest
from fleet import server

from edeploy.inventory.changes import (
    LISTED,
    changes,
    differences,
    fingerprint,
    summary,
)
from edeploy.inventory.items import Item, Report, read_report

BLADES = sorted(glob.glob(str(Path(__file__).parents[3] / "shared/data/ahc/bl460c/*")))
A = server(1)


def report(*rows: tuple[str, str, str, str]) -> Report:
    return Report(tuple(Item(*row) for row in rows))


def disk(name: str, serial: str, size: str = "600") -> tuple[tuple[str, str, str, str], ...]:
    return (("disk", name, "serial", serial), ("disk", name, "size", size))


def said(before: Report, after: Report) -> list[str]:
    return [str(change) for change in changes(before, after)]


def test_nothing() -> None:
    assert changes(A.report(), A.report()) == ()


def test_a_disk_gone_a_disk_new() -> None:
    more = A.but(disks=(*A.disks, "WD9X"))
    assert said(more.report(), A.report()) == ["disk sdc (WD9X) gone"]
    assert said(A.report(), more.report()) == ["disk sdc (WD9X) is new"]


def test_the_first_disk_is_gone_and_the_others_are_called_otherwise() -> None:
    before = report(*disk("sda", "WD1A"), *disk("sdb", "WD2A"), *disk("sdc", "WD3A"))
    after = report(*disk("sda", "WD2A"), *disk("sdb", "WD3A"))
    assert said(before, after) == ["disk sda (WD1A) gone"]
    everything = [str(change) for change in changes(before, after, everything=True)]
    assert everything == [
        "disk sda (WD1A) gone",
        "disk sdb is sda now",
        "disk sdc is sdb now",
    ]


def test_a_disk_with_another_name_and_firmware_is_the_same_disk() -> None:
    before = report(*disk("sda", "WD1A"), *disk("sdb", "WD2A"), ("disk", "sdb", "rev", "1"))
    after = report(*disk("sdb", "WD1A"), *disk("sda", "WD2A"), ("disk", "sda", "rev", "2"))
    assert said(before, after) == ["disk sda rev 1 → 2"]


def test_a_disk_in_the_place_of_another() -> None:
    before = report(*disk("sda", "WD1A"), *disk("sdb", "WD2A"))
    after = report(*disk("sda", "WD1A"), *disk("sdb", "WD9A", "1200"))
    assert said(before, after) == ["disk sdb serial WD2A → WD9A, size 600 → 1200"]


def test_cards_are_known_by_their_mac() -> None:
    one, two = "d8:9d:67:00:00:01", "d8:9d:67:00:00:02"
    before = report(("network", "eth0", "serial", one), ("network", "eth1", "serial", two))
    after = report(("network", "eth1", "serial", one), ("network", "eth0", "serial", two))
    assert said(before, after) == []
    assert fingerprint(before) == fingerprint(after)


def test_a_bank_that_lost_its_memory() -> None:
    before = report(("memory", "bank:3", "size", "17179869184"), ("memory", "bank:3", "slot", "A4"))
    after = report(
        ("memory", "bank:3", "description", "[empty]"), ("memory", "bank:3", "slot", "A4")
    )
    assert said(before, after) == ["memory bank:3 description - → [empty], size 17179869184 → -"]


PASSING = [
    ("network", "eth0", "link", "yes", "no"),
    ("network", "eth0", "speed", "1Gbit/s", "10Gbit/s"),
    ("network", "eth0", "ipv4", "10.0.0.1", "10.0.0.2"),
    ("network", "eth0", "ipv6-network", "fd00::", "fd01::"),
    ("cpu", "logical_0", "bogomips", "3997.18", "3999.87"),
    ("cpu", "logical", "threaded_bandwidth_1M", "77", "78"),
    ("disk", "sda", "standalone_read_1M_IOps", "181", "182"),
    ("disk", "sda", "SMART/temperature_celsius(194)/raw", "30", "31"),
    ("disk", "sda", "smart_power_on_hours", "1000", "1001"),
    ("system", "kernel", "version", "6.1.1", "6.1.2"),
    ("system", "kernel", "cmdline", "a", "b"),
    ("ipmi", "CPU1_Temp", "value", "40", "41"),
    ("network", "eth0", "pcie_speed", "2.5", "8"),
    ("infiniband", "card0_port1", "physical_state", "LinkUp", "Polling"),
    ("infiniband", "card0_port1", "sm_lid", "1", "2"),
    ("areca", "hardware", "CPU Fan", "2596", "2601"),
    ("pdisk", "disk0", "DriveTemperature", "30", "31"),
    ("pdisk", "disk0", "OtherErrorCount", "0", "1"),
    ("lldp", "eth0", "Time to Live", "120", "119"),
    ("probe", "disks", "error", "not done after 60 s", "TypeError"),
]


@pytest.mark.parametrize("row", PASSING, ids=lambda row: "/".join(row[:3]))
def test_what_comes_and_goes_is_no_news(row: tuple[str, str, str, str, str]) -> None:
    part, name, key, old, new = row
    before, after = (Report((*A.report().items, Item(part, name, key, v))) for v in (old, new))
    assert changes(before, after) == changes(A.report(), after) == ()
    assert fingerprint(before) == fingerprint(after) == fingerprint(A.report())
    assert [fact.key for one in changes(before, after, everything=True) for fact in one.facts]


LASTING = [
    ("firmware", "bios", "version", "2.1.3", "2.2.0"),
    ("network", "eth0", "driver", "tg3", "bnx2x"),
    ("memory", "bank:0", "clock", "1600000000", "1333000000"),
    ("disk", "sda", "SMART/health", "OK", "FAILED"),
    ("disk", "sda", "SMART/Reallocated_Sector_Ct(5)/when_failed", "NEVER", "FAILING_NOW"),
    ("network", "eth0", "pcie_width", "8", "4"),
    ("lldp", "eth0", "switch", "tor-1", "tor-2"),
    ("hpa", "slot_0", "cache_status", "OK", "Permanently Disabled"),
    ("megaraid", "Controller_0", "Degraded", "0", "1"),
    ("memory", "bank:0", "configured_clock", "1600000000", "1333000000"),
    ("system", "boot", "firmware", "bios", "uefi"),
    ("ipmi", "lan", "ip-address", "10.0.0.1", "10.0.0.2"),
]


@pytest.mark.parametrize("row", LASTING, ids=lambda row: "/".join(row[:3]))
def test_what_lasts_is_news(row: tuple[str, str, str, str, str]) -> None:
    part, name, key, old, new = row
    before, after = (Report((*A.report().items, Item(part, name, key, v))) for v in (old, new))
    assert said(before, after) == [f"{part} {name} {key} {old} → {new}"]
    assert fingerprint(before) != fingerprint(after)


def test_another_ramdisk_is_no_news() -> None:
    def with_kernel(version: str, flags: str) -> Report:
        return report(
            ("system", "kernel", "version", version), ("cpu", "physical_0", "flags", flags)
        )

    assert said(with_kernel("6.1", "fpu sse"), with_kernel("6.2", "fpu sse avx512")) == []
    assert said(with_kernel("6.1", "fpu sse"), with_kernel("6.1", "fpu")) == [
        "cpu physical_0 flags fpu sse → fpu"
    ]


def test_what_was_not_asked_or_not_heard_is_no_news() -> None:
    """Another ramdisk has smartctl; a switch was silent."""
    more = Report(
        (
            *A.report().items,
            Item("disk", "sda", "SMART/health", "OK"),
            Item("disk", "sda{megaraid,8}", "SMART/health", "OK"),
            Item("lldp", "eth0", "switch", "tor-1"),
        )
    )
    assert said(A.report(), more) == said(more, A.report()) == []


def test_of_long_lists_what_differs_is_shown() -> None:
    flags = " ".join(f"flag{number}" for number in range(40))
    before = report(("cpu", "physical_0", "flags", f"{flags} vmx"))
    after = report(("cpu", "physical_0", "flags", f"{flags} svm"))
    assert said(before, after) == ["cpu physical_0 flags vmx → svm"]


def test_a_probe_that_failed_is_no_disk_that_is_gone() -> None:
    without = Report(
        (
            *(item for item in A.report().items if item.type != "disk"),
            Item("probe", "disks", "error", "not done after 60 s"),
        )
    )
    assert changes(A.report(), without) == changes(without, A.report()) == ()
    assert changes(A.report(), without, everything=True) != ()


def test_two_machines_of_a_kind() -> None:
    assert differences(A.report(), server(2).report()) == ()
    assert differences(A.report(), server(2).report(), everything=True) != ()
    cabled = [
        Report((*server(n).report().items, Item("lldp", "eth0", "port", f"Eth{n}"))) for n in (1, 2)
    ]
    assert differences(*cabled) == ()
    less = server(2).but(disks=("WD5X",))
    found = [str(change) for change in differences(A.report(), less.report())]
    assert found == ["disk sdb gone"]


def test_two_machines_with_the_same_disks_in_another_order() -> None:
    one = report(*disk("sda", "WD1A", "300"), *disk("sdb", "WD2A", "900"))
    two = report(*disk("sda", "WD3A", "900"), *disk("sdb", "WD4A", "300"))
    assert differences(one, two) == ()


def test_a_line_for_the_log_has_an_end() -> None:
    many = Report(tuple(Item("disk", f"sd{n}", "serial", f"WD{n}ABC") for n in range(30)))
    line = summary(changes(many, Report(())))
    assert line.endswith(f"; and {30 - LISTED} more")
    assert len(line) < 400


def test_natural_order() -> None:
    many = Report(tuple(Item("memory", f"bank:{n}", "size", "1") for n in (10, 2, 1)))
    assert [change.before for change in changes(many, Report(()))] == [
        "bank:1",
        "bank:2",
        "bank:10",
    ]


def test_the_order_of_items_is_no_news() -> None:
    items = list(A.report().items)
    random.Random(1).shuffle(items)  # noqa: S311
    assert fingerprint(Report(tuple(items))) == fingerprint(A.report())


@pytest.mark.skipif(not BLADES, reason="no real reports here: ../shared/data")
def test_what_is_wrong_in_a_real_fleet() -> None:
    """Most blades are alike; the four with 2 of 8 DIMMs are found by them alone."""
    blades = {path.split("CZ3404")[1][:4]: read_report(path) for path in BLADES}
    good = blades["YWPA"]
    alike = {name for name, blade in blades.items() if differences(good, blade) == ()}
    assert len(alike) >= 10
    for name in ("YWNN", "YWNR", "YWNT"):
        found = differences(good, blades[name])
        assert {change.type for change in found} == {"memory"}
    assert any(change.type == "disk" for change in differences(good, blades["YWNW"]))
