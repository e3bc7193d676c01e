"""`lshw -xml`: for machines whose firmware has no SMBIOS tables, and for old records."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator

from edeploy.inventory.items import Item

_BOARD = (
    ("system", "motherboard", "core", ("product", "vendor", "version", "serial")),
    ("firmware", "bios", "firmware", ("version", "date", "vendor")),
)
_BANK = ("size", "clock", "description", "vendor", "product", "serial", "slot")
_CARD = ("businfo", "vendor", "product", "size")
_CARD_SETTINGS = ("firmware", "link", "driver", "duplex", "speed", "latency", "autonegotiation")


def parse_lshw(text: str) -> Iterator[Item]:
    """Items of types `system`, `firmware`, `memory` and `network`."""
    try:
        # Its declaration names an encoding that a text no longer has.
        root = ElementTree.fromstring(re.sub(r"\A\s*<\?xml[^>]*\?>", "", text))  # noqa: S314
    except (ElementTree.ParseError, ValueError):
        return
    # Older versions print the machine itself, newer ones a list of machines.
    machine = root.find("node") if root.tag == "list" else root
    if machine is None:
        return
    yield from _product(machine)
    for kind, name, wanted, keys in _BOARD:
        node = machine.find(f".//node[@id='{wanted}']")
        if node is not None:
            for key in keys:
                yield from _item(kind, name, "name" if key == "product" else key, _text(node, key))
    yield from _memory(machine)
    for node in machine.findall(".//node[@class='network']"):
        yield from _card(node)


def _product(machine: ElementTree.Element) -> Iterator[Item]:
    for key, tag in (
        ("serial", "serial"), ("name", "product"), ("vendor", "vendor"), ("version", "version"),
    ):  # fmt: skip
        yield from _item("system", "product", key, _text(machine, tag))
    yield from _item("system", "product", "uuid", _setting(machine, "uuid"))
    yield from _item("system", "product", "family", _setting(machine, "family"))


def _memory(machine: ElementTree.Element) -> Iterator[Item]:
    banks = 0
    for node in machine.findall(".//node[@class='memory']"):
        array = re.match(r"memory(:\d+)?\Z", node.get("id", ""))
        if not array:
            continue
        yield from _item("memory", "total", "size", _text(node, "size"))
        for bank in node.findall(".//node"):
            place = re.match(r"bank:(\d+)\Z", bank.get("id", ""))
            if place:
                banks += 1
                for key in _BANK:
                    name = f"bank{array[1] or ''}:{place[1]}"
                    yield from _item("memory", name, key, _text(bank, key))
    if banks:
        yield Item("memory", "banks", "count", str(banks))


def _card(node: ElementTree.Element) -> Iterator[Item]:
    name = _text(node, "logicalname")
    if not name:
        return
    yield from _item("network", name, "serial", _text(node, "serial").lower())
    for key in _CARD:
        yield from _item("network", name, key, _text(node, key))
    yield from _item("network", name, "ipv4", _setting(node, "ip"))
    for key in _CARD_SETTINGS:
        yield from _item("network", name, key, _setting(node, key))


def _item(kind: str, name: str, key: str, value: str) -> Iterator[Item]:
    if value:
        yield Item(kind, name, key, value)


def _text(node: ElementTree.Element, tag: str) -> str:
    return (node.findtext(tag) or "").strip()


def _setting(node: ElementTree.Element, name: str) -> str:
    found = node.find(f"configuration/setting[@id='{name}']")
    return "" if found is None else found.get("value", "").strip()
