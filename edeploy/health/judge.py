"""The judgement of one block: every row against the median of its column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edeploy.health import robust
from edeploy.health.cohorts import Block, Cohort, Column
from edeploy.health.measurements import Flags, Floats, Ints
from edeploy.health.rules import (
    LIMIT_Z,
    PAIR_SCALES,
    RUN_CENTRE_MEMBERS,
    RUN_CENTRE_SHARE,
    RUNS_TO_FAIL,
    SMALL_GROUP,
    SMALL_GROUP_FACTOR,
    Verdict,
)


@dataclass(frozen=True)
class Terms:
    """What is known of the columns beforehand, an array position each."""

    noise: Floats
    effect: Floats
    lower: Flags
    named_runs: bool


@dataclass
class Cells:
    """What a judgement says. `[row, column]`: level, z, q, value, runs, odd, bad, verdict;
    `[row, column, run]`: ratios; `[column]`: the rest.

    `level` and `ratios` are logarithms of the ratio to the median, turned so that less is worse.
    `value` is the row's median over its runs. `odd` counts runs beyond LIMIT_Z, `bad` those of them
    that lose more than the effect floor. `limit` is the logarithm (above 0) below which a level has
    to be. `q` is filled in when all of a family is judged.
    """

    level: Floats
    ratios: Floats
    z: Floats
    value: Floats
    runs: Ints
    odd: Ints
    bad: Ints
    verdict: Ints
    members: Ints
    median: Floats
    spread: Floats
    run_spread: Floats
    limit: Floats
    q: Floats


@dataclass(frozen=True)
class Judged:
    """A judged block."""

    cohort: Cohort
    columns: tuple[Column, ...]
    cells: Cells


def terms_of(block: Block, *, named_runs: bool) -> Terms:
    """What is known of a block's columns; `named_runs`: run k means the same time in all rows."""
    return Terms(
        noise=np.array([column.floors.noise for column in block.columns]),
        effect=np.array([column.floors.effect for column in block.columns]),
        lower=np.array([column.lower for column in block.columns], dtype=np.bool_),
        named_runs=named_runs,
    )


def judge(block: Block, terms: Terms) -> Judged:
    """Judge a block."""
    return Judged(block.cohort, block.columns, judge_cube(block.cube, terms))


def judge_cube(cube: Floats, terms: Terms) -> Cells:
    """Judge values `cube[row, column, run]` (above 0, NaN for none)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.where(terms.lower[None, :, None], -np.log(cube), np.log(cube))
        typical = robust.median(logs, 2)
        median = robust.median(typical, 0)
        centre = _centre(logs, median, terms)
        ratios = logs - centre
        level = robust.median(ratios, 2) if terms.named_runs else typical - median
        shift = np.nan_to_num(robust.median(level, 0))
        level, ratios = level - shift, ratios - shift[:, None]
        present = np.isfinite(level)
        members = present.sum(axis=0)
        spread = np.fmax(robust.scale(level, 0), terms.noise)
        run_spread = np.fmax(_run_scale(ratios), terms.noise)
        effect = np.where(
            (members > 2) & (members < SMALL_GROUP), SMALL_GROUP_FACTOR * terms.effect, terms.effect
        )
        limit = np.maximum(LIMIT_Z * spread, -np.log1p(-effect))
        odd = ratios < -LIMIT_Z * run_spread[:, None]
        bad = odd & (ratios < np.log1p(-effect)[:, None])
    cells = Cells(
        level=level,
        ratios=ratios,
        # One alone is compared with nobody.
        z=np.where(members > 1, level / spread, np.nan),
        value=np.exp(np.where(terms.lower, -1.0, 1.0) * typical),
        runs=np.isfinite(ratios).sum(axis=2),
        odd=odd.sum(axis=2),
        bad=bad.sum(axis=2),
        verdict=np.full(level.shape, Verdict.PASS, dtype=np.int64),
        members=members,
        median=np.exp(np.where(terms.lower, -1.0, 1.0) * median),
        spread=spread,
        run_spread=run_spread,
        limit=limit,
        q=np.full(level.shape, np.nan),
    )
    _verdicts(cells, present)
    _pairs(cells, terms)
    return cells


def _centre(logs: Floats, median: Floats, terms: Terms) -> Floats:
    """What each value is compared with, `[column, run]`: the median of its run, or of all runs."""
    runs = logs.shape[2]
    pooled = np.repeat(median[:, None], runs, axis=1)
    if not terms.named_runs or runs == 1:
        return pooled
    count = np.isfinite(logs).sum(axis=0)
    rows = np.isfinite(logs).any(axis=2).sum(axis=0)
    enough = count >= np.maximum(RUN_CENTRE_MEMBERS, RUN_CENTRE_SHARE * rows)[:, None]
    centre: Floats = np.where(enough, robust.median(logs, 0), pooled)
    return centre


def _run_scale(ratios: Floats) -> Floats:
    """The scale of single runs. A machine counts with as many runs as most have: one that was
    measured again and again must not make its own runs the usual ones."""
    there = np.isfinite(ratios)
    counts = there.sum(axis=2)
    usual = np.array([np.median(one[one > 0]) if one.any() else 0 for one in counts.T])
    if (counts > usual).any():
        ratios = np.where(there.cumsum(axis=2) <= usual[:, None], ratios, np.nan)
    rows, columns, runs = ratios.shape
    flat = ratios.transpose(0, 2, 1).reshape(rows * runs, columns)
    return robust.scale(flat, 0)


def _verdicts(cells: Cells, present: Flags) -> None:
    """Beyond the limit in every one of enough runs: fail. Beyond it in some, or in too few: retest.
    Odd, but losing less than matters: watch."""
    with np.errstate(invalid="ignore"):
        odd = cells.z < -LIMIT_Z
        beyond = odd & (cells.level < -cells.limit)
        always = (cells.odd == cells.runs) & (cells.runs >= RUNS_TO_FAIL)
    judged = present & (cells.members > 1)
    cells.verdict[judged & odd] = Verdict.WATCH
    cells.verdict[judged & ((cells.bad > 0) | beyond)] = Verdict.RETEST
    cells.verdict[judged & beyond & always] = Verdict.FAIL
    missing = ~present & (cells.members > cells.level.shape[0] / 2)
    cells.verdict[missing] = Verdict.NO_DATA


def _pairs(cells: Cells, terms: Terms) -> None:
    """Two that differ: nobody can say which one is wrong. The better one stands for
    the median."""
    for column in np.flatnonzero(cells.members == 2).tolist():
        rows = np.flatnonzero(np.isfinite(cells.level[:, column]))
        best = cells.level[rows, column].max()
        cells.median[column] *= np.exp(-best if terms.lower[column] else best)
        cells.level[rows, column] -= best
        cells.ratios[rows, column] -= best
        cells.z[rows, column] = np.nan
        cells.odd[rows, column] = cells.bad[rows, column] = 0
        limit = max(PAIR_SCALES * terms.noise[column], -np.log1p(-terms.effect[column]))
        cells.limit[column] = limit
        differ = cells.level[rows, column].min() < -limit
        cells.verdict[rows, column] = Verdict.RETEST if differ else Verdict.PASS
