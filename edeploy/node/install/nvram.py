"""The boot entry in UEFI's memory: ours is there, and the network stays before it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edeploy.node import timeouts
from edeploy.node.mounts import mount
from edeploy.run import run

LABEL = "edeploy"
LOADER = r"\EFI\BOOT\BOOTX64.EFI"
VARIABLES = Path("/sys/firmware/efi/efivars")

_ENTRY = re.compile(r"Boot([0-9A-F]{4})(\*?) ([^\t\n]*)\t?(.*)")
# The names and device paths of network boot entries, as firmware makers write them.
_NETWORK = re.compile(r"pxe|http|network|\bnic\b|\blan\b|ipv[46]|MAC\(|IPv[46]\(", re.IGNORECASE)


@dataclass(frozen=True)
class Entry:
    """One boot entry: four hexadecimal digits, its name, its device path."""

    number: str
    name: str
    path: str

    @property
    def network(self) -> bool:
        """Whether it boots from the network, as far as its words tell."""
        return bool(_NETWORK.search(f"{self.name} {self.path}"))


@dataclass(frozen=True)
class Firmware:
    """What `efibootmgr --verbose` tells; `current` is empty when the firmware does not say."""

    current: str
    order: tuple[str, ...]
    entries: tuple[Entry, ...]

    def labelled(self, label: str) -> list[str]:
        """The numbers of the entries with this name."""
        return [entry.number for entry in self.entries if entry.name == label]


def parse(text: str) -> Firmware:
    """The state in what `efibootmgr --verbose` prints."""
    current = re.search(r"^BootCurrent: ([0-9A-F]{4})", text, re.MULTILINE)
    order = re.search(r"^BootOrder: ([0-9A-F,]+)", text, re.MULTILINE)
    entries = (match for line in text.splitlines() for match in [_ENTRY.match(line)] if match)
    return Firmware(
        current=current[1] if current else "",
        order=tuple(order[1].split(",")) if order else (),
        entries=tuple(Entry(match[1], match[3].strip(), match[4]) for match in entries),
    )


def new_order(firmware: Firmware, ours: str) -> tuple[str, ...]:
    """The boot order with the network first, then ours, then the rest.

    The network is the entry that booted this ramdisk, whatever it is called; the firmware's other
    ways to the network come after ours, for each may wait minutes before it gives up. When the
    firmware does not say what it booted, all that look like the network stay before ours.
    """
    known = {entry.number: entry for entry in firmware.entries}
    order = [number for number in firmware.order if number in known and number != ours]
    if firmware.current in known and firmware.current != ours:
        first = [firmware.current]
    else:
        first = [number for number in order if known[number].network]
    return (*first, ours, *(number for number in order if number not in first))


def register(disk: str, partition: int) -> str:
    """Make our entry for the ESP on a disk and set the order; returns the order, for the log.

    Raises EdeployError; a machine also boots without an entry, by the loader's fixed name.
    """
    if not any(VARIABLES.iterdir()):
        mount("efivarfs", VARIABLES, "-t", "efivarfs")
    for number in parse(_efibootmgr("--verbose")).labelled(LABEL):
        _efibootmgr("--quiet", "--bootnum", number, "--delete-bootnum")
    _efibootmgr(
        "--quiet", "--create-only",
        "--disk", disk,
        "--part", str(partition),
        "--label", LABEL,
        "--loader", LOADER,
    )  # fmt: skip
    firmware = parse(_efibootmgr("--verbose"))
    order = ",".join(new_order(firmware, firmware.labelled(LABEL)[0]))
    _efibootmgr("--quiet", "--bootorder", order)
    return order


def _efibootmgr(*words: str) -> str:
    return str(run(["efibootmgr", *words], timeout=timeouts.FIRMWARE).out)
