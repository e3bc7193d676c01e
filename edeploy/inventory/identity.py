"""By which marks a machine is known, whatever was renamed in it: what its report gives of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from edeploy.inventory import junk
from edeploy.inventory.items import Item, Report

SERIAL, UUID, BOARD, CHASSIS, MAC, DISK = "serial", "uuid", "board", "chassis", "mac", "disk"
KINDS = (SERIAL, UUID, BOARD, CHASSIS, MAC, DISK)
"""The kinds of marks; a machine has one of each of the first four, and any number of the others."""

# A BMC shows itself to its host as a USB network card, often by one MAC in all machines.
_BMC_DRIVERS = frozenset({"cdc_ether", "cdc_eem", "cdc_ncm", "cdc_subset", "rndis_host"})


# Where a disk's mark is from, the best first; the last is of disks behind RAID controllers.
_SOURCES = ("wwn", "scsi", "serial", "told")
_TOLD = ("SMART/serial_number", "serial_number")


class Mark(NamedTuple):
    """Something that only one machine should have; `value` is brought to one form."""

    kind: str
    value: str


@dataclass(frozen=True)
class Identity:
    """What tells one machine from others, without junk. MACs and disks sorted, lower case.

    `serial` is as it is printed on the machine. `name` is `<product>-<vendor>-<serial>`, fit for
    a file; a MAC, the UUID or the board stand in for a serial number that is missing or junk.
    A disk is its WWN, or else its serial number.
    """

    name: str
    serial: str | None
    uuid: str | None
    macs: tuple[str, ...]
    board: str | None = None
    chassis: str | None = None
    disks: tuple[str, ...] = ()

    @property
    def marks(self) -> frozenset[Mark]:
        """All marks. A board or chassis that only repeats the serial number says nothing new."""
        serial = junk.serial(self.serial)
        own = {SERIAL: serial, UUID: self.uuid, BOARD: self.board, CHASSIS: self.chassis}
        return frozenset(
            [
                *(Mark(MAC, mac) for mac in self.macs),
                *(Mark(DISK, disk) for disk in self.disks),
                *(
                    Mark(kind, value)
                    for kind, value in own.items()
                    if value and (kind in (SERIAL, UUID) or value != serial)
                ),
            ]
        )

    @property
    def tells(self) -> bool:
        """Whether a machine can be known by it. Disks and a chassis go from machine to machine."""
        return bool(self.serial or self.uuid or self.board or self.macs)


def identify(report: Report) -> Identity:
    """The identity that a report gives; never fails, a bare report gives an empty one."""
    printed = report.value("system", "product", "serial") or ""
    serial = printed.strip() if junk.serial(printed) else None
    uuid = junk.uuid(report.value("system", "product", "uuid"))
    board = junk.serial(report.value("system", "motherboard", "serial"))
    macs = _macs(report)
    own = serial or next(iter(macs), None) or uuid or board or "unknown"
    parts = (
        _plain(report.value("system", "product", "name"))[:48],
        _plain(report.value("system", "product", "vendor"))[:24],
        _serial_in_name(own)[:48],
    )
    return Identity(
        name="-".join(part for part in parts if part),
        serial=serial,
        uuid=uuid,
        macs=macs,
        board=board,
        chassis=junk.serial(report.value("system", "chassis", "serial")),
        disks=tuple(sorted(set(disk_marks(report).values()))),
    )


def firmware_identity(mac: str, uuid: str, serial: str) -> Identity:
    """What firmware says when it asks for a boot script; it knows the one card that it boots by."""
    card = junk.mac(mac)
    return Identity(
        name=mac,
        serial=serial.strip() if junk.serial(serial) else None,
        uuid=junk.uuid(uuid),
        macs=(card,) if card else (),
    )


def disk_marks(report: Report) -> dict[str, str]:
    """The disks that can be known again: name → WWN or serial number. No disks on USB.

    A stick goes from machine to machine, and the BMC's virtual media are the same everywhere.
    """
    found: dict[str, dict[str, str]] = {}
    for item in report.all("disk"):
        found.setdefault(item.id, {}).update(_disk_names(item))
    return {
        name: next(known[source] for source in _SOURCES if source in known)
        for name, known in found.items()
        if known and "usb" not in known
    }


def _disk_names(item: Item) -> Iterator[tuple[str, str]]:
    value = item.value.strip()
    if item.key == "id" and value.startswith("usb-"):
        yield "usb", value
    elif item.key == "serial" or item.key in _TOLD:
        serial = junk.disk_serial(value)
        if serial:
            yield ("serial" if item.key == "serial" else "told"), serial
    elif item.key == "wwn-id" or (item.key in ("id", "scsi-id") and value.startswith("wwn-")):
        wwn = junk.wwn(value)
        if wwn:
            yield "wwn", wwn
    elif item.key in ("id", "scsi-id") and value.startswith("scsi-3"):
        # `3`: the rest is the WWN (SCSI's vital product data, page 0x83, of type NAA).
        wwn = junk.wwn(value[len("scsi-3") :])
        if wwn:
            yield "scsi", wwn


def _macs(report: Report) -> tuple[str, ...]:
    """The MACs of the cards that are soldered or plugged in, else of those on USB.

    Those that no maker gave count only where there is no other: virtual machines have nothing
    else, while on real ones they are made up at every boot, or the same in all BMCs.
    """
    fixed: set[str] = set()
    usb: set[str] = set()
    for item in report.all("network", key="serial"):
        mac = junk.mac(item.value)
        if mac and report.value("network", item.id, "driver") not in _BMC_DRIVERS:
            bus = report.value("network", item.id, "businfo") or ""
            (usb if bus.startswith("usb") else fixed).add(mac)
    made = {mac for mac in fixed | usb if junk.made_up(mac)}
    for cards in (fixed - made, usb - made, fixed, usb):
        if cards:
            return tuple(sorted(cards))
    return ()


def _plain(text: str | None) -> str:
    return re.sub("[^A-Za-z0-9_]", "", text or "").lstrip("_")


def _serial_in_name(text: str) -> str:
    kept = re.sub("[^A-Za-z0-9_.-]", "", text.replace(":", "-"))
    return re.sub(r"\.{2,}", ".", kept).lstrip("_.-") or "unknown"
