"""fio: its arguments, and the JSON that it writes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edeploy.node.bench.programs import Printed, StageFailed
from edeploy.node.detect.sources.loose_json import Node

MIB = 1 << 20
EIO = 5
# Sequential reads keep a disk's queue full with this many requests of 1 MiB; random ones with more.
_SEQUENTIAL_DEPTH = 16
_RANDOM_DEPTH = 32
_MOST_OUTPUT = 64 << 20


@dataclass(frozen=True)
class Load:
    """What is done to a disk: `how` is fio's word (read, randread, write, randwrite); bytes."""

    how: str
    offset: int
    size: int
    seconds: float
    ramp: float
    seed: int = 1

    @property
    def random(self) -> bool:
        """Whether places are random."""
        return self.how.startswith("rand")

    @property
    def writes(self) -> bool:
        """Whether it destroys what is on the disk."""
        return self.how not in ("read", "randread")


@dataclass(frozen=True)
class Figures:
    """What fio measured: bytes and requests a second, the 99th percentile of latency in
    microseconds (0 when there is none), bytes in all."""

    bandwidth: float
    iops: float
    p99: float
    bytes: int
    tool: str


class DiskError(StageFailed):
    """The disk itself said that it can not read or write: it is broken."""


def words(name: str, path: str, load: Load, output: Path) -> list[str]:
    """The words of one load on one disk, in direct I/O on the raw device, for a constant time.

    A load that only reads is run with --readonly: fio then refuses to write, whatever else it is
    told. fio's own refusal of mounted devices (allow_mounted_write=0) is left as it is.
    """
    common = [
        "fio",
        f"--name={name}",
        # Else a colon, as in the names of USB disks, would begin another file.
        "--filename=" + path.replace(":", "\\:"),
        f"--rw={load.how}",
        f"--bs={'4k' if load.random else '1M'}",
        f"--iodepth={_RANDOM_DEPTH if load.random else _SEQUENTIAL_DEPTH}",
        "--ioengine=libaio",
        "--direct=1",
        f"--offset={load.offset}",
        f"--size={load.size}",
        "--time_based",
        f"--runtime={load.seconds:.0f}",
        f"--ramp_time={load.ramp:.0f}",
        "--eta=never",
        "--output-format=json",
        f"--output={output}",
    ]
    if load.random:
        # Without a map of what was read; the same places on every machine, others in each run.
        common += ["--norandommap", f"--randseed={load.seed}"]
    return common if load.writes else [*common, "--readonly"]


def figures(printed: Printed, output: Path, load: Load) -> Figures:
    """What fio measured. Raises StageFailed, DiskError."""
    text = _read(output)
    try:
        found = Node(json.loads(text))
    except (ValueError, RecursionError):
        raise StageFailed(
            f"fio ended with {printed.code} and no JSON\n{printed.last or text[-500:]}"
        ) from None
    job = found["jobs"].members[0] if found["jobs"].members else Node()
    error = job["error"].whole
    if printed.code != 0 or error != 0:
        kind = DiskError if error == EIO else StageFailed
        raise kind(f"fio ended with {printed.code}, error {error}\n{printed.last}")
    side = job["write" if load.writes else "read"]
    latency = side["clat_ns"]["percentile"]["99.000000"]
    return Figures(
        bandwidth=_positive(side, "bw_bytes"),
        iops=_positive(side, "iops"),
        p99=(latency.value if isinstance(latency.value, (int, float)) else 0) / 1000,
        bytes=side["io_bytes"].whole or 0,
        tool=found["fio version"].text or "fio",
    )


def regions(size: int) -> Mapping[str, tuple[int, int]]:
    """Where sequential reads take place, as (offset, size): a twentieth of the disk, 1 GiB at
    least, at its start, middle and end. Disks that turn are half as fast at their end."""
    whole = size // MIB * MIB
    region = min(whole, max(whole // 20, 1 << 30)) // MIB * MIB
    middle = (whole - region) // 2 // MIB * MIB
    return {"": (0, region), "_middle": (middle, region), "_end": (whole - region, region)}


def _read(output: Path) -> str:
    try:
        with open(output, encoding="utf-8", errors="replace") as stream:
            text = stream.read(_MOST_OUTPUT)
    except OSError:
        return ""
    # Warnings come before the document.
    start = text.find("{")
    return text[start:] if start >= 0 else text


def _positive(side: Node, key: str) -> float:
    value = side[key].value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise StageFailed(f"fio's {key} is {side[key].text or 'missing'}")
    return float(value)
