"""The probe of disks, and the facts by which an installation knows one again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from edeploy.inventory.items import Item
from edeploy.node.detect import pci
from edeploy.node.detect.tree import Tree

SECTOR = 512  # /sys/block/*/size counts these, whatever the disk's own sectors are
GIGABYTE = 10**9
_BLOCK = "sys/block"
_BY_ID = "dev/disk/by-id"
# Optical and floppy drives, and what an eMMC shows beside its user area.
_NO_DISK = re.compile(r"(sr|fd)\d+$|mmcblk\d+(boot\d+|rpmb)$")
_QUEUE = ("rotational", "physical_block_size", "logical_block_size", "optimal_io_size")
# cache_type of a SCSI disk: is there a write cache, is there no read cache
_CACHE = {
    "write through": ("0", "0"),
    "none": ("0", "1"),
    "write back": ("1", "0"),
    "write back, no read (daft)": ("1", "1"),
}


@dataclass(frozen=True)
class Disk:
    """A block device: `size` in bytes, `sector` its logical sector in bytes, `ids` its names in
    /dev/disk/by-id. `real` tells a piece of hardware from loop, md and the like."""

    name: str
    size: int
    sector: int
    serial: str
    wwn: str
    ids: tuple[str, ...]
    real: bool

    @property
    def path(self) -> str:
        """The kernel's own name for it, good until the next boot."""
        return f"/dev/{self.name}"

    @property
    def by_id(self) -> str:
        """A path that stays, the shortest that is no WWN; `path` where udev gives none."""
        names = sorted(self.ids, key=lambda name: (name.startswith(("wwn-", "nvme-eui")), name))
        return f"/dev/disk/by-id/{names[0]}" if names else self.path


def disks(tree: Tree) -> Iterator[Item]:
    """Items of type `disk`."""
    real = [disk for disk in all_disks(tree) if disk.real]
    yield Item("disk", "logical", "count", str(len(real)))
    for disk in real:
        yield Item("disk", disk.name, "size", str(disk.size // GIGABYTE))
        for key, value in _facts(tree, disk):
            if value:
                yield Item("disk", disk.name, key, value)


def all_disks(tree: Tree) -> list[Disk]:
    """Every block device with a size that is no partition, by name."""
    ids = _ids(tree)
    found = (_disk(tree, name, ids) for name in tree.names(_BLOCK) if not _NO_DISK.match(name))
    return [disk for disk in found if disk.size]


def _disk(tree: Tree, name: str, ids: dict[str, list[str]]) -> Disk:
    folder = f"{_BLOCK}/{name}"
    own = tuple(ids.get(name, ()))
    return Disk(
        name=name,
        size=(tree.number(f"{folder}/size") or 0) * SECTOR,
        sector=tree.number(f"{folder}/queue/logical_block_size") or SECTOR,
        serial=_serial(tree, folder),
        wwn=_wwn(tree, folder, own),
        ids=own,
        real=tree.exists(f"{folder}/device") and not tree.exists(f"{folder}/loop"),
    )


def _serial(tree: Tree, folder: str) -> str:
    for file in ("serial", "device/serial"):
        text = tree.text(f"{folder}/{file}")
        if text:
            return text
    # Vital product data of SCSI, page 0x80: four bytes of head, then the serial number.
    page = tree.data(f"{folder}/device/vpd_pg80")[4:].decode("ascii", "replace")
    if page.strip("\0 "):
        return page.strip("\0 ")
    about = _udev(tree, tree.text(f"{folder}/dev"))
    return about.get("ID_SCSI_SERIAL") or about.get("ID_SERIAL_SHORT", "")


def _wwn(tree: Tree, folder: str, ids: tuple[str, ...]) -> str:
    for name in ids:
        if name.startswith("wwn-"):
            return name[len("wwn-") :]
    name = tree.text(f"{folder}/wwid") or tree.text(f"{folder}/device/wwid")
    kind, dot, number = name.partition(".")
    if kind == "naa" and dot:
        return "0x" + number
    return name if kind == "eui" else ""


def _ids(tree: Tree) -> dict[str, list[str]]:
    """For each device its names in /dev/disk/by-id."""
    found: dict[str, list[str]] = {}
    for name in tree.names(_BY_ID):
        found.setdefault(tree.target(f"{_BY_ID}/{name}"), []).append(name)
    return found


def _udev(tree: Tree, number: str) -> dict[str, str]:
    lines = tree.text(f"run/udev/data/b{number}").splitlines() if number else []
    pairs = (line[2:].partition("=") for line in lines if line.startswith("E:"))
    return {name: value for name, _, value in pairs}


def _facts(tree: Tree, disk: Disk) -> Iterator[tuple[str, str]]:
    folder = f"{_BLOCK}/{disk.name}"
    yield "vendor", tree.text(f"{folder}/device/vendor")
    yield "model", tree.text(f"{folder}/device/model")
    yield "rev", tree.text(f"{folder}/device/rev") or tree.text(f"{folder}/device/firmware_rev")
    for key in _QUEUE:
        yield key, tree.text(f"{folder}/queue/{key}")
    yield "nr_requests", tree.text(f"{folder}/queue/nr_requests")
    scheduler = re.search(r"\[(.+?)\]", tree.text(f"{folder}/queue/scheduler"))
    yield "scheduler", scheduler[1] if scheduler else ""
    for host in tree.names(f"{folder}/device/scsi_disk"):
        kind = tree.text(f"{folder}/device/scsi_disk/{host}/cache_type")
        write, no_read = _CACHE.get(kind, ("", ""))
        yield "Write Cache Enable", write
        yield "Read Cache Disable", no_read
    yield "serial", disk.serial
    for name in disk.ids:
        yield "id", name
    yield "wwn-id", f"wwn-{disk.wwn}" if disk.wwn else ""
    for name in disk.ids:
        yield "scsi-id", name if name.startswith("scsi-") else ""
    if disk.name.startswith("nvme"):
        device = pci.pci_device(tree, f"{folder}/device")
        if device is not None:
            yield from pci.link_facts(tree, device)


def partitions(tree: Tree, name: str) -> list[str]:
    """The names of a disk's partitions that the kernel knows."""
    folder = f"{_BLOCK}/{name}"
    return [part for part in tree.names(folder) if tree.exists(f"{folder}/{part}/partition")]
