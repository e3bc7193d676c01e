"""storcli and perccli with `J`: RAID controllers of Broadcom (LSI), and Dell's PERC."""

from __future__ import annotations

import re
from collections.abc import Iterator

from edeploy.inventory.items import Item
from edeploy.node.detect.sources.loose_json import Node, document
from edeploy.node.detect.sources.megacli import disk_name
from edeploy.node.detect.sources.sizes import gigabytes

# Our key, section and field of storcli; the names are those that MegaCli gave to reports.
_CONTROLLER = (
    ("ProductName", "Basics", "Model"),
    ("SerialNo", "Basics", "Serial Number"),
    ("PciAddress", "Basics", "PCI Address"),
    ("FwPackageBuild", "Version", "Firmware Package Build"),
    ("FwVersion", "Version", "Firmware Version"),
    ("DriverVersion", "Version", "Driver Version"),
    ("State", "Status", "Controller Status"),
)
_LEVELS = {
    "RAID0": "Primary-0, Secondary-0, RAID Level Qualifier-0",
    "RAID1": "Primary-1, Secondary-0, RAID Level Qualifier-0",
    "RAID5": "Primary-5, Secondary-0, RAID Level Qualifier-3",
    "RAID6": "Primary-6, Secondary-0, RAID Level Qualifier-3",
    "RAID10": "Primary-1, Secondary-3, RAID Level Qualifier-0",
}
_STATES = {"Optl": "Optimal", "Dgrd": "Degraded", "Pdgd": "Partially Degraded", "OfLn": "Offline"}


def parse_storcli(text: str) -> Iterator[Item]:
    """Items of types `megaraid`, `pdisk`, `ldisk`, of `/call show all J`."""
    controllers = [
        found["Response Data"]
        for found in document(text)["Controllers"].members
        if found["Response Data"].entries
    ]
    names: set[str] = set()
    logical = 0
    total = 0.0
    for number, found in enumerate(controllers):
        yield from _controller(found, f"Controller_{number}")
        for disk in found["PD LIST"].members:
            slot = re.search(r"(\d{1,6})\Z", disk["EID:Slt"].text)
            name = disk_name(int(slot[1]) if slot else 0, names)
            yield from _physical(disk, name, len(controllers))
            total += float(gigabytes(disk["Size"].text) or 0)
        for disk in found["VD LIST"].members:
            yield from _logical(disk, f"disk{logical}")
            logical += 1
    if total:
        yield Item("pdisk", "all", "size", f"{total:.2f}")
    if controllers:
        yield Item("disk", "megaraid", "count", str(len(names)))


def _controller(found: Node, name: str) -> Iterator[Item]:
    for key, section, field in _CONTROLLER:
        value = found[section][field].text
        if value:
            yield Item("megaraid", name, key, value)
    battery = next(iter(found["BBU_Info"].members + found["Cachevault_Info"].members), Node())
    if battery["State"].text:
        yield Item("megaraid", name, "BatteryState", battery["State"].text)


def _physical(disk: Node, name: str, controllers: int) -> Iterator[Item]:
    facts = (
        ("ctrl", str(controllers)),
        ("type", disk["Intf"].text),
        ("id", disk["EID:Slt"].text),
        ("size", gigabytes(disk["Size"].text)),
        ("MediaType", disk["Med"].text),
        ("FirmwareState", disk["State"].text),
        ("DeviceId", disk["DID"].text),
        ("DriveGroup", disk["DG"].text),
        ("InquiryData", " ".join(disk["Model"].text.split())),
    )
    for key, value in facts:
        if value:
            yield Item("pdisk", name, key, value)


def _logical(disk: Node, name: str) -> Iterator[Item]:
    level, state = disk["TYPE"].text, disk["State"].text
    volume = re.match(r"[^/]*/(\d+)\Z", disk["DG/VD"].text)
    facts = (
        ("VirtualDrive", volume[1] if volume else ""),
        ("Name", disk["Name"].text),
        ("RaidLevel", _LEVELS.get(level, level)),
        ("Size", gigabytes(disk["Size"].text)),
        ("State", _STATES.get(state, state)),
        ("CurrentAccessPolicy", {"RW": "Read/Write", "RO": "Read Only"}.get(
            disk["Access"].text, disk["Access"].text)),
        ("CurrentCachePolicy", disk["Cache"].text),
    )  # fmt: skip
    for key, value in facts:
        if value:
            yield Item("ldisk", name, key, value)
