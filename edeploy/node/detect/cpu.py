"""The probe of processors: sockets, cores, threads, what they can, NUMA nodes."""

from __future__ import annotations

import os
from collections.abc import Iterator

from edeploy.inventory.items import Item
from edeploy.node.detect.tree import Tree

_CPUS = "sys/devices/system/cpu"
_NODES = "sys/devices/system/node"
_CPUINFO = (
    ("vendor", "vendor_id"),
    ("product", "model name"),
    ("family", "cpu family"),
    ("model", "model"),
    ("stepping", "stepping"),
    ("flags", "flags"),
)
_CACHES = {("1", "Data"): "l1d cache", ("1", "Instruction"): "l1i cache"}


def cpu(tree: Tree) -> Iterator[Item]:
    """Items of types `cpu` and `numa`."""
    records = parse_cpuinfo(tree.text("proc/cpuinfo"))
    packages: dict[int, list[int]] = {}
    for number in range_list(tree.text(f"{_CPUS}/online")) or sorted(records):
        package = tree.number(f"{_CPUS}/cpu{number}/topology/physical_package_id")
        # Some firmware numbers no package: -1 on ARM, and on single-socket virtual machines.
        packages.setdefault(max(package or 0, 0), []).append(number)
    for position, package in enumerate(sorted(packages)):
        yield from _package(tree, f"physical_{position}", packages[package], records)
    yield Item("cpu", "physical", "number", str(len(packages)))
    yield Item("cpu", "logical", "number", str(sum(map(len, packages.values()))))
    yield from _numa(tree)


def parse_cpuinfo(text: str) -> dict[int, dict[str, str]]:
    """The records of /proc/cpuinfo by processor number."""
    records: dict[int, dict[str, str]] = {}
    for block in text.split("\n\n"):
        pairs = (line.partition(":") for line in block.splitlines())
        record = {name.strip(): value.strip() for name, _, value in pairs}
        if record.get("processor", "").isdigit():
            records[int(record["processor"])] = record
    return records


def range_list(text: str) -> list[int]:
    """The numbers in a kernel list such as `0-3,8,10-11`; [] for an empty one."""
    numbers: list[int] = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if first.isdigit():
            numbers.extend(range(int(first), int(last or first) + 1))
    return numbers


def _package(
    tree: Tree, name: str, cpus: list[int], records: dict[int, dict[str, str]]
) -> Iterator[Item]:
    record = records.get(cpus[0], {})
    for key, field in _CPUINFO:
        if record.get(field):
            yield Item("cpu", name, key, record[field])
    yield Item("cpu", name, "architecture", os.uname().machine)
    cores = {
        (
            tree.text(f"{_CPUS}/cpu{number}/topology/die_id"),
            tree.text(f"{_CPUS}/cpu{number}/topology/core_id") or str(number),
        )
        for number in cpus
    }
    yield Item("cpu", name, "cores", str(len(cores)))
    yield Item("cpu", name, "threads", str(len(cpus)))
    yield Item("cpu", name, "threads_per_core", str(len(cpus) // len(cores)))
    folder = f"{_CPUS}/cpu{cpus[0]}"
    for key, file in (("min_Mhz", "cpuinfo_min_freq"), ("max_Mhz", "cpuinfo_max_freq")):
        kilohertz = tree.number(f"{folder}/cpufreq/{file}")
        if kilohertz is not None:
            yield Item("cpu", name, key, str(kilohertz / 1000))
    yield from _caches(tree, name, f"{folder}/cache")


def _caches(tree: Tree, name: str, folder: str) -> Iterator[Item]:
    for index in tree.names(folder):
        level = tree.text(f"{folder}/{index}/level")
        size = tree.text(f"{folder}/{index}/size")
        if level and size:
            kind = tree.text(f"{folder}/{index}/type")
            yield Item("cpu", name, _CACHES.get((level, kind), f"l{level} cache"), size)


def _numa(tree: Tree) -> Iterator[Item]:
    nodes = [name for name in tree.names(_NODES) if name[:4] == "node" and name[4:].isdigit()]
    if nodes:
        yield Item("numa", "nodes", "count", str(len(nodes)))
    for node in sorted(nodes, key=lambda name: int(name[4:])):
        cpus = range_list(tree.text(f"{_NODES}/{node}/cpulist"))
        mask = sum(1 << number for number in cpus)
        yield Item("numa", f"node_{node[4:]}", "cpu_count", str(len(cpus)))
        yield Item("numa", f"node_{node[4:]}", "cpu_mask", hex(mask))
