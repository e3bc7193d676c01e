"""What is known of metrics before any is measured: part, direction, noise floor, effect floor."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edeploy.health.measurements import Better, Component, Metric

_WORDS = (
    (Component.NETWORK, r"net(?:work)?|nic|eth\d|iperf|tcp|udp|ping|rtt|link|lan"),
    (
        Component.DISK,
        r"disk|fio|file_?io|iops|fsync|rand_?(?:read|write)|seq_?(?:read|write)|nvme|ssd|hdd"
        r"|sd[a-z]+|vd[a-z]+|(?:read|write)_\d+[km]",
    ),
    (Component.MEMORY, r"mem(?:ory)?|stream|copy|scale|add|triad|dram|numa|(?:\w+_)?bandwidth\w*"),
    (Component.CPU, r"cpu|core|loops|prime|gemm|dgemm|sgemm|hpl|linpack|flops|bogomips|eps"),
)
_COMPONENTS = tuple(
    (component, re.compile(rf"(?<![a-z])(?:{words})(?![a-z])", re.IGNORECASE))
    for component, words in _WORDS
)
_LATENCY = re.compile(
    r"laten|(?<![a-z])(?:lat|rtt|ping|p50|p9\d+|jitter|delay|seconds|duration|time)(?![a-z])",
    re.IGNORECASE,
)
_TIMES = frozenset({"s", "sec", "seconds", "ms", "us", "µs", "ns", "min"})
_WRITE = re.compile("write|fsync", re.IGNORECASE)
_RANDOM = re.compile("rand|iops", re.IGNORECASE)


@dataclass(frozen=True)
class Floors:
    """What a metric's judgement never goes below.

    `noise` is the least scale (of the logarithm) that equal machines are believed to have;
    `effect` is the least loss (0 to 1) that matters.
    """

    noise: float
    effect: float


_LATENCY_FLOORS = Floors(0.05, 0.15)
_WRITE_FLOORS = Floors(0.05, 0.15)
_RANDOM_FLOORS = Floors(0.02, 0.10)
_READ_FLOORS = Floors(0.015, 0.05)
_NETWORK_FLOORS = Floors(0.015, 0.05)
_PLAIN_FLOORS = Floors(0.01, 0.05)
METRIC_FLOORS = {
    "CPU, memory and all others": _PLAIN_FLOORS,
    "network": _NETWORK_FLOORS,
    "disk, sequential read": _READ_FLOORS,
    "disk, random read": _RANDOM_FLOORS,
    "disk, write": _WRITE_FLOORS,
    "latency and other times": _LATENCY_FLOORS,
}


def floors(metric: Metric) -> Floors:
    """The noise and effect floors of a metric, by its part and its words."""
    if _is_time(metric.label, metric.unit):
        return _LATENCY_FLOORS
    if metric.component is Component.DISK:
        if _WRITE.search(metric.label):
            return _WRITE_FLOORS
        return _RANDOM_FLOORS if _RANDOM.search(metric.label) else _READ_FLOORS
    return _NETWORK_FLOORS if metric.component is Component.NETWORK else _PLAIN_FLOORS


def metric(label: str, unit: str, better: Better | None) -> Metric:
    """The metric of a name from outside: `cpu/…`, `disk/sda/…`, or words that tell the part."""
    part, _, rest = label.partition("/")
    direction = better or (Better.LOWER if _is_time(label, unit) else Better.HIGHER)
    for component in Component:
        if part == component.value and rest:
            instance = rest.partition("/")[0] if "/" in rest else ""
            return Metric(label, unit, direction, component, instance)
    return Metric(label, unit, direction, component_of(label))


def component_of(label: str) -> Component:
    """The part that a metric's words tell about; OTHER when none does."""
    for component, words in _COMPONENTS:
        if words.search(label):
            return component
    return Component.OTHER


def _is_time(label: str, unit: str) -> bool:
    return unit.strip().lower() in _TIMES or _LATENCY.search(label) is not None
