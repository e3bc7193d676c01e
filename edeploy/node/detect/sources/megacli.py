"""MegaCli, storcli's older sister: RAID controllers of LSI, and Dell's PERC up to 2014."""

from __future__ import annotations

import re
from collections.abc import Iterator

from edeploy.inventory.items import Item
from edeploy.node.detect.sources.sizes import gigabytes

_PAIR = re.compile(r"\s*:\s*")
# Told elsewhere under other names, or no fact of the disk.
_PHYSICAL = frozenset({"PdType", "EnclosureDeviceId", "CoercedSize", "ExitCode"})


def fields(text: str) -> dict[str, str]:
    """The `Name : value` lines, their names as in `NumberOfSlots`."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        parts = _PAIR.split(line.strip())
        if len(parts) == 2 and parts[0]:
            value = parts[1]
            # A full stop at the end of a sentence.
            found[parts[0].title().replace(" ", "")] = value[:-1] if value[-1:] == "." else value
    return found


def number(text: str) -> int:
    """A whole number, 0 for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0


def parse_adapter(text: str, controller: int) -> Iterator[Item]:
    """Items of one controller, of `-adpallinfo -aN`."""
    for name, value in fields(text).items():
        if value and name != "ExitCode":
            yield Item("megaraid", f"Controller_{controller}", name, value)


def enclosures(text: str) -> list[dict[str, str]]:
    """The enclosures in what `-EncInfo -aN` prints; `Enclosure` is its number."""
    parts = re.split(r"(?m)^\s+Enclosure (\d+):\s*$", text)
    return [
        {"Enclosure": name, **fields(part)} for name, part in zip(parts[1::2], parts[2::2])
    ]  # fmt: skip


def parse_enclosures(text: str, controller: int) -> Iterator[Item]:
    """Items of a controller's enclosures."""
    for found in enclosures(text):
        place = f"Controller_{controller}/Enclosure_{found['Enclosure']}"
        for name, value in found.items():
            if value and name not in ("Enclosure", "ExitCode"):
                yield Item("megaraid", place, name, value)


def disk_name(slot: int, taken: set[str]) -> str:
    """`disk3` for slot 3; the next free number where another enclosure has the slot too."""
    number = slot
    while f"disk{number}" in taken:
        number += 1
    taken.add(f"disk{number}")
    return f"disk{number}"


def parse_physical(text: str, controllers: int, slot: int, taken: set[str]) -> Iterator[Item]:
    """Items of type `pdisk` of `-pdinfo`; none when the slot is empty. `taken` are names given so
    far, and the new one is added.

    `controllers` is their count: reports have always had that in `ctrl`.
    """
    found = fields(text)
    if "PdType" not in found:
        return
    name = disk_name(slot, taken)
    yield Item("pdisk", name, "ctrl", str(controllers))
    yield Item("pdisk", name, "type", found["PdType"])
    yield Item("pdisk", name, "id", f"{found.get('EnclosureDeviceId', '')}:{slot}")
    size = gigabytes(found.get("CoercedSize", ""))
    if size:
        yield Item("pdisk", name, "size", size)
    for key, value in found.items():
        if key in _PHYSICAL or not value:
            continue
        warm = re.match(r"(\d+)C\b", value)
        if key == "DriveTemperature" and warm:
            yield Item("pdisk", name, key, warm[1])
            yield Item("pdisk", name, f"{key}_units", "Celsius")
        elif key == "InquiryData":
            for place, word in enumerate(value.split()):
                yield Item("pdisk", name, f"{key}[{place}]", word)
        else:
            yield Item("pdisk", name, key, value)


def parse_logical(text: str, disk: int) -> Iterator[Item]:
    """Items of type `ldisk` of `-LDInfo -LN -aN`."""
    for key, value in fields(text).items():
        told = gigabytes(value) if key == "Size" else value
        if told and key != "ExitCode":
            yield Item("ldisk", f"disk{disk}", key, told)
