"""The probe of network cards: addresses, links, drivers, names of makers."""

from __future__ import annotations

import array
import fcntl
import ipaddress
import json
import re
import socket
import struct
from collections.abc import Iterator

from edeploy.inventory.items import Item
from edeploy.node.detect.program import output
from edeploy.node.detect.tree import Tree

_NET = "sys/class/net"
_PCI_IDS = "usr/share/misc/pci.ids"
_PCI_ADDRESS = re.compile(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$")
_LATENCY_TIMER = 0x0D  # its place in a PCI device's configuration
_SIOCETHTOOL = 0x8946
_ETHTOOL_GSET = 1
_AUTONEG = 18  # its place in struct ethtool_cmd


def network(tree: Tree) -> Iterator[Item]:
    """Items of type `network`; cards only, nothing that the kernel made up."""
    cards = [name for name in tree.names(_NET) if tree.exists(f"{_NET}/{name}/device")]
    addresses = parse_addresses(output("ip", "-json", "address", "show")) if cards else {}
    for name in cards:
        for key, value in (*_card(tree, name), *addresses.get(name, ())):
            if value:
                yield Item("network", name, key, value)


def parse_addresses(text: str) -> dict[str, list[tuple[str, str]]]:
    """For each device its addresses, of what `ip -json address show` prints; no link-local."""
    found: dict[str, list[tuple[str, str]]] = {}
    for link in json.loads(text or "[]"):
        facts = found.setdefault(str(link.get("ifname", "")), [])
        for entry in link.get("addr_info", []):
            if entry.get("scope") == "global":
                facts.extend(_address(f"{entry['local']}/{entry['prefixlen']}"))
    return found


def _address(text: str) -> Iterator[tuple[str, str]]:
    address = ipaddress.ip_interface(text)
    kind = f"ipv{address.version}"
    yield kind, str(address.ip)
    yield f"{kind}-network", str(address.network.network_address)
    yield f"{kind}-cidr", str(address.network.prefixlen)
    if address.version == 4:
        yield f"{kind}-netmask", str(address.netmask)


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
    yield "autonegotiation", _autonegotiation(name)
    yield from _bus(tree, folder)


def speed(megabits: int) -> str:
    """`1Gbit/s`, `2.5Gbit/s`, `100Mbit/s`."""
    return f"{megabits / 1000:g}Gbit/s" if megabits >= 1000 else f"{megabits}Mbit/s"


def _bus(tree: Tree, folder: str) -> Iterator[tuple[str, str]]:
    bus = tree.target(f"{folder}/device/subsystem")
    device = tree.target(f"{folder}/device")
    if bus:
        yield "businfo", f"{bus}@{device[len(bus) :] if device.startswith(bus) else device}"
    # A virtio card is a child of its PCI device, a USB card of a controller that says nothing.
    path = tree.path(f"{folder}/device").resolve()
    pci = next((part for part in (path, path.parent) if _PCI_ADDRESS.match(part.name)), None)
    if pci is None:
        return
    words = [_hex(tree, pci / file) for file in ("vendor", "device")]
    data = tree.data(str(pci / "config"))
    if len(data) > _LATENCY_TIMER:
        yield "latency", str(data[_LATENCY_TIMER])
    names = pci_names(tree.data(_PCI_IDS), words[0], words[1])
    yield "vendor", names[0]
    yield "product", names[1]


def _hex(tree: Tree, path: object) -> str:
    return tree.text(str(path)).lower().replace("0x", "")


def pci_names(table: bytes, vendor: str, device: str) -> tuple[str, str]:
    """The names of a maker and a device (four hex digits each) in the text of pci.ids."""
    start = table.find(f"\n{vendor}  ".encode()) if vendor else -1
    if start < 0:
        return "", ""
    end = table.find(b"\n", start + 1)
    maker = table[start + len(vendor) + 3 : end].decode(errors="replace").strip()
    # The maker's devices are indented; the next line that is not is another maker.
    section = re.compile(rb"(?:[\t#][^\n]*\n|\n)*").match(table, end + 1)
    lines = section.group() if section else b""
    found = re.search(rb"^\t" + device.encode() + rb"  (.*)$", lines, re.MULTILINE)
    return maker, found[1].decode(errors="replace").strip() if found and device else ""


def _autonegotiation(name: str) -> str:
    """`on` or `off`, asked of the driver; empty when it does not know."""
    command = array.array("B", struct.pack("I40x", _ETHTOOL_GSET))
    request = struct.pack("16sP", name.encode()[:15], command.buffer_info()[0])
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
            fcntl.ioctl(handle, _SIOCETHTOOL, request)
    except OSError:
        return ""
    return "on" if command[_AUTONEG] else "off"
