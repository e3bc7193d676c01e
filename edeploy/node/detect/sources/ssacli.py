"""ssacli, hpssacli and hpacucli: RAID controllers of HP, Smart Array."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from edeploy.inventory.items import Item
from edeploy.node.detect.sources.sizes import gigabytes

_CONTROLLER = re.compile(r"^(\S.*?) in Slot (\d{1,6})\b(.*)$", re.MULTILINE)
_DRIVE = re.compile(r"^\s*physicaldrive (\S+) \((.*)\)\s*$", re.MULTILINE)
# Told by the drive's name, or by the line of it.
_TOLD = frozenset({"port", "bay", "box", "slot", "size", "status", "array"})


@dataclass(frozen=True)
class Controller:
    """A controller of `ctrl all show`."""

    slot: int
    name: str


def controllers(text: str) -> list[Controller]:
    """The controllers in what `ctrl all show` prints."""
    return [Controller(int(slot), name) for name, slot, _ in _CONTROLLER.findall(text)]


def parse_controller(text: str, slot: int) -> Iterator[Item]:
    """Items of type `hpa` of `ctrl slot=N show`."""
    for key, value in _fields(text):
        if key != "slot":
            yield Item("hpa", f"slot_{slot}", key, value)


def parse_drives(text: str, slot: int) -> Iterator[Item]:
    """Items of type `disk`, with the drive's place as id: of `ctrl slot=N pd all show`, or of any
    listing with lines such as `physicaldrive 1I:1:2 (port 1I:box 1:bay 2, SAS, 300 GB, OK)`."""
    array = ""
    for line in text.splitlines():
        words = line.strip().split()
        if len(words) == 2 and words[0].lower() == "array":
            array = words[1]
        elif words and words[0].lower() == "unassigned":
            array = ""
        found = _DRIVE.match(line)
        about = [part.strip() for part in found[2].split(",")] if found else []
        # port, kind, size, state; newer programs have more after these, such as "spare".
        if not found or len(about) < 4:
            continue
        facts = (
            ("type", about[1]),
            ("slot", str(slot)),
            ("size", gigabytes(about[2])),
            ("status", about[3]),
            ("array", array),
        )
        for key, value in facts:
            if value:
                yield Item("disk", found[1], key, value)


def parse_drive_details(text: str) -> Iterator[Item]:
    """Items of the drives in `ctrl slot=N pd all show detail`; not those of `parse_drives`."""
    blocks = re.split(r"(?m)^\s*physicaldrive (\S+)\s*$", text)
    for name, block in zip(blocks[1::2], blocks[2::2]):
        for key, value in _fields(block):
            if key not in _TOLD:
                yield Item("disk", name, key, value)


def parse_logical(text: str, slot: int) -> Iterator[Item]:
    """Items of type `hpa`, with `slot_N/logical_1` as id, of `ctrl slot=N ld all show detail`."""
    blocks = re.split(r"(?m)^\s*Logical Drive: (\d+)\s*$", text)
    for number, block in zip(blocks[1::2], blocks[2::2]):
        for key, value in _fields(block):
            yield Item("hpa", f"slot_{slot}/logical_{number}", key, value)


def _fields(text: str) -> Iterator[tuple[str, str]]:
    """`Fault Tolerance: 1` as ("fault_tolerance", "1")."""
    for line in text.splitlines():
        name, colon, value = line.strip().partition(": ")
        key = re.sub("_+", "_", re.sub("[()]", "", name.strip().lower()).replace(" ", "_"))
        if colon and key and value.strip():
            yield key, " ".join(value.split())
