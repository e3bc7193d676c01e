"""Older spellings of items, so that specs that were written for them match."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from edeploy.inventory.items import Item

# What lshw had for makers that the kernel, or today's pci.ids, names otherwise.
_MAKERS = {
    "GenuineIntel": ("Intel Corp.",),
    "AuthenticAMD": ("Advanced Micro Devices [AMD]",),
    "Broadcom Inc. and subsidiaries": ("Broadcom Corporation",),
    "Broadcom / LSI": ("LSI Logic / Symbios Logic",),
    "QLogic Corp.": ("QLogic Corporation",),
    "NVIDIA Corporation": ("nVidia Corporation",),
    "Red Hat, Inc.": ("Red Hat, Inc",),
}
# In eDeploy's first reports the names of logical drives were in lower case.
_LOGICAL = {
    "CurrentAccessPolicy": "current_access_policy",
    "CurrentCachePolicy": "current_cache_policy",
    "DiskCachePolicy": "disk_cache_policy",
    "Name": "name",
    "NumberOfDrives": "number_of_drives",
    "RaidLevel": "raid_level",
    "SectorSize": "sector_size",
    "State": "state",
    "StripSize": "strip_size",
}
_WORD = 1 << 32


def aliases(items: Iterable[Item]) -> Iterator[Item]:
    """The further items of a report: the same facts in the spellings of before."""
    for item in items:
        for key, value in _others(item):
            yield Item(item.type, item.id, key, value)


def _others(item: Item) -> Iterator[tuple[str, str]]:
    if item.key == "vendor":
        yield from (("vendor", name) for name in _MAKERS.get(item.value, ()))
    elif item.type == "cpu":
        yield from _processor(item)
    elif item.type == "ldisk" and item.key in _LOGICAL:
        yield _LOGICAL[item.key], item.value
    elif (item.type, item.key) == ("disk", "rev"):
        yield "revision", item.value
    elif item[:3] == ("system", "product", "name") and not item.value.endswith(")"):
        # lshw's brackets of the SKU stood there without one, too.
        yield "name", f"{item.value} ()"


def _processor(item: Item) -> Iterator[tuple[str, str]]:
    if item.key == "product" and re.search(r"\bXeon\b", item.value):
        yield "product", "Xeon"
    elif item.key == "clock" and re.match(r"\d{10,15}\Z", item.value, re.ASCII):
        # lshw counted in 32 bits: of 7.2 GHz there remained 2905032704.
        if int(item.value) >= _WORD:
            yield "clock", str(int(item.value) % _WORD)
