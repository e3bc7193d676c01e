"""Stages of processors: one CPU of each package, each NUMA node, all."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from edeploy.node.bench import sysbench
from edeploy.node.bench.profiles import Profile
from edeploy.node.bench.programs import Bench
from edeploy.node.bench.results import Outcome, Part, Result
from edeploy.node.bench.stage import OVERHEAD, Stage
from edeploy.node.bench.topology import Node, Topology

_UNIT = "1/s"


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
    labels = [f"cpu/package{package.number}/one_cpu_events" for package in found.packages]
    argvs = [
        ["taskset", "-c", str(package.cpus[0]), *sysbench.cpu_words(1, seconds)]
        for package in found.packages
    ]
    return _measured(bench, labels, argvs)


def _node(node: Node, seconds: float, bench: Bench, _run: int) -> Outcome:
    cpus = ",".join(map(str, node.cpus))
    argv = ["taskset", "-c", cpus, *sysbench.cpu_words(len(node.cpus), seconds)]
    return _measured(bench, [f"cpu/node{node.number}/events"], [argv])


def _all(found: Topology, seconds: float, bench: Bench, _run: int) -> Outcome:
    return _measured(bench, ["cpu/all_events"], [sysbench.cpu_words(found.cpus, seconds)])


def _measured(bench: Bench, labels: Sequence[str], argvs: Sequence[list[str]]) -> Outcome:
    samples: list[list[float]] = [[] for _ in argvs]

    def on_line(number: int, line: str) -> None:
        value = sysbench.cpu_second(line)
        if value is not None:
            samples[number].append(value)
            if not number:
                bench.tell(value, _UNIT)

    printed = bench.run(*argvs, on_line=on_line)
    results = [
        Result(label, _UNIT, sysbench.cpu_value(one), tuple(own))
        for label, one, own in zip(labels, printed, samples)
    ]
    return Outcome(tuple(results), sysbench.tool(printed))
