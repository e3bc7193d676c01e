"""Stages that overwrite disks: those that a campaign names and that nothing speaks against."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from edeploy.node.bench import fio
from edeploy.node.bench.campaign import Campaign, Refused, held
from edeploy.node.bench.disks import load
from edeploy.node.bench.profiles import Profile
from edeploy.node.bench.programs import Bench, StageFailed
from edeploy.node.bench.results import Outcome, Part, Result, Written
from edeploy.node.bench.stage import OVERHEAD, Stage
from edeploy.node.detect.disks import Disk, all_disks


def stages(disks: Sequence[Disk], campaign: Campaign | None, profile: Profile) -> list[Stage]:
    """Sequential and random writes of each disk of the campaign, one after the other, after all
    that is read. No campaign, no stages."""
    if campaign is None:
        return []
    named = [disk for disk in disks if campaign.allowed(disk)]
    seconds = profile.disk_seconds(len(named), 2)
    whole = seconds + profile.ramp + OVERHEAD
    return [
        Stage(
            f"disk/{disk.name}/{name}", Part.DISK, whole,
            partial(_write, disk, campaign, how, seconds, profile.ramp), late=True,
        )
        for disk in named
        for name, how in (("write_1M", "write"), ("randwrite_4k", "randwrite"))
    ]  # fmt: skip


def _write(
    disk: Disk, campaign: Campaign, how: str, seconds: float, ramp: float,
    bench: Bench, run_number: int,
) -> Outcome:  # fmt: skip
    place = fio.regions(disk.size)[""]
    one = fio.Load(how, *place, seconds, ramp, run_number)
    others = [other for other in all_disks(bench.tree) if other.real]
    try:
        with held(bench.tree, disk, campaign, others):
            # Before the first byte: a program that is killed has written as well.
            bench.written.append(Written(disk.serial, *place))
            (figures,), (samples,) = load(bench, [disk], [one])
    except Refused as refusal:
        raise StageFailed(f"refused: {refusal.message}") from refusal
    if one.random:
        result = Result(
            f"disk/{disk.name}/randwrite_4k_iops", "1/s", figures.iops,
            tuple(rate / 4096 for rate in samples),
        )  # fmt: skip
    else:
        result = Result(
            f"disk/{disk.name}/write_1M", "KB/s", figures.bandwidth / 1000,
            tuple(rate / 1000 for rate in samples),
        )  # fmt: skip
    return Outcome((result,), figures.tool)
