"""The names of makers and devices in the list pci.ids."""

from __future__ import annotations

import re


def pci_names(table: bytes, vendor: str, device: str) -> tuple[str, str]:
    """The names of a maker and a device (four hex digits each) in the text of pci.ids."""
    start = table.find(f"\n{vendor}  ".encode(errors="replace")) if vendor else -1
    if start < 0:
        return "", ""
    end = table.find(b"\n", start + 1)
    maker = table[start + len(vendor) + 3 : end].decode(errors="replace").strip()
    # The maker's devices are indented; the next line that is not is another maker.
    section = re.compile(rb"(?:[\t#][^\n]*\n|\n)*").match(table, end + 1)
    lines = section.group() if section else b""
    name = re.escape(device.encode(errors="replace"))
    found = re.search(rb"^\t" + name + rb"  (.*)$", lines, re.MULTILINE)
    return maker, found[1].decode(errors="replace").strip() if found and device else ""
