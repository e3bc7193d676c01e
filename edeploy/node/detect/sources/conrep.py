"""`hp-conrep`: the settings in the firmware of HP servers."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator

from edeploy.inventory.items import Item


def parse_conrep(text: str) -> Iterator[Item]:
    """Items of type `hp`: each section of the XML that has a value."""
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - of the machine's own program
    except (ElementTree.ParseError, ValueError, LookupError):
        return
    for section in root.iter("Section"):
        name = section.get("name", "").strip()
        value = " ".join("".join(section.itertext()).split())
        if name and value:
            yield Item("hp", "bios", name, value)
