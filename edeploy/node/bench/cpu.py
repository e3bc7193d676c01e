"""Stages of processors: one CPU of each package, each NUMA node, all."""

from __future__ import annotations

from functools import partial

from edeploy.node.bench import sysbench
from edeploy.node.bench.profiles import Profile
from edeploy.node.bench.programs import Bench
from edeploy.node.bench.results import Outcome, Part
from edeploy.node.bench.stage import OVERHEAD, Stage
from edeploy.node.bench.topology import Node, Topology


def stages(found: Topology, profile: Profile) -> list[Stage]:
    """First one thread on one CPU of each package, then all CPUs of each node, then all."""
    if not profile.cpu_all:
        return []
    part, whole = profile.cpu_part, profile.cpu_all
    # One node is all there is: measured once.
    nodes = found.nodes if len(found.nodes) > 1 else ()
    each = profile.node_seconds(part, len(nodes))
    return [
        Stage("cpu/packages", Part.CPU, part + OVERHEAD, partial(_packages, found, part)),
        *(
            Stage(f"cpu/node{node.number}", Part.CPU, each + OVERHEAD, partial(_node, node, each))
            for node in nodes
        ),
        Stage("cpu/all", Part.CPU, whole + OVERHEAD, partial(_all, found, whole)),
    ]


def _packages(found: Topology, seconds: float, bench: Bench, _run: int) -> Outcome:
    argvs = {
        f"cpu/package{package.number}/one_cpu_events":
            ["taskset", "-c", str(package.cpus[0]), *sysbench.cpu_words(1, seconds)]
        for package in found.packages
    }  # fmt: skip
    return sysbench.measured(bench, sysbench.CPU, argvs)


def _node(node: Node, seconds: float, bench: Bench, _run: int) -> Outcome:
    cpus = ",".join(map(str, node.cpus))
    argv = ["taskset", "-c", cpus, *sysbench.cpu_words(len(node.cpus), seconds)]
    return sysbench.measured(bench, sysbench.CPU, {f"cpu/node{node.number}/events": argv})


def _all(found: Topology, seconds: float, bench: Bench, _run: int) -> Outcome:
    argv = sysbench.cpu_words(found.cpus, seconds)
    return sysbench.measured(bench, sysbench.CPU, {"cpu/all_events": argv})
