"""Measurements in eDeploy's reports: items such as ('disk', 'sda', 'standalone_read_1M_KBps')."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edeploy.health.evidence import Gatherer, clean
from edeploy.health.facts import facts_of
from edeploy.health.measurements import Better, Component, Metric
from edeploy.inventory.identity import Identity, identify
from edeploy.inventory.items import Item, Report

_BANDWIDTH = re.compile(r"(?P<how>threaded_|forked_|)bandwidth_(?P<block>\d+[KMG])\Z")
_DISK = re.compile(
    r"(?P<test>(?:standalone|simultaneous)_(?:rand)?(?:read|write)_\d+[kKM])_(?P<unit>KBps|IOps)\Z"
)
_THREAD = re.compile(r"logical_\d+\Z")
_BLOCK_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
# Smaller blocks stay in the processor's caches: machines with 2 of 8 modules are as fast at 1M as
# their peers, and at 16M they are not.
_SMALLEST_MEMORY_BLOCK = 16 << 20
# Of 32 threads that are measured for some seconds each, one is often disturbed, and it is another
# one each time. Where a whole package is slow, the lower quartile still is that package's.
_THREADS_QUANTILE = 0.25

_NOISY = "2 to 14 % apart between equal machines: says nothing about one"
_TWICE = "the same measurement as …_KBps, coarser"
_CLOCK = "tells the clock's rate, not work done"


@dataclass
class Reports:
    """Tells which reports are of one machine, and takes in their facts and measurements."""

    gatherer: Gatherer

    def __post_init__(self) -> None:
        self._known: dict[str, list[tuple[Identity, int]]] = {}
        self._runs: dict[int, list[Report]] = {}
        self._names: dict[str, int] = {}

    def take(self, name: str, report: Report) -> int:
        """Take in one report; `name` is its file's. The number of its machine."""
        identity = identify(report)
        number = self._number(name, identity)
        earlier = self._runs.setdefault(number, [])
        if report in earlier:
            self.gatherer.problem(name, "the same report is there already: left out")
            return number
        earlier.append(report)
        self.gatherer.describe(number, facts_of(report, clean(identity.serial or "")))
        self._measurements(number, report, self.gatherer.run(str(len(earlier))))
        return number

    def _number(self, name: str, identity: Identity) -> int:
        keys = [key for key in (identity.serial, identity.uuid, *identity.macs) if key]
        for key in keys:
            for known, number in self._known.get(key, ()):
                if _is_same(known, identity):
                    self._remember(keys, identity, number)
                    return number
        number = self.gatherer.machine(self._free_name(name, identity))
        self._remember(keys, identity, number)
        return number

    def _remember(self, keys: list[str], identity: Identity, number: int) -> None:
        for key in keys:
            self._known.setdefault(key, []).append((identity, number))

    def _free_name(self, name: str, identity: Identity) -> str:
        wanted = clean(identity.serial or next(iter(identity.macs), "") or identity.uuid or name)
        if wanted not in self._names:
            self._names[wanted] = len(self._names)
            return wanted
        told = f"serial number {wanted} is also that of another machine"
        other = f"{wanted} ({next(iter(identity.macs), '') or name})"
        self.gatherer.problem(name, told)
        self.gatherer.remark(self.gatherer.machine(wanted), told)
        self.gatherer.remark(self.gatherer.machine(other), told)
        return other

    def _measurements(self, number: int, report: Report, run: int) -> None:
        threads: dict[Metric, list[float]] = {}
        for item in report.items:
            metric = self._metric(item, report)
            if metric is None:
                continue
            value = self._value(number, metric, item)
            if value is None:
                continue
            if _THREAD.match(item.id):
                threads.setdefault(metric, []).append(value)
            else:
                self.gatherer.add(number, self.gatherer.known(metric), run, value)
        for metric, values in threads.items():
            self.gatherer.add(number, self.gatherer.known(metric), run, _lower_quartile(values))

    def _value(self, number: int, metric: Metric, item: Item) -> float | None:
        try:
            value = float(item.value)
        except ValueError:
            value = float("nan")
        if 0 < value < float("inf"):
            return value
        self.gatherer.remark(number, f"{metric.label} is {clean(item.value)[:40]!r}: left out")
        return None

    def _metric(self, item: Item, report: Report) -> Metric | None:
        """What an item measures; None when it is no measurement, or one that is left out."""
        if item.type == "cpu" and item.id.startswith("logical"):
            return self._cpu_metric(item)
        found = _DISK.match(item.key) if item.type == "disk" else None
        if found is None:
            return None
        if found["unit"] == "IOps" and report.value("disk", item.id, f"{found['test']}_KBps"):
            self.gatherer.skip("disk/*/…_IOps", _TWICE)
            return None
        unit = "KB/s" if found["unit"] == "KBps" else "1/s"
        device = clean(item.id)
        label = f"disk/{device}/{item.key}"
        return Metric(label, unit, Better.HIGHER, Component.DISK, device)

    def _cpu_metric(self, item: Item) -> Metric | None:
        place = "thread/" if _THREAD.match(item.id) else ""
        if item.key == "loops_per_sec":
            return Metric(f"cpu/{place}{item.key}", "1/s", Better.HIGHER, Component.CPU)
        if item.key == "bogomips":
            self.gatherer.skip("cpu/thread/bogomips", _CLOCK)
            return None
        found = _BANDWIDTH.match(item.key)
        if found is None:
            return None
        if found["how"] == "threaded_":
            self.gatherer.skip("memory/threaded_bandwidth_…", _NOISY)
            return None
        block = int(found["block"][:-1]) * _BLOCK_UNITS[found["block"][-1]]
        component = Component.MEMORY if block >= _SMALLEST_MEMORY_BLOCK else Component.CPU
        label = f"{component.value}/{place}{item.key}"
        return Metric(label, "MB/s", Better.HIGHER, component)


def _is_same(a: Identity, b: Identity) -> bool:
    """Whether two reports of one session are of one machine.

    Stricter than for the server's records: two machines that share a serial number (a board whose
    SMBIOS was never written) or a MAC must not become one here.
    """
    if a.serial and b.serial and a.serial != b.serial:
        return False
    if a.macs and b.macs:
        return bool(set(a.macs) & set(b.macs))
    return (a.serial, a.uuid) == (b.serial, b.uuid)


def _lower_quartile(values: list[float]) -> float:
    """The value that a quarter of the values stay under, interpolated."""
    ordered = sorted(values)
    place = _THREADS_QUANTILE * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
