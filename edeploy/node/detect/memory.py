"""The probe of memory: how much there is, and what is in which slot."""

from __future__ import annotations

import re
from collections.abc import Iterator

from edeploy.inventory.items import Item
from edeploy.node.detect.program import output
from edeploy.node.detect.tree import Tree

_UNITS = {"bytes": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}
_NOTHING = frozenset({"", "Unknown", "Not Specified", "None", "NO DIMM", "Not Provided"})
_FIELDS = (
    ("vendor", "Manufacturer"),
    ("product", "Part Number"),
    ("serial", "Serial Number"),
    ("slot", "Locator"),
)


def memory(tree: Tree) -> Iterator[Item]:
    """Items of type `memory`."""
    banks: list[Item] = []
    if tree.exists("sys/firmware/dmi/tables/DMI"):
        banks = list(parse_banks(output("dmidecode", "-t", "17")))
    sizes = [int(item.value) for item in banks if item.key == "size"]
    yield Item("memory", "total", "size", str(sum(sizes) or _online(tree)))
    yield from banks


def parse_banks(text: str) -> Iterator[Item]:
    """The banks in what `dmidecode -t 17` prints: sizes in bytes, clocks in Hz."""
    records = [
        dict(re.findall(r"^\t([^\t:]+): *(.*?) *$", block, re.MULTILINE))
        for block in text.split("\n\n")
        if "DMI type 17," in block
    ]
    for number, record in enumerate(records):
        yield from _bank(f"bank:{number}", record)
    if records:
        yield Item("memory", "banks", "count", str(len(records)))


def _bank(name: str, record: dict[str, str]) -> Iterator[Item]:
    size = _bytes(record.get("Size", ""))
    clock = re.match(r"(\d+) (?:MT/s|MHz)", record.get("Speed", ""))
    if size:
        yield Item("memory", name, "size", str(size))
    if size and clock:
        yield Item("memory", name, "clock", str(int(clock[1]) * 10**6))
    words = (record.get(key, "") for key in ("Form Factor", "Type", "Type Detail"))
    kind = " ".join(word for word in words if word not in _NOTHING)
    if not size:
        kind += " [empty]"
    elif clock:
        kind += f" {clock[1]} MHz ({1000 / int(clock[1]):.1f} ns)"
    yield Item("memory", name, "description", kind.strip())
    for key, field in _FIELDS:
        if record.get(field, "") not in _NOTHING:
            yield Item("memory", name, key, record[field])


def _bytes(text: str) -> int:
    found = re.match(r"(\d+) (bytes|kB|MB|GB|TB)", text)
    return int(found[1]) * _UNITS[found[2]] if found else 0


def _online(tree: Tree) -> int:
    """What the kernel manages, where the firmware lists no banks."""
    found = re.search(r"^MemTotal: *(\d+) kB", tree.text("proc/meminfo"), re.MULTILINE)
    return int(found[1]) << 10 if found else 0
