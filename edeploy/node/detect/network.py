"""The probe of network cards: addresses, links, drivers, names of makers."""

from __future__ import annotations

from collections.abc import Iterator

from edeploy.inventory.items import Item
from edeploy.node.detect import pci
from edeploy.node.detect.card_driver import driver_facts
from edeploy.node.detect.program import first_of, output, printed
from edeploy.node.detect.sources.ethtool import parse_features
from edeploy.node.detect.sources.ip_address import parse_addresses
from edeploy.node.detect.tree import Tree

_NET = "sys/class/net"
_LATENCY_TIMER = 0x0D  # its place in a PCI device's configuration


def network(tree: Tree) -> Iterator[Item]:
    """Items of type `network`; cards only, nothing that the kernel made up."""
    found = cards(tree)
    for name in found:
        for key, value in _card(tree, name):
            if value:
                yield Item("network", name, key, value)
    # Last: what the kernel tells is there even where this program fails.
    addresses = parse_addresses(output("ip", "-json", "address", "show")) if found else {}
    for name in found:
        for key, value in addresses.get(name, ()):
            yield Item("network", name, key, value)


def offloads(tree: Tree) -> Iterator[Item]:
    """Items of type `network`: what each card does by itself."""
    if first_of("ethtool"):
        for name in cards(tree):
            yield from parse_features(printed("ethtool", "-k", name), name)


def cards(tree: Tree) -> list[str]:
    """The names of links that are a piece of hardware."""
    return [name for name in tree.names(_NET) if tree.exists(f"{_NET}/{name}/device")]


def _card(tree: Tree, name: str) -> Iterator[tuple[str, str]]:
    folder = f"{_NET}/{name}"
    yield "serial", tree.text(f"{folder}/address").lower()
    yield "link", "yes" if tree.text(f"{folder}/carrier") == "1" else "no"
    yield "driver", tree.target(f"{folder}/device/driver")
    megabits = tree.number(f"{folder}/speed") or 0
    # -1 and a billion stand for "not known".
    if 0 < megabits < 10**7:
        yield "speed", speed(megabits)
        yield "size", str(megabits * 10**6)
    duplex = tree.text(f"{folder}/duplex")
    yield "duplex", duplex if duplex in ("full", "half") else ""
    yield from driver_facts(name)
    yield from _bus(tree, folder)


def speed(megabits: int) -> str:
    """`1Gbit/s`, `2.5Gbit/s`, `100Mbit/s`."""
    return f"{megabits / 1000:g}Gbit/s" if megabits >= 1000 else f"{megabits}Mbit/s"


def _bus(tree: Tree, folder: str) -> Iterator[tuple[str, str]]:
    bus = tree.target(f"{folder}/device/subsystem")
    device = tree.target(f"{folder}/device")
    if bus:
        yield "businfo", f"{bus}@{device[len(bus) :] if device.startswith(bus) else device}"
    node = tree.number(f"{folder}/device/numa_node")
    yield "numa_node", "" if node is None or node < 0 else str(node)
    device_folder = pci.pci_device(tree, f"{folder}/device")
    if device_folder is None:
        return
    data = tree.data(str(device_folder / "config"))
    if len(data) > _LATENCY_TIMER:
        yield "latency", str(data[_LATENCY_TIMER])
    yield from zip(("vendor", "product"), pci.names(tree, device_folder))
    yield from pci.link_facts(tree, device_folder)
