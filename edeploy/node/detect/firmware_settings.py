"""The probe of firmware settings: of HP servers, by their maker's program."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from edeploy.inventory.items import Item
from edeploy.node.detect.program import first_of, output
from edeploy.node.detect.tree import Tree

_MAKERS = ("HP", "HPE", "Hewlett-Packard")


def firmware_settings(tree: Tree) -> Iterator[Item]:
    """Items of type `hp`."""
    program = first_of("hp-conrep", "conrep")
    if not program or tree.text("sys/class/dmi/id/sys_vendor") not in _MAKERS:
        return
    # Here and not above; see `neighbours`.
    import tempfile

    from edeploy.node.detect.sources.conrep import parse_conrep

    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "conrep.dat")
        output(program, "--save", "-f", file)
        yield from parse_conrep(Path(file).read_text(errors="replace"))
