"""The probe of the management controller (BMC) that the machine has inside."""

from __future__ import annotations

import re
from collections.abc import Iterator

from edeploy.errors import EdeployError
from edeploy.inventory.items import Item
from edeploy.node.detect.program import output
from edeploy.node.detect.tree import Tree

# 0 is the bus between controllers, 15 the system's own interface; the network is mostly 1 or 8.
_CHANNELS = (1, 8, *range(2, 8), *range(9, 15))


def ipmi(tree: Tree) -> Iterator[Item]:
    """Items of types `system` (the channel) and `ipmi` (its network settings)."""
    if not tree.exists("dev/ipmi0"):
        return
    for channel in _CHANNELS:
        try:
            about = output("ipmitool", "channel", "info", str(channel))
        except EdeployError:
            continue
        if "802.3 LAN" in about:
            yield Item("system", "ipmi", "channel", str(channel))
            yield from parse_lan(output("ipmitool", "lan", "print", str(channel)))
            return


def parse_lan(text: str) -> Iterator[Item]:
    """The settings in what `ipmitool lan print` prints, named as in `ip-address`."""
    for line in text.splitlines():
        name, colon, value = (part.strip() for part in line.partition(" : "))
        # Community strings are passwords.
        if colon and name and value and "Community" not in name:
            key = re.sub(r"[^a-z0-9.+]+", "-", name.lower()).strip("-")
            yield Item("ipmi", "lan", key, value)
