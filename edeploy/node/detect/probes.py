"""All probes at once, each with its own time-out; what fails is one item more, never the end."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Callable

from edeploy.errors import EdeployError
from edeploy.inventory.items import MAX_REPORT_BYTES, Item, Report
from edeploy.node import timeouts
from edeploy.node.detect import raid
from edeploy.node.detect.aliases import aliases
from edeploy.node.detect.cpu import cpu
from edeploy.node.detect.devices import devices
from edeploy.node.detect.disks import disks
from edeploy.node.detect.firmware_settings import firmware_settings
from edeploy.node.detect.infiniband import infiniband
from edeploy.node.detect.ipmi import ipmi
from edeploy.node.detect.kernel_log import kernel_log
from edeploy.node.detect.memory import memory
from edeploy.node.detect.neighbours import neighbours
from edeploy.node.detect.network import network, offloads
from edeploy.node.detect.program import why
from edeploy.node.detect.security import security
from edeploy.node.detect.sensors import sensors
from edeploy.node.detect.smart import smart
from edeploy.node.detect.system import lshw, system
from edeploy.node.detect.tree import Tree

# What a probe may say: the longest known value is the flags of a processor, some 2000 characters.
_LONGEST_VALUE = 8192
# Room for the items of neighbours that are heard later, and for errors.
_MOST_BYTES = MAX_REPORT_BYTES - (1 << 16)


@dataclass(frozen=True)
class Probe:
    """A part of detection; `patience` in seconds."""

    name: str
    look: Callable[[Tree], Iterable[Item]]
    patience: float = timeouts.PROBE


@dataclass(frozen=True)
class Seconds:
    """How long a probe took."""

    name: str
    seconds: float


# The order is that of the report: among lines that match, specs take the earliest.
PROBES: Sequence[Probe] = (
    Probe("areca", raid.areca, timeouts.PROBE_RAID),
    Probe("hpa", raid.hpa, timeouts.PROBE_RAID),
    Probe("megaraid", raid.megaraid, timeouts.PROBE_RAID),
    Probe("disks", disks),
    Probe("smart", smart, timeouts.PROBE_SMART),
    Probe("system", system),
    Probe("security", security),
    Probe("memory", memory),
    Probe("network", network),
    Probe("offloads", offloads),
    Probe("neighbours", neighbours),
    Probe("cpu", cpu),
    Probe("ipmi", ipmi),
    Probe("sensors", sensors, timeouts.PROBE_SENSORS),
    Probe("infiniband", infiniband),
    Probe("devices", devices),
    Probe("kernel-log", kernel_log),
    Probe("firmware-settings", firmware_settings),
    Probe("lshw", lshw),
)


def detect(
    tree: Tree | None = None,
    probes: Sequence[Probe] = PROBES,
    *,
    on_end: Callable[[Sequence[Seconds]], None] = lambda _: None,
) -> Report:
    """The report of this machine; never raises. `on_end` is told how long the probes took.

    A probe that fails, or is not done within its patience, leaves what it had found by then and
    the item ('probe', NAME, 'error', REASON). The items are in the order of the probes, then come
    older spellings; together they fit into an upload.
    """
    running = [_Run(probe, tree or Tree()) for probe in probes]
    items: list[Item] = []
    for run in running:
        items.extend(run.result())
    on_end([Seconds(run.probe.name, run.seconds()) for run in running])
    return Report(tuple(_within([*items, *aliases(items)])))


def _within(items: Sequence[Item]) -> list[Item]:
    """The items as far as they fit; what is left out is said."""
    kept: list[Item] = []
    room = _MOST_BYTES
    for item in items:
        short = item._replace(value=item.value[:_LONGEST_VALUE])
        size = len(json.dumps(short)) + 2
        if size <= room:
            kept.append(short)
            room -= size
    left_out = len(items) - len(kept)
    if left_out:
        kept.append(Item("probe", "report", "error", f"too long: {left_out} items were left out"))
    return kept


def _reason(error: Exception) -> str:
    if isinstance(error, EdeployError):
        return why(error)
    return f"{type(error).__name__}: {error}"


class _Run:
    """One probe in a thread; a daemon, so that a disk that hangs does not keep the agent."""

    def __init__(self, probe: Probe, tree: Tree) -> None:
        self.probe = probe
        self._tree = tree
        self._items: list[Item] = []
        self._error: str | None = None
        self._began = time.monotonic()
        self._ended: float | None = None
        self._thread = threading.Thread(
            target=self._work, name=f"probe-{probe.name}", daemon=True
        )  # fmt: skip
        self._thread.start()

    def _work(self) -> None:
        try:
            for item in self.probe.look(self._tree):
                self._items.append(item)
        except Exception as error:  # whatever it is, the others go on
            self._error = _reason(error)
        self._ended = time.monotonic()

    def result(self) -> list[Item]:
        self._thread.join(max(0.0, self._began + self.probe.patience - time.monotonic()))
        late = f"not done after {self.probe.patience:g} s" if self._thread.is_alive() else ""
        # A copy: a probe that is late may go on finding.
        found = list(self._items)
        reason = late or self._error
        return [*found, Item("probe", self.probe.name, "error", reason)] if reason else found

    def seconds(self) -> float:
        """How long it took, or has been at it until now."""
        return (self._ended or time.monotonic()) - self._began
