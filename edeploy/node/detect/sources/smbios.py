"""SMBIOS: the tables in which firmware lists memory modules, processors and itself.

Offsets and values are those of the SMBIOS reference specification (DMTF DSP0134).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edeploy.inventory.items import Item

PROCESSOR, MEMORY_ARRAY, MEMORY_DEVICE, _END = 4, 16, 17, 127
_MEGABYTE = 1 << 20
_FORM_FACTORS = (
    "", "", "SIMM", "SIP", "Chip", "DIP", "ZIP", "Proprietary Card", "DIMM", "TSOP",
    "Row of chips", "RIMM", "SODIMM", "SRIMM", "FB-DIMM", "Die",
)  # fmt: skip
_TYPES = (
    "", "", "", "DRAM", "EDRAM", "VRAM", "SRAM", "RAM", "ROM", "FLASH", "EEPROM", "FEPROM", "EPROM",
    "CDRAM", "3DRAM", "SDRAM", "SGRAM", "RDRAM", "DDR", "DDR2", "DDR2 FB-DIMM", "", "", "",
    "DDR3", "FBD2", "DDR4", "LPDDR", "LPDDR2", "LPDDR3", "LPDDR4", "Logical non-volatile device",
    "HBM", "HBM2", "DDR5", "LPDDR5", "HBM3",
)  # fmt: skip
# Bit: what it says of a module.
_DETAILS = {
    3: "Fast-paged", 4: "Static Column", 5: "Pseudo-static", 6: "RAMBus", 7: "Synchronous",
    8: "CMOS", 9: "EDO", 10: "Window DRAM", 11: "Cache DRAM", 12: "Non-volatile",
    13: "Registered (Buffered)", 14: "Unbuffered (Unregistered)", 15: "LRDIMM",
}  # fmt: skip
_TECHNOLOGIES = {4: "NVDIMM-N", 5: "NVDIMM-F", 6: "NVDIMM-P", 7: "Optane persistent memory"}
_NOTHING = frozenset({"", "Unknown", "Not Specified", "None", "NO DIMM", "Not Provided"})


@dataclass(frozen=True)
class Structure:
    """One entry: `fields` are its bytes with the head, `strings` what they number from 1."""

    kind: int
    handle: int
    fields: bytes
    strings: tuple[str, ...]

    def number(self, place: int, size: int) -> int:
        """The number of `size` bytes at `place`; 0 beyond the entry's end (older firmware)."""
        if place + size > len(self.fields):
            return 0
        return int.from_bytes(self.fields[place : place + size], "little")

    def string(self, place: int) -> str:
        """The text whose number is at `place`; "" for none."""
        number = self.number(place, 1)
        return self.strings[number - 1] if 0 < number <= len(self.strings) else ""


def structures(table: bytes) -> list[Structure]:
    """The entries of a table, as far as it is well formed."""
    found: list[Structure] = []
    place = 0
    while place + 4 <= len(table):
        kind, length = table[place], table[place + 1]
        handle = int.from_bytes(table[place + 2 : place + 4], "little")
        end = table.find(b"\0\0", place + length)
        if length < 4 or end < 0:
            break
        texts = table[place + length : end].split(b"\0")
        strings = tuple(text.decode("ascii", "replace").strip() for text in texts)
        found.append(Structure(kind, handle, table[place : place + length], strings))
        if kind == _END:
            break
        place = end + 2
    return found


def memory_banks(entries: Sequence[Structure]) -> Iterator[Item]:
    """Items of type `memory`: sizes in bytes, clocks in Hz.

    Banks are `bank:3`; where there are several arrays of slots, `bank:ARRAY:3`.
    """
    arrays = [entry.handle for entry in entries if entry.kind == MEMORY_ARRAY]
    count: dict[int, int] = {}
    for entry in entries:
        if entry.kind != MEMORY_DEVICE:
            continue
        array = entry.number(0x04, 2)
        position = arrays.index(array) if array in arrays else 0
        number = count.setdefault(position, 0)
        count[position] += 1
        name = f"bank:{position}:{number}" if len(arrays) > 1 else f"bank:{number}"
        yield from _bank(name, entry)
    if count:
        yield Item("memory", "banks", "count", str(sum(count.values())))


def _bank(name: str, entry: Structure) -> Iterator[Item]:
    size = _size(entry)
    rated = _speed(entry, 0x15, 0x54)
    configured = _speed(entry, 0x20, 0x58)
    if size:
        yield Item("memory", name, "size", str(size))
    if size and rated:
        yield Item("memory", name, "clock", str(rated * 10**6))
    if size and configured:
        yield Item("memory", name, "configured_clock", str(configured * 10**6))
    yield Item("memory", name, "description", _description(entry, size, rated))
    ranks = entry.number(0x1B, 1) & 0x0F
    facts = (
        ("vendor", entry.string(0x17)),
        ("product", entry.string(0x1A)),
        ("serial", entry.string(0x18)),
        ("slot", entry.string(0x10)),
        ("locator", entry.string(0x11)),
        ("type", _named(_TYPES, entry.number(0x12, 1)) if size else ""),
        ("technology", _TECHNOLOGIES.get(entry.number(0x28, 1), "") if size else ""),
        ("ranks", str(ranks) if size and ranks else ""),
    )
    for key, value in facts:
        if value not in _NOTHING:
            yield Item("memory", name, key, value)


def _size(entry: Structure) -> int:
    size = entry.number(0x0C, 2)
    if size == 0x7FFF:
        return (entry.number(0x1C, 4) & 0x7FFFFFFF) * _MEGABYTE
    if size in (0, 0xFFFF):
        return 0
    return (size & 0x7FFF) << 10 if size & 0x8000 else size * _MEGABYTE


def _speed(entry: Structure, place: int, extended: int) -> int:
    """Megatransfers per second, 0 when unknown."""
    speed = entry.number(place, 2)
    return entry.number(extended, 4) & 0x7FFFFFFF if speed == 0xFFFF else speed


def _description(entry: Structure, size: int, rated: int) -> str:
    details = entry.number(0x13, 2)
    words = [_named(_FORM_FACTORS, entry.number(0x0E, 1) - 1)]
    words.append(_named(_TYPES, entry.number(0x12, 1)))
    words += [word for bit, word in _DETAILS.items() if details >> bit & 1]
    if not size:
        words.append("[empty]")
    elif rated:
        words.append(f"{rated} MHz ({1000 / rated:.1f} ns)")
    return " ".join(word for word in words if word)


def _named(names: Sequence[str], number: int) -> str:
    return names[number] if 0 <= number < len(names) else ""


def processors(entries: Sequence[Structure]) -> Iterator[Item]:
    """Items of type `cpu`: what firmware says of each socket that has a processor."""
    position = 0
    for entry in entries:
        populated = entry.number(0x18, 1) & 0x40
        if entry.kind == PROCESSOR and entry.number(0x05, 1) == 3 and populated:
            yield from _processor(f"physical_{position}", entry)
            position += 1


def _processor(name: str, entry: Structure) -> Iterator[Item]:
    enabled = entry.number(0x24, 1)
    if enabled == 0xFF:
        enabled = entry.number(0x2C, 2)
    facts = (
        ("physid", f"{entry.handle:x}"),
        ("socket", entry.string(0x04)),
        ("version", " ".join(entry.string(0x10).split())),
        ("serial", entry.string(0x20)),
        ("frequency", _hertz(entry.number(0x16, 2))),
        ("clock", _hertz(entry.number(0x12, 2))),
        ("enabled_cores", str(enabled or "")),
    )
    for key, value in facts:
        if value not in _NOTHING:
            yield Item("cpu", name, key, value)


def _hertz(megahertz: int) -> str:
    return str(megahertz * 10**6) if megahertz else ""
