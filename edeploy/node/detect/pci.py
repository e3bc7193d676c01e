"""What the kernel knows of a PCI device: its names, and the speed of its link."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from edeploy.node.detect.sources.pci_ids import pci_names
from edeploy.node.detect.tree import Tree

DEVICES = "sys/bus/pci/devices"
_PCI_IDS = "usr/share/misc/pci.ids"
_ADDRESS = re.compile(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$")


def pci_device(tree: Tree, folder: str) -> Path | None:
    """The PCI device that `folder` (such as `sys/class/net/eth0/device`) is, or is a part of."""
    # A virtio card is a child of its PCI device, a USB card of a controller that says nothing,
    # an NVMe disk a child of what nvme made of its PCI device.
    path = tree.path(folder).resolve()
    return next((part for part in (path, *path.parents[:2]) if _ADDRESS.match(part.name)), None)


def names(tree: Tree, device: Path) -> tuple[str, str]:
    """The names of its maker and of itself in pci.ids, "" where they have none."""
    vendor, product = (_hex(tree, device / file) for file in ("vendor", "device"))
    return pci_names(tree.data(_PCI_IDS), vendor, product)


def link_facts(tree: Tree, device: Path) -> Iterator[tuple[str, str]]:
    """`pcie_width` in lanes and `pcie_speed` in GT/s, and the `_max` that both ends of the link
    can do; nothing of a device that is not on PCI Express."""
    port = device.parent if _ADDRESS.match(device.parent.name) else None
    for key, file in (("pcie_width", "link_width"), ("pcie_speed", "link_speed")):
        now = _number(tree, device / f"current_{file}")
        ends = [_number(tree, end / f"max_{file}") for end in (device, port) if end is not None]
        most = min((end for end in ends if end), default=0.0)
        # 63 and 255 lanes stand for "not known" on some devices.
        if now and most and (file == "link_speed" or now <= 32):
            yield key, _plain(now, file)
            yield f"{key}_max", _plain(most, file)


def _plain(number: float, file: str) -> str:
    return f"{number:.1f}" if file == "link_speed" else f"{number:.0f}"


def _number(tree: Tree, path: Path) -> float:
    found = re.match(r"\d{1,4}(\.\d{1,3})?", tree.text(str(path)))
    return float(found[0]) if found else 0.0


def _hex(tree: Tree, path: Path) -> str:
    return tree.text(str(path)).lower().replace("0x", "")
