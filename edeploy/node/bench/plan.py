"""Which stages a test has on this machine, and in which order."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Union

from edeploy.node.bench import cpu, disks, memory, network, writes
from edeploy.node.bench.network import Endpoint
from edeploy.node.bench.order import TestOrder
from edeploy.node.bench.results import Part
from edeploy.node.bench.stage import LeftOut, Stage
from edeploy.node.bench.topology import Topology
from edeploy.node.detect.tree import Tree

Step = Union[Stage, LeftOut]


@dataclass(frozen=True)
class Plan:
    """The stages of one run, and what is left out of every run."""

    stages: tuple[Stage, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def seconds(self) -> float:
        """How long one run takes, without what it may have to wait for others."""
        return sum(stage.seconds for stage in self.stages)


def make_plan(tree: Tree, found: Topology, order: TestOrder, known: Endpoint) -> Plan:
    """The plan for this machine; `known` is the server's own (address, port)."""
    profile = order.profile
    some, left = disks.measurable(tree)
    cards, cards_left = network.stages(tree, profile, order.network, known)
    stages = [
        *cpu.stages(found, profile),
        *memory.stages(found, profile, tree),
        *disks.stages(some, profile),
        *cards,
        *writes.stages(some, order.campaign, profile),
    ]
    left += cards_left
    if not profile.cpu_all:
        left.append(LeftOut("cpu", Part.CPU, f"the test `{profile.name}` does not measure it"))
    if not profile.memory:
        reason = f"the test `{profile.name}` does not measure its speed"
        left.append(LeftOut("memory", Part.MEMORY, reason))
    return Plan(
        tuple(stage for stage in stages if order.wants(stage.name)),
        tuple(one for one in left if order.wants(one.name)),
    )


def in_order(stages: Sequence[Stage], order: TestOrder, run: int) -> list[Stage]:
    """The stages of one run in the order of the profile, or shuffled: then no stage always comes
    after the same other one. The same seed and run give the same order."""
    shuffled = list(stages)
    if order.profile.shuffled:
        random.Random(f"{order.seed}/{run}").shuffle(shuffled)  # noqa: S311 - no secret
    return sorted(shuffled, key=lambda stage: stage.late)
