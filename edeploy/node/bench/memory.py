"""Stages of memory: how fast each NUMA node writes, alone and with the others, and correctness."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

from edeploy.node.bench import stressapptest, sysbench
from edeploy.node.bench.profiles import Profile
from edeploy.node.bench.programs import Bench
from edeploy.node.bench.results import Outcome, Part, Result
from edeploy.node.bench.stage import OVERHEAD, Stage
from edeploy.node.bench.topology import Node, Topology
from edeploy.node.detect.tree import Tree

# What the ramdisk itself, and what the programs need beside it, has to keep.
_KEPT = 128 << 20
# Less than this shows nothing.
_LEAST = 16 << 20
# It fills its memory with patterns first, with a thread for each CPU, and checks all of it at its
# end: what that takes on a machine of today, and how much longer it may take.
_FILL_SECONDS_PER_GIB = 0.05
_PATIENCE_PER_GIB = 0.5


def stages(found: Topology, profile: Profile, tree: Tree) -> list[Stage]:
    """One process a node, kept on it: each alone, then all at once. Then correctness."""
    stages: list[Stage] = []
    nodes = [node for node in found.nodes if node.memory or not node.bound]
    if profile.memory:
        each = profile.node_seconds(profile.memory, len(nodes))
        stages += [
            Stage(
                f"memory/node{node.number}", Part.MEMORY, each + OVERHEAD,
                partial(_alone, node, each),
            )
            for node in nodes
        ]  # fmt: skip
        if len(nodes) > 1:
            work = partial(_together, nodes, profile.memory)
            whole = profile.memory + OVERHEAD
            stages.append(Stage("memory/all", Part.MEMORY, whole, work))
    if profile.correctness:
        size = tested_bytes(tree, profile.correctness_share)
        gibibytes = size / (1 << 30)
        # It ends after 5 s at the earliest.
        seconds = max(profile.correctness + OVERHEAD, 6.0) + _FILL_SECONDS_PER_GIB * gibibytes
        work = partial(_correctness, profile.correctness, profile.correctness_share)
        patience = _PATIENCE_PER_GIB * gibibytes
        stages.append(Stage("memory/correctness", Part.MEMORY, seconds, work, patience))
    return stages


def tested_bytes(tree: Tree, share: float) -> int:
    """This share of the memory that is free now, but for what the ramdisk needs."""
    found = re.search(r"^MemAvailable: *(\d{1,15}) kB", tree.text("proc/meminfo"), re.MULTILINE)
    free = int(found[1]) << 10 if found else 0
    return max(_LEAST, int(max(0, free - _KEPT) * share))


def words(node: Node, seconds: float) -> list[str]:
    """sysbench on the processors and the memory of one node, with more than its caches hold."""
    threads = len(node.cpus)
    block = sysbench.block_size(node.cache, threads, node.memory or 1 << 30)
    argv = sysbench.memory_words(threads, seconds, block)
    if not node.bound:
        return argv
    return ["numactl", f"--cpunodebind={node.number}", f"--membind={node.number}", *argv]


def _alone(node: Node, seconds: float, bench: Bench, _run: int) -> Outcome:
    argvs = {f"memory/node{node.number}/write": words(node, seconds)}
    return sysbench.measured(bench, sysbench.MEMORY, argvs)


def _together(nodes: Sequence[Node], seconds: float, bench: Bench, _run: int) -> Outcome:
    argvs = {f"memory/node{node.number}/write_together": words(node, seconds) for node in nodes}
    outcome = sysbench.measured(bench, sysbench.MEMORY, argvs)
    total = sum(result.value for result in outcome.results)
    samples = tuple(sum(second) for second in zip(*(one.samples for one in outcome.results)))
    whole = Result("memory/all_write", sysbench.MEMORY.unit, total, samples)
    return Outcome((*outcome.results, whole), outcome.tool)


def _correctness(seconds: float, share: float, bench: Bench, _run: int) -> Outcome:
    size = tested_bytes(bench.tree, share)
    # It measures nothing: what it works on shows that it does, and the time that is left.
    (printed,) = bench.run(
        stressapptest.words(seconds, size), on_tick=lambda: bench.tell(size >> 20, "MiB")
    )
    count = stressapptest.wrong(printed)
    errors = (f"memory: stressapptest found {count} wrong results in {size >> 20} MiB",)
    return Outcome((), stressapptest.tool(printed), errors if count else ())
