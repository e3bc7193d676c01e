"""What was measured: metrics, and their values as columns of numbers."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class Component(Enum):
    """The part of a machine that a metric tells about; in the order of reports."""

    CPU = "cpu"
    MEMORY = "memory"
    DISK = "disk"
    NETWORK = "network"
    OTHER = "other"


class Better(Enum):
    """Which direction of a metric is the good one."""

    HIGHER = "higher"
    LOWER = "lower"


@dataclass(frozen=True)
class Metric:
    """One kind of measurement. `instance` is the disk or card it was taken of, or empty."""

    label: str
    unit: str
    better: Better
    component: Component
    instance: str = ""

    @property
    def family(self) -> str:
        """The label without the instance: `disk/*/read_1M` stands for every disk."""
        return self.label.replace(f"/{self.instance}/", "/*/", 1) if self.instance else self.label


@dataclass(frozen=True)
class Values:
    """All values, one a position: of which machine, which metric, which run. All are above 0.

    `machine` and `metric` are indexes into the evidence's tuples; `run` numbers the names of runs
    from 0 in their order; `named` says whether these names mean the same time on all machines.
    """

    machine: Ints
    metric: Ints
    run: Ints
    value: Floats
    named: bool

    def __len__(self) -> int:
        return len(self.value)


@dataclass
class Columns:
    """Values while files are read, with numbers given in the order of coming."""

    machine: array[int] = field(default_factory=lambda: array("i"))
    metric: array[int] = field(default_factory=lambda: array("i"))
    run: array[int] = field(default_factory=lambda: array("i"))
    value: array[float] = field(default_factory=lambda: array("d"))

    def add(self, machine: int, metric: int, run: int, value: float) -> None:
        """One more value."""
        self.machine.append(machine)
        self.metric.append(metric)
        self.run.append(run)
        self.value.append(value)

    def extend(self, machine: Ints, metric: Ints, run: Ints, value: Floats) -> None:
        """Many more values, an array position each."""
        for column, numbers in (
            (self.machine, machine.astype(np.int32)),
            (self.metric, metric.astype(np.int32)),
            (self.run, run.astype(np.int32)),
        ):
            column.frombytes(numbers.tobytes())
        self.value.frombytes(value.astype(np.float64).tobytes())
