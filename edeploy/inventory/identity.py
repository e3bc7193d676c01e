"""Which machine a report is of, whatever was renamed or swapped in it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edeploy.inventory.items import Report

SAME = 50
_SERIAL_POINTS = 50
_UUID_POINTS = 50
_MAC_POINTS = 100

_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\Z")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\Z")

# What makers leave in the serial number, seen on real boards; compared without case and blanks.
_JUNK_SERIALS = frozenset(
    """none null n/a na unknown empty default defaultstring notspecified notavailable
    notapplicable notprovided tobefilledbyo.e.m. tobefilledbyoem systemserialnumber serialnumber
    chassisserialnumber o.e.m. oem 0123456789 123456789 1234567890 12345678 1234567
    """.split()
)
_JUNK_UUIDS = frozenset(
    {
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "03000200-0400-0500-0006-000700080009",  # AMI's example, left in by many boards
        "12345678-1234-5678-90ab-cddeefaabbcc",
    }
)
_JUNK_MACS = frozenset({"00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"})
# The BMC's USB network card: the same MAC in every machine of a model.
_BMC_DRIVERS = frozenset({"cdc_ether", "cdc_eem", "cdc_ncm", "cdc_subset", "rndis_host"})


@dataclass(frozen=True)
class Identity:
    """What tells one machine from others: serial and UUID without junk, MACs sorted, lower case.

    `name` is `<product>-<vendor>-<serial>`, fit for a file; a MAC or the UUID stands in for a
    serial number that is missing or junk.
    """

    name: str
    serial: str | None
    uuid: str | None
    macs: tuple[str, ...]


def identify(report: Report) -> Identity:
    """The identity that a report gives; never fails, a bare report gives an empty one."""
    serial = _serial(report.value("system", "product", "serial"))
    uuid = _uuid(report.value("system", "product", "uuid"))
    macs = _macs(report)
    own = serial or next(iter(macs), None) or uuid or "unknown"
    parts = (
        _plain(report.value("system", "product", "name"))[:48],
        _plain(report.value("system", "product", "vendor"))[:24],
        _serial_in_name(own)[:48],
    )
    return Identity("-".join(part for part in parts if part), serial, uuid, macs)


def same_machine(a: Identity, b: Identity) -> bool:
    """Whether two identities are one machine: serial 50, UUID 50, share of equal MACs 100 points;
    50 are enough, so that a swapped board, disk or network card leaves the machine what it is.
    """
    points = 0.0
    if a.serial is not None and a.serial == b.serial:
        points += _SERIAL_POINTS
    if a.uuid is not None and a.uuid == b.uuid:
        points += _UUID_POINTS
    if a.macs and b.macs:
        points += _MAC_POINTS * len(set(a.macs) & set(b.macs)) / max(len(a.macs), len(b.macs))
    return points >= SAME


def _serial(text: str | None) -> str | None:
    squeezed = re.sub(r"\s", "", text or "").lower()
    if squeezed in _JUNK_SERIALS or not re.search("[0-9a-z]", squeezed):
        return None
    if len(set(re.sub("[^0-9a-z]", "", squeezed))) == 1:  # 0000000000, xxxxxxxx
        return None
    return (text or "").strip()


def _uuid(text: str | None) -> str | None:
    uuid = (text or "").strip().lower()
    return uuid if _UUID.match(uuid) and uuid not in _JUNK_UUIDS else None


def _macs(report: Report) -> tuple[str, ...]:
    found = {
        item.value.lower()
        for item in report.all("network", key="serial")
        if report.value("network", item.id, "driver") not in _BMC_DRIVERS
    }
    return tuple(sorted(mac for mac in found if _MAC.match(mac) and mac not in _JUNK_MACS))


def _plain(text: str | None) -> str:
    return re.sub("[^A-Za-z0-9_]", "", text or "").lstrip("_")


def _serial_in_name(text: str) -> str:
    kept = re.sub("[^A-Za-z0-9_.-]", "", text.replace(":", "-"))
    return re.sub(r"\.{2,}", ".", kept).lstrip("_.-") or "unknown"
