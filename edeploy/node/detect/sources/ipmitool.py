"""`ipmitool`: the management controller's channels, network settings and sensors."""

from __future__ import annotations

import re
from collections.abc import Iterator

from edeploy.inventory.items import Item


def is_network(text: str) -> bool:
    """Whether `ipmitool channel info N` tells of a channel on a network."""
    return "802.3 LAN" in text


def parse_lan(text: str) -> Iterator[Item]:
    """The settings in what `ipmitool lan print` prints, named as in `ip-address`."""
    for line in text.splitlines():
        name, colon, value = (part.strip() for part in line.partition(" : "))
        # Community strings are passwords.
        if colon and name and value and "Community" not in name:
            key = re.sub(r"[^a-z0-9.+]+", "-", name.lower()).strip("-")
            if key:
                yield Item("ipmi", "lan", key, value)


def parse_sdr(text: str) -> Iterator[Item]:
    """The sensors in what `ipmitool sdr` prints: `value`, and `unit` where it has one."""
    for line in text.splitlines():
        parts = [part.strip() for part in line.split("|")]
        if len(parts) < 3 or not parts[0] or not parts[1]:
            continue
        if "not readable" in line.lower():
            yield Item("ipmi", parts[0], "value", "Not Readable")
            continue
        value, _, unit = parts[1].partition(" ")
        yield Item("ipmi", parts[0], "value", value)
        if unit.strip():
            yield Item("ipmi", parts[0], "unit", " ".join(unit.split()))
