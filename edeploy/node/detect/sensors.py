"""The probe of sensors: temperatures of the processors, and all that the BMC measures."""

from __future__ import annotations

import re
from collections.abc import Iterator

from edeploy.inventory.items import Item
from edeploy.node.detect.program import first_of, parsed
from edeploy.node.detect.sources.ipmitool import parse_sdr
from edeploy.node.detect.tree import Tree

_MONITORS = "sys/class/hwmon"
# Intel's, one a socket; the kernel's number of the socket stands after the point.
_SOCKET = re.compile(r"coretemp\.(\d{1,4})\Z")
_LABEL = re.compile(r"(temp\d{1,4})_label\Z")
# Thousandths of a degree Celsius, as the kernel has them; the alarm is 0 or 1.
_FACTS = (
    ("temperature", "input"),
    ("max", "max"),
    ("critical", "crit"),
    ("critical_alarm", "crit_alarm"),
)


def sensors(tree: Tree) -> Iterator[Item]:
    """Items of type `cpu`, keys `Core_0/temperature`, and of type `ipmi`, a sensor an id."""
    for monitor in tree.names(_MONITORS):
        yield from _socket(tree, f"{_MONITORS}/{monitor}")
    if tree.exists("dev/ipmi0") and first_of("ipmitool"):
        # One sensor that does not answer makes it end with an error, after all the others.
        yield from parsed(parse_sdr, "ipmitool", "sdr")


def _socket(tree: Tree, folder: str) -> Iterator[Item]:
    socket = _SOCKET.match(tree.target(f"{folder}/device"))
    if socket is None:
        return
    found = (_LABEL.match(name) for name in tree.names(folder))
    for sensor in sorted((match[1] for match in found if match), key=lambda name: int(name[4:])):
        label = tree.text(f"{folder}/{sensor}_label").replace(" ", "_")
        for key, file in _FACTS:
            value = tree.text(f"{folder}/{sensor}_{file}")
            if label and value:
                yield Item("cpu", f"physical_{int(socket[1])}", f"{label}/{key}", value)
