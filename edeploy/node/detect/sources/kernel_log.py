"""The kernel's log: what drivers tell at the start of the machine, and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Iterator

from edeploy.inventory.items import Item

# `ahci 0000:00:1f.2: flags: 64bit ncq sntf`, with or without the time in brackets before it.
_AHCI = re.compile(r"(?:^|[\] ;])ahci (\S+): flags:([a-z0-9 ]+)$", re.MULTILINE)


def parse_kernel_log(text: str) -> Iterator[Item]:
    """Items of type `ahci`: the sorted flags of each SATA controller."""
    found = {name.strip(): " ".join(sorted(flags.split())) for name, flags in _AHCI.findall(text)}
    for name, flags in found.items():
        yield Item("ahci", f"{name}:", "flags", flags)
