"""Probes: what this machine is made of, as items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Callable

if TYPE_CHECKING:
    from edeploy.inventory.items import Report
    from edeploy.node.detect.probes import Seconds


def detect(*, on_end: Callable[[Sequence[Seconds]], None] = lambda _: None) -> Report:
    """The report of this machine; see `probes.detect`."""
    # Here and not above: an installation needs to know disks, and starts without other probes.
    from edeploy.node.detect import probes

    return probes.detect(on_end=on_end)
