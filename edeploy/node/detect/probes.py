"""All probes at once, each with its own time-out; what fails is an item, never the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from typing import Callable

from edeploy.inventory.items import Item, Report
from edeploy.node import timeouts
from edeploy.node.detect.cpu import cpu
from edeploy.node.detect.disks import disks
from edeploy.node.detect.ipmi import ipmi
from edeploy.node.detect.memory import memory
from edeploy.node.detect.network import network
from edeploy.node.detect.system import system
from edeploy.node.detect.tree import Tree

Probe = Callable[[Tree], Iterable[Item]]

PROBES: Sequence[tuple[str, Probe]] = (
    ("system", system),
    ("memory", memory),
    ("cpu", cpu),
    ("disks", disks),
    ("network", network),
    ("ipmi", ipmi),
)


def detect(
    tree: Tree | None = None,
    probes: Sequence[tuple[str, Probe]] = PROBES,
    *,
    patience: float = timeouts.PROBE,
) -> Report:
    """The report of this machine; never raises.

    A probe that fails, or is not done after `patience` seconds, leaves the item
    ('probe', NAME, 'error', REASON) instead of its own.
    """
    running = [_Run(name, probe, tree or Tree()) for name, probe in probes]
    end = time.monotonic() + patience
    items: list[Item] = []
    for run in running:
        items.extend(run.result(end, patience))
    return Report(tuple(items))


class _Run:
    """One probe in a thread; a daemon, so that a disk that hangs does not keep the agent."""

    def __init__(self, name: str, probe: Probe, tree: Tree) -> None:
        self._name = name
        self._probe = probe
        self._tree = tree
        self._items: list[Item] = []
        self._error: str | None = None
        self._thread = threading.Thread(target=self._work, name=f"probe-{name}", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            self._items = list(self._probe(self._tree))
        except Exception as error:  # whatever it is, the others go on
            self._error = f"{type(error).__name__}: {error}"

    def result(self, end: float, patience: float) -> list[Item]:
        self._thread.join(max(0.0, end - time.monotonic()))
        if self._thread.is_alive():
            return [Item("probe", self._name, "error", f"not done after {patience:g} s")]
        if self._error is not None:
            return [Item("probe", self._name, "error", self._error)]
        return self._items
