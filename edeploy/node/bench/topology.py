"""Which processors, memory and caches belong together: packages and NUMA nodes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from edeploy.node.detect.sources.cpulist import range_list
from edeploy.node.detect.tree import Tree

_CPUS = "sys/devices/system/cpu"
_NODES = "sys/devices/system/node"
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
# Where the kernel tells no cache, as on many virtual machines: larger than most have.
_CACHE = 32 << 20


@dataclass(frozen=True)
class Package:
    """A socket: its number, counted from 0, and its CPUs by their numbers, ascending."""

    number: int
    cpus: tuple[int, ...]


@dataclass(frozen=True)
class Node:
    """A NUMA node that has processors. `memory` and `cache` (all last-level caches) in bytes;
    `bound`: whether the kernel knows the node, and programs can be kept on it."""

    number: int
    cpus: tuple[int, ...]
    memory: int
    cache: int
    bound: bool


@dataclass(frozen=True)
class Topology:
    """The processors of a machine, and how they belong together."""

    packages: tuple[Package, ...]
    nodes: tuple[Node, ...]

    @property
    def cpus(self) -> int:
        """How many there are in all."""
        return sum(len(package.cpus) for package in self.packages)


def topology(tree: Tree) -> Topology:
    """The topology as the kernel tells it; one package and one node where it tells none."""
    online = range_list(tree.text(f"{_CPUS}/online")) or [0]
    return Topology(_packages(tree, online), _nodes(tree, online))


def _packages(tree: Tree, online: Sequence[int]) -> tuple[Package, ...]:
    found: dict[int, list[int]] = {}
    for cpu in online:
        package = tree.number(f"{_CPUS}/cpu{cpu}/topology/physical_package_id")
        # -1 on some virtual machines and on ARM.
        found.setdefault(max(package or 0, 0), []).append(cpu)
    return tuple(
        Package(position, tuple(found[package])) for position, package in enumerate(sorted(found))
    )


def _nodes(tree: Tree, online: Sequence[int]) -> tuple[Node, ...]:
    numbers = sorted(
        int(name[4:])
        for name in tree.names(_NODES)
        if name.startswith("node") and name[4:].isdigit()
    )
    found = []
    for number in numbers:
        own = range_list(tree.text(f"{_NODES}/node{number}/cpulist"))
        cpus = [cpu for cpu in own if cpu in online]
        memory = _memory(tree.text(f"{_NODES}/node{number}/meminfo"))
        if cpus:
            found.append(Node(number, tuple(cpus), memory, _cache(tree, cpus), True))
    if found:
        return tuple(found)
    memory = _memory(tree.text("proc/meminfo"))
    return (Node(0, tuple(online), memory, _cache(tree, online), False),)


def _memory(text: str) -> int:
    found = re.search(r"MemTotal: *(\d{1,15}) kB", text)
    return int(found[1]) << 10 if found else 0


def _cache(tree: Tree, cpus: Sequence[int]) -> int:
    """The sum of the last-level caches of these processors, each once."""
    found: dict[str, int] = {}
    for cpu in cpus:
        folder = f"{_CPUS}/cpu{cpu}/cache"
        levels = [(tree.number(f"{folder}/{name}/level") or 0, name) for name in tree.names(folder)]
        if not levels:
            continue
        name = max(levels)[1]
        shared = tree.text(f"{folder}/{name}/shared_cpu_list") or str(cpu)
        found[shared] = _size(tree.text(f"{folder}/{name}/size"))
    return sum(found.values()) or _CACHE


def _size(text: str) -> int:
    found = re.match(r"(\d{1,9})([KMG])\Z", text)
    return int(found[1]) * _UNITS[found[2]] if found else 0
