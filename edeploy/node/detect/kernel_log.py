"""The probe of what only the kernel's log tells."""

from __future__ import annotations

import os
from collections.abc import Iterator

from edeploy.inventory.items import Item
from edeploy.node.detect.sources.kernel_log import parse_kernel_log
from edeploy.node.detect.tree import Tree

_RECORD = 8192  # the longest record of /dev/kmsg


def kernel_log(tree: Tree) -> Iterator[Item]:
    """Items of type `ahci`."""
    if any(":" in name for name in tree.names("sys/bus/pci/drivers/ahci")):
        yield from parse_kernel_log(_read(tree))


def _read(tree: Tree) -> str:
    """All records that there are now; reading one more would wait for the kernel to speak."""
    try:
        log = os.open(tree.path("dev/kmsg"), os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return ""
    parts: list[bytes] = []
    try:
        while True:
            try:
                part = os.read(log, _RECORD)
            except BrokenPipeError:
                continue  # records were lost to newer ones while this was reading
            except OSError:
                break
            if not part:
                break
            parts.append(part)
    finally:
        os.close(log)
    return b"".join(parts).decode("utf-8", "replace")
