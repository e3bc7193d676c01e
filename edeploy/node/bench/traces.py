"""Looks at temperature and frequency every second, while others measure."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from edeploy.node import timeouts
from edeploy.node.bench.facts import PcieLinks
from edeploy.node.bench.results import Trace
from edeploy.node.detect.tree import Tree

_HWMON = "sys/class/hwmon"
_CPUS = "sys/devices/system/cpu"
_SENSORS = frozenset({"coretemp", "k10temp", "zenpower", "cpu_thermal"})
_MEGAHERTZ = re.compile(r"^cpu MHz\s*: *(\d{1,6}(?:\.\d{1,6})?)", re.MULTILINE)


class Watcher:
    """What a machine shows of itself while it works."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._inputs = list(_inputs(tree))
        self._frequencies = [
            f"{_CPUS}/{cpu}/cpufreq/scaling_cur_freq"
            for cpu in tree.names(_CPUS)
            if tree.exists(f"{_CPUS}/{cpu}/cpufreq/scaling_cur_freq")
        ]
        self._points: dict[tuple[str, str], list[float]] = {}
        self._began = time.monotonic()
        self._looks = 0
        self.links = PcieLinks(tree)

    def look(self) -> None:
        """Take one point of each trace."""
        self._looks += 1
        degrees = [value for file in self._inputs if (value := self._tree.number(file))]
        if degrees:
            self._add("cpu/temperature", "°C", max(degrees) / 1000)
        megahertz = self._megahertz()
        if megahertz:
            self._add("cpu/frequency", "MHz", sum(megahertz) / len(megahertz))
            self._add("cpu/frequency_lowest", "MHz", min(megahertz))
        self.links.look()

    def traces(self) -> list[Trace]:
        """All points until now. On a machine that works hard looks are more than a second apart."""
        every = (time.monotonic() - self._began) / self._looks if self._looks > 1 else 1.0
        return [
            Trace(name, unit, tuple(points), every)
            for (name, unit), points in sorted(self._points.items())
        ]

    def _megahertz(self) -> list[float]:
        """What each processor runs at. Where no driver sets frequencies, the kernel's own count."""
        if self._frequencies:
            found = (self._tree.number(file) for file in self._frequencies)
            return [value / 1000 for value in found if value]
        return [float(text) for text in _MEGAHERTZ.findall(self._tree.text("proc/cpuinfo"))]

    def _add(self, name: str, unit: str, value: float) -> None:
        self._points.setdefault((name, unit), []).append(round(value, 1))


@contextmanager
def watching(tree: Tree) -> Iterator[Watcher]:
    """A watcher that looks every second for the time of the block."""
    watcher = Watcher(tree)
    watcher.look()
    over = threading.Event()

    def work() -> None:
        while not over.wait(timeouts.TICK):
            watcher.look()

    thread = threading.Thread(target=work, name="watcher", daemon=True)
    thread.start()
    try:
        yield watcher
    finally:
        over.set()
        thread.join()


def _inputs(tree: Tree) -> Iterator[str]:
    for name in tree.names(_HWMON):
        if tree.text(f"{_HWMON}/{name}/name") in _SENSORS:
            for file in tree.names(f"{_HWMON}/{name}"):
                if re.match(r"temp\d+_input\Z", file):
                    yield f"{_HWMON}/{name}/{file}"
