"""The probe of memory: how much there is, and what is in which slot."""

from __future__ import annotations

import re
from collections.abc import Iterator

from edeploy.inventory.items import Item
from edeploy.node.detect.sources.smbios import memory_banks, structures
from edeploy.node.detect.tree import SMBIOS, Tree


def memory(tree: Tree) -> Iterator[Item]:
    """Items of type `memory`."""
    banks = list(memory_banks(structures(tree.data(SMBIOS))))
    sizes = [int(item.value) for item in banks if item.key == "size"]
    yield Item("memory", "total", "size", str(sum(sizes) or _online(tree)))
    yield from banks


def _online(tree: Tree) -> int:
    """What the kernel manages, where the firmware lists no banks."""
    found = re.search(r"^MemTotal: *(\d{1,15}) kB", tree.text("proc/meminfo"), re.MULTILINE)
    return int(found[1]) << 10 if found else 0
