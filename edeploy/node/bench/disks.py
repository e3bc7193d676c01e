"""Stages of disks: read on the raw device, each alone or all at once; nothing writes."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.node import timeouts
from edeploy.node.bench import fio
from edeploy.node.bench.profiles import Profile
from edeploy.node.bench.programs import Bench, StageFailed
from edeploy.node.bench.results import Outcome, Part, Result
from edeploy.node.bench.stage import OVERHEAD, LeftOut, Stage
from edeploy.node.detect.disks import SECTOR, Disk, all_disks
from edeploy.node.detect.tree import Tree
from edeploy.node.install.disk import refuse_if_used
from edeploy.run import run

_KILOBYTE = 1000.0
_POSITIONS = ("", "_middle", "_end")


def measurable(tree: Tree) -> tuple[list[Disk], list[LeftOut]]:
    """The disks that are measured, and those that are not, with the reason."""
    found, left = [], []
    for disk in all_disks(tree):
        # One path of several to an NVMe disk, of which the kernel shows only the whole.
        if not disk.real or tree.number(f"sys/block/{disk.name}/hidden"):
            continue
        if tree.number(f"sys/block/{disk.name}/removable"):
            left.append(LeftOut(f"disk/{disk.name}", Part.DISK, "a removable medium"))
        else:
            found.append(disk)
    return found, left


def stages(disks: Sequence[Disk], profile: Profile) -> list[Stage]:
    """Reads of each disk alone; of many disks, in a short test, of all at once."""
    if not disks or not profile.alone:
        return []
    positions = _POSITIONS if profile.everywhere else _POSITIONS[:1]
    seconds = profile.disk_seconds(len(disks), len(positions) + 1)
    whole = seconds + profile.ramp + OVERHEAD
    many = len(disks) > profile.alone_disks
    groups = [list(disks)] if many else [[disk] for disk in disks]
    found = []
    for group in groups:
        name = "disk/all" if many else f"disk/{group[0].name}"
        for position in positions:
            work = partial(_read, group, position, seconds, profile.ramp, many)
            found.append(Stage(f"{name}/read_1M{position}", Part.DISK, whole, work))
        work = partial(_random, group, seconds, profile.ramp, many)
        found.append(Stage(f"{name}/randread_4k", Part.DISK, whole, work))
    if not many and len(disks) > 1 and profile.together:
        work = partial(_read, list(disks), "", profile.together, profile.ramp, True)
        long = profile.together + profile.ramp + OVERHEAD
        found.append(Stage("disk/all/read_1M", Part.DISK, long, work))
    return found


def _read(
    disks: Sequence[Disk], position: str, seconds: float, ramp: float, together: bool,
    bench: Bench, run_number: int,
) -> Outcome:  # fmt: skip
    loads = [
        fio.Load("read", *fio.regions(disk.size)[position], seconds, ramp, run_number)
        for disk in disks
    ]
    prefix = "all_" if together else ""
    with contextlib.ExitStack() as guard:
        for disk in disks:
            guard.enter_context(read_only(bench.tree, disk))
        measured, samples = load(bench, disks, loads)
    results = [
        Result(
            f"disk/{disk.name}/{prefix}read_1M{position}", "KB/s",
            figures.bandwidth / _KILOBYTE, tuple(rate / _KILOBYTE for rate in own),
        )
        for disk, figures, own in zip(disks, measured, samples)
    ]  # fmt: skip
    return Outcome(tuple(results), measured[0].tool)


def _random(
    disks: Sequence[Disk], seconds: float, ramp: float, together: bool,
    bench: Bench, run_number: int,
) -> Outcome:  # fmt: skip
    loads = [
        fio.Load("randread", 0, disk.size // fio.MIB * fio.MIB, seconds, ramp, run_number)
        for disk in disks
    ]
    prefix = "all_" if together else ""
    with contextlib.ExitStack() as guard:
        for disk in disks:
            guard.enter_context(read_only(bench.tree, disk))
        measured, samples = load(bench, disks, loads)
    results: list[Result] = []
    for disk, figures, own in zip(disks, measured, samples):
        name = f"disk/{disk.name}/{prefix}randread_4k"
        results.append(
            Result(f"{name}_iops", "1/s", figures.iops, tuple(rate / 4096 for rate in own))
        )
        if figures.p99 > 0:
            results.append(Result(f"{name}_p99", "us", figures.p99, better="lower"))
    return Outcome(tuple(results), measured[0].tool)


@contextlib.contextmanager
def read_only(tree: Tree, disk: Disk) -> Iterator[None]:
    """The kernel refuses all writes to the disk for the time of the block; then it is as before.

    Raises StageFailed for a disk that is in use: what uses it would see its writes fail.
    """
    if tree.number(f"sys/block/{disk.name}/ro"):
        yield
        return
    try:
        refuse_if_used(tree, disk)
    except EdeployError as error:
        raise StageFailed(error.message) from error
    run(["blockdev", "--setro", disk.path], timeout=timeouts.PROGRAM)
    try:
        yield
    finally:
        run(["blockdev", "--setrw", disk.path], timeout=timeouts.PROGRAM)


def load(
    bench: Bench, disks: Sequence[Disk], loads: Sequence[fio.Load]
) -> tuple[list[fio.Figures], list[tuple[float, ...]]]:
    """Put each disk under its load, at the same time; what fio measured, and bytes a second in
    each second after the ramp, by the kernel's own count."""
    meters = [_Meter(bench.tree, disk, one) for disk, one in zip(disks, loads)]

    def on_tick() -> None:
        rates = [meter.tick() for meter in meters]
        if rates and rates[0] is not None:
            random = loads[0].random
            bench.tell(rates[0] / (4096 if random else 1e6), "IO/s" if random else "MB/s")

    with tempfile.TemporaryDirectory(prefix="edeploy-fio-") as folder:
        outputs = [Path(folder) / f"{number}.json" for number in range(len(disks))]
        argvs = [
            fio.words(disk.name, disk.by_id, one, output)
            for disk, one, output in zip(disks, loads, outputs)
        ]
        printed = bench.run(*argvs, on_tick=on_tick)
        measured = []
        for disk, one, output, text in zip(disks, loads, outputs, printed):
            try:
                measured.append(fio.figures(text, output, one))
            except fio.DiskError as error:
                how = "write" if one.writes else "read"
                raise fio.DiskError(f"disk: {disk.name} ({disk.serial}): {how} error") from error
            except StageFailed as error:
                raise StageFailed(f"{disk.name}: {error.message}") from error
    return measured, [tuple(meter.rates) for meter in meters]


class _Meter:
    """Bytes a second that the kernel counts of one disk."""

    def __init__(self, tree: Tree, disk: Disk, load: fio.Load) -> None:
        self._tree = tree
        self._file = f"sys/block/{disk.name}/stat"
        # Fields of Documentation/block/stat.rst: sectors read, sectors written.
        self._field = 6 if load.writes else 2
        self._begin = time.monotonic() + load.ramp + 1
        self._last = (time.monotonic(), self._bytes())
        self.rates: list[float] = []

    def tick(self) -> float | None:
        now, count = time.monotonic(), self._bytes()
        then, before = self._last
        if now - then < 0.5:
            return None
        self._last = (now, count)
        rate = (count - before) / (now - then)
        if now > self._begin and rate > 0:
            self.rates.append(rate)
        return rate

    def _bytes(self) -> int:
        fields = self._tree.text(self._file).split()
        return int(fields[self._field]) * SECTOR if len(fields) > self._field else 0


def unwritten(disk: Disk, *, places: int = 64) -> bool:
    """Whether all of a few places read as zeros: reads of blocks that were never written need not
    touch the flash of an SSD, and look faster than the disk is. Raises OSError."""
    step = max(1, disk.size // places // fio.MIB) * fio.MIB
    with open(disk.path, "rb", buffering=0) as stream:
        for place in range(0, disk.size, step):
            if any(os.pread(stream.fileno(), 4096, place)):
                return False
    return True
