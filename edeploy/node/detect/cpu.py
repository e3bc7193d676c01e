"""The probe of processors: sockets, cores, threads, what they can, NUMA nodes."""

from __future__ import annotations

import os
from collections.abc import Iterator

from edeploy.inventory.items import Item
from edeploy.node.detect.program import first_of, output
from edeploy.node.detect.sources.cpuinfo import parse_cpuinfo
from edeploy.node.detect.sources.cpulist import range_list
from edeploy.node.detect.sources.lscpu import parse_lscpu
from edeploy.node.detect.sources.smbios import processors, structures
from edeploy.node.detect.tree import SMBIOS, Tree

_CPUS = "sys/devices/system/cpu"
_NODES = "sys/devices/system/node"
_CPUINFO = (
    ("vendor", "vendor_id"),
    ("product", "model name"),
    ("family", "cpu family"),
    ("model", "model"),
    ("stepping", "stepping"),
    ("microcode", "microcode"),
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
    if records and not any("model name" in record for record in records.values()):
        yield from _named()
    yield from processors(structures(tree.data(SMBIOS)))
    yield Item("cpu", "physical", "number", str(len(packages)))
    smt = tree.text(f"{_CPUS}/smt/control")
    if smt:
        yield Item("cpu", "physical", "smt", smt)
    yield Item("cpu", "logical", "number", str(sum(map(len, packages.values()))))
    yield from _governors(tree, sorted(sum(packages.values(), [])))
    yield from _numa(tree)


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
    boost = tree.text(f"{_CPUS}/cpufreq/boost")
    if boost:
        yield Item("cpu", name, "boost", "enabled" if boost == "1" else "disabled")
    yield from _caches(tree, name, f"{folder}/cache")


def _named() -> Iterator[Item]:
    """What the kernel has only as numbers, on ARM: the names that lscpu knows for them."""
    if first_of("lscpu"):
        for item in parse_lscpu(output("lscpu", "-J")):
            if item.type == "cpu" and item.key in ("vendor", "product"):
                yield item


def _governors(tree: Tree, cpus: list[int]) -> Iterator[Item]:
    for number in cpus:
        governor = tree.text(f"{_CPUS}/cpu{number}/cpufreq/scaling_governor")
        if governor:
            yield Item("cpu", f"logical_{number}", "governor", governor)


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
