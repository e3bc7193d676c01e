"""The probe of other PCI devices: graphics processors, and controllers of disks."""

from __future__ import annotations

from collections.abc import Iterator

from edeploy.inventory.items import Item
from edeploy.node.detect import pci
from edeploy.node.detect.tree import Tree

# The first two digits of the class, or all four, and the items' type.
_KINDS = {"03": "gpu", "12": "gpu", "01": "controller", "0c04": "controller"}
_NVME = "0108"  # each is a disk already
_VIRTIO = ("1af4",)  # as a controller it has one disk, which tells all
# What only shows the console: ASPEED, Matrox (both in BMCs), and virtual machines' cards.
_CONSOLES = frozenset(
    {"1a03", "102b", "1013", "1234", "1b36", "1af4", "15ad", "80ee", "1414", "5853"}
)


def devices(tree: Tree) -> Iterator[Item]:
    """Items of types `gpu` and `controller`; the id is the PCI address."""
    gpus = 0
    for address in tree.names(pci.DEVICES):
        folder = f"{pci.DEVICES}/{address}"
        number = tree.text(f"{folder}/class")[2:6].lower()
        kind = _KINDS.get(number) or _KINDS.get(number[:2])
        maker = tree.text(f"{folder}/vendor")[2:].lower()
        if kind is None or number == _NVME or maker in (_CONSOLES if kind == "gpu" else _VIRTIO):
            continue
        gpus += kind == "gpu"
        yield from _device(tree, kind, address)
    if gpus:
        yield Item("gpu", "logical", "count", str(gpus))


def _device(tree: Tree, kind: str, address: str) -> Iterator[Item]:
    folder = f"{pci.DEVICES}/{address}"
    device = tree.path(folder).resolve()
    vendor, product = pci.names(tree, device)
    facts = (
        ("vendor", vendor or tree.text(f"{folder}/vendor")),
        ("product", product or tree.text(f"{folder}/device")),
        ("class", tree.text(f"{folder}/class")[2:6]),
        ("driver", tree.target(f"{folder}/driver")),
        *pci.link_facts(tree, device),
    )
    for key, value in facts:
        if value:
            yield Item(kind, address, key, value)
