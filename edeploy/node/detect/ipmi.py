"""The probe of the management controller (BMC) that the machine has inside."""

from __future__ import annotations

from collections.abc import Iterator

from edeploy.errors import EdeployError
from edeploy.inventory.items import Item
from edeploy.node.detect.program import first_of, output, parsed
from edeploy.node.detect.sources.ipmitool import is_network, parse_lan
from edeploy.node.detect.tree import Tree

# 0 is the bus between controllers, 15 the system's own interface; the network is mostly 1 or 8.
_CHANNELS = (1, 8, *range(2, 8), *range(9, 15))


def ipmi(tree: Tree) -> Iterator[Item]:
    """Items of types `system` (the channel) and `ipmi` (its network settings)."""
    if not tree.exists("dev/ipmi0"):
        if "FAKEIPMI" in tree.text("proc/cmdline").upper().split():
            # For profiles of eDeploy's virtual machines, whose rules ask for it.
            yield Item("system", "ipmi-fake", "channel", "0")
        return
    if not first_of("ipmitool"):
        return
    for channel in _CHANNELS:
        try:
            about = output("ipmitool", "channel", "info", str(channel))
        except EdeployError:  # it does not have this channel
            continue
        if is_network(about):
            yield Item("system", "ipmi", "channel", str(channel))
            # It ends with an error where a BMC lacks one of the settings.
            yield from parsed(parse_lan, "ipmitool", "lan", "print", str(channel))
            return
    # A BMC may have no network; one that does not say a word is an error.
    output("ipmitool", "mc", "info")
