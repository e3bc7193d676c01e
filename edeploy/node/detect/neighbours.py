"""The probe of network neighbours, by a daemon that listens already.

In the ramdisk nothing listens yet when the probes run: there `edeploy.node.listener` does.
"""

from __future__ import annotations

from collections.abc import Iterator

from edeploy.inventory.items import Item
from edeploy.node.detect.network import cards
from edeploy.node.detect.program import first_of, printed
from edeploy.node.detect.tree import Tree


def neighbours(tree: Tree) -> Iterator[Item]:
    """Items of type `lldp`."""
    # Imported where they are needed: most machines have neither program, and an emulated one takes
    # a tenth of a second to import the parsers of all programs that there may be.
    if first_of("lldpctl"):
        from edeploy.node.detect.sources.lldpctl import parse_lldpctl

        yield from parse_lldpctl(printed("lldpctl", "-f", "json"))
    elif first_of("lldptool"):
        from edeploy.node.detect.sources.lldptool import parse_lldptool

        for name in cards(tree):
            yield from parse_lldptool(printed("lldptool", "-t", "-n", "-i", name), name)
