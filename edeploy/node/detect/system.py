"""The probe of the whole: product, board, firmware, how it booted, which kernel runs."""

from __future__ import annotations

import os
from collections.abc import Iterator

from edeploy.inventory.items import Item
from edeploy.node.detect.program import first_of, output
from edeploy.node.detect.tree import SMBIOS, Tree

_DMI = "sys/class/dmi/id/"
# id, key, file
_FACTS = (
    ("system", "product", "vendor", "sys_vendor"),
    ("system", "product", "version", "product_version"),
    ("system", "product", "serial", "product_serial"),
    ("system", "product", "uuid", "product_uuid"),
    ("system", "product", "family", "product_family"),
    ("system", "motherboard", "name", "board_name"),
    ("system", "motherboard", "vendor", "board_vendor"),
    ("system", "motherboard", "version", "board_version"),
    ("system", "motherboard", "serial", "board_serial"),
    ("system", "chassis", "serial", "chassis_serial"),
    ("firmware", "bios", "vendor", "bios_vendor"),
    ("firmware", "bios", "version", "bios_version"),
    ("firmware", "bios", "date", "bios_date"),
)
# What boards say when their maker filled nothing in.
_NOTHING = frozenset({"", "not specified", "none", "to be filled by o.e.m.", "default string"})


def system(tree: Tree) -> Iterator[Item]:
    """Items of types `system` and `firmware`."""
    name = tree.text(_DMI + "product_name")
    sku = tree.text(_DMI + "product_sku")
    if name:
        # The stock-keeping unit in brackets, as in reports since the first eDeploy.
        shown = name if sku.lower() in _NOTHING else f"{name} ({sku})"
        yield Item("system", "product", "name", shown)
    for kind, part, key, file in _FACTS:
        value = tree.text(_DMI + file)
        if value:
            yield Item(kind, part, key, value)
    yield Item("system", "boot", "firmware", firmware(tree))
    yield Item("system", "kernel", "version", tree.text("proc/sys/kernel/osrelease"))
    yield Item("system", "kernel", "arch", os.uname().machine)
    cmdline = tree.text("proc/cmdline")
    if cmdline:
        yield Item("system", "kernel", "cmdline", cmdline)


def lshw(tree: Tree) -> Iterator[Item]:
    """What lshw knows of a machine without SMBIOS, such as a POWER server."""
    if tree.exists(SMBIOS) or not first_of("lshw"):
        return
    # Here and not above; see `neighbours`.
    from edeploy.node.detect.sources.lshw import parse_lshw

    for item in parse_lshw(output("lshw", "-quiet", "-xml")):
        # The kernel itself tells of network cards and of memory in all.
        if item.type in ("system", "firmware") or (item.type, item.id[:4]) == ("memory", "bank"):
            yield item


def firmware(tree: Tree) -> str:
    """How the machine booted: `uefi` or `bios`."""
    return "uefi" if tree.exists("sys/firmware/efi") else "bios"
