"""Which tests there are: how long each part of them measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MINUTE = 60.0
HOUR = 60 * MINUTE
_LEAST = 2.0


@dataclass(frozen=True)
class Profile:
    """A test. All times are seconds of measuring; 0 leaves a part out.

    `alone` is shared by all disks that are measured one after the other, `disk_least` and
    `disk_most` bound what each of their stages gets of it; with more than `alone_disks` disks all
    are measured at once instead. `runs` is how often each stage is run when nobody says. With
    `everywhere`, disks are read in the middle and at the end too. With `each_stage`, programs that
    ask disks and the BMC for their health run around every stage, and not only around the test.
    """

    name: str
    runs: int
    shuffled: bool
    each_stage: bool
    cpu_all: float
    cpu_part: float
    memory: float
    correctness: float
    correctness_share: float
    alone: float
    alone_disks: int
    disk_least: float
    disk_most: float
    everywhere: bool
    together: float
    network: float
    ramp: float = 2.0
    streams: int = 4

    def node_seconds(self, seconds: float, nodes: int) -> float:
        """How long each of several NUMA nodes is measured: as long as two, together."""
        return max(_LEAST, min(seconds, 2 * seconds / nodes)) if nodes else seconds

    def disk_seconds(self, disks: int, stages: int) -> float:
        """How long each stage of a disk measures, when `disks` have `stages` stages each."""
        if not disks or not stages:
            return self.disk_least
        if disks > self.alone_disks:
            return self.disk_least
        return min(max(self.alone / (disks * stages), self.disk_least), self.disk_most)


QUICK = Profile(
    name="quick", runs=1, shuffled=False, each_stage=False,
    cpu_all=10, cpu_part=5, memory=4, correctness=15, correctness_share=0.7,
    alone=24, alone_disks=1, disk_least=3, disk_most=5, everywhere=True, together=4,
    network=4, ramp=1,
)  # fmt: skip
FULL = Profile(
    name="full", runs=3, shuffled=True, each_stage=True,
    cpu_all=60, cpu_part=20, memory=20, correctness=4 * MINUTE, correctness_share=0.85,
    alone=5 * MINUTE, alone_disks=24, disk_least=3, disk_most=15, everywhere=True,
    together=60, network=10,
)  # fmt: skip
BURN = Profile(
    name="burn", runs=1, shuffled=True, each_stage=True,
    cpu_all=2 * HOUR, cpu_part=10 * MINUTE, memory=10 * MINUTE,
    correctness=8 * HOUR, correctness_share=0.9,
    alone=2 * HOUR, alone_disks=64, disk_least=10, disk_most=5 * MINUTE, everywhere=True,
    together=4 * HOUR, network=2 * MINUTE,
)  # fmt: skip
# An emulated processor's speed says nothing of the machine and depends on its neighbours: in a lab
# what is measured is what QEMU limits, disks and networks.
LAB = Profile(
    name="lab", runs=1, shuffled=False, each_stage=False,
    cpu_all=0, cpu_part=0, memory=0, correctness=1, correctness_share=0.05,
    alone=4, alone_disks=2, disk_least=2, disk_most=2, everywhere=False, together=0,
    network=3, ramp=1, streams=1,
)  # fmt: skip
PROFILES: Mapping[str, Profile] = {one.name: one for one in (QUICK, FULL, BURN, LAB)}
