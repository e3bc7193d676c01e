"""One machine's figure beside its peers', in plain numbers: what reports and sentences tell."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edeploy.health.judge import Judged
from edeploy.health.measurements import Component, Floats
from edeploy.health.rules import LIMIT_Z


@dataclass(frozen=True)
class Comparison:
    """A row of a judged column. Losses are shares of the median: 0.1 is 10 % worse, -0.1 better.

    `odd` is how many of `runs` runs are beyond the limit in scales; `limit` the loss from which on
    a value is beyond; `excess` how many limits away from the median it is. `z` and `q` are None
    where they mean nothing. `metric` names the disk, `column` is the same for all disks.
    """

    metric: str
    column: str
    unit: str
    component: Component
    disk: str
    lower: bool
    value: float
    median: float
    loss: float
    z: float | None
    q: float | None
    members: int
    runs: int
    odd: int
    run_losses: tuple[float, ...]
    limit: float
    excess: float
    cohort: str


def compare(judged: Judged, row: int, column: int) -> Comparison:
    """The comparison of a row (a machine or a disk) that has a value in this column."""
    cells = judged.cells
    return _comparison(
        judged,
        row,
        column,
        level=float(cells.level[row, column]),
        z=float(cells.z[row, column]),
        q=float(cells.q[row, column]),
        ratios=cells.ratios[row, column],
        median=float(cells.median[column]),
        members=int(cells.members[column]),
        odd=int(cells.odd[row, column]),
        limit=float(cells.limit[column]),
        cohort=judged.cohort.label,
    )


def compare_with(
    judged: Judged, row: int, column: int, norm: Judged, norm_column: int
) -> Comparison:
    """The same against another cohort: that of machines with the usual parts."""
    cells, usual = judged.cells, norm.cells
    sign = -1.0 if judged.columns[column].lower else 1.0
    median = float(usual.median[norm_column])
    level = sign * math.log(float(cells.value[row, column]) / median)
    ratios = cells.ratios[row, column] - cells.level[row, column] + level
    spread, run_spread = float(usual.spread[norm_column]), float(usual.run_spread[norm_column])
    return _comparison(
        judged,
        row,
        column,
        level=level,
        z=level / spread,
        q=math.nan,
        ratios=ratios,
        median=median,
        members=int(usual.members[norm_column]),
        odd=int((ratios < -LIMIT_Z * run_spread).sum()),
        limit=float(usual.limit[norm_column]),
        cohort=norm.cohort.label,
    )


def _comparison(
    judged: Judged,
    row: int,
    column: int,
    *,
    level: float,
    z: float,
    q: float,
    ratios: Floats,
    median: float,
    members: int,
    odd: int,
    limit: float,
    cohort: str,
) -> Comparison:
    about, where = judged.columns[column], judged.cohort.rows[row]
    taken = ratios[np.isfinite(ratios)]
    return Comparison(
        metric=about.of(where),
        column=about.label,
        unit=about.unit,
        component=about.component,
        disk=where.disk,
        lower=about.lower,
        value=float(judged.cells.value[row, column]),
        median=median,
        loss=-math.expm1(level),
        z=_known(z),
        q=_known(q),
        members=members,
        runs=len(taken),
        odd=odd,
        run_losses=tuple((-np.expm1(taken)).tolist()),
        limit=-math.expm1(-limit),
        excess=-level / limit,
        cohort=cohort,
    )


def _known(number: float) -> float | None:
    return number if math.isfinite(number) else None
