"""Probes: what this machine is made of, as items."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edeploy.inventory.items import Report


def detect() -> Report:
    """The report of this machine; see `probes.detect`."""
    # Here and not above: an installation needs to know disks, and starts without other probes.
    from edeploy.node.detect import probes

    return probes.detect()
