"""Statistics that a bad machine cannot spoil: medians, scales, p and q values. NaN is missing."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from edeploy.health.measurements import Floats, Ints

# Makes the median absolute deviation of normal noise its standard deviation.
_MAD_TO_SIGMA = 1.4826
# What makes it so for n = 2 … 9 values too (Croux and Rousseeuw 1992); above, n / (n - 0.8).
_SMALL = (1.0, 1.0, 1.196, 1.495, 1.363, 1.206, 1.200, 1.140, 1.129, 1.107)
# exp() of the logarithm of a p value below this is 0.
_LOWEST_Z, _HIGHEST_Z, _Z_STEP = -37.0, 8.0, 1 / 256


def median(values: Floats, axis: int) -> Floats:
    """The median along an axis, NaN left out; NaN where nothing is."""
    if values.shape[axis] == 1:
        return values.squeeze(axis)
    ordered = np.sort(values, axis=axis)
    count = np.isfinite(ordered).sum(axis=axis, keepdims=True)
    low = np.take_along_axis(ordered, np.maximum((count - 1) // 2, 0), axis)
    high = np.take_along_axis(ordered, np.minimum(count // 2, values.shape[axis] - 1), axis)
    middle: Floats = np.where(count > 0, (low + high) / 2, np.nan)
    return middle.squeeze(axis)


def correction(count: Ints) -> Floats:
    """What a scale from `count` values is multiplied by."""
    small = np.array(_SMALL)[np.minimum(count, len(_SMALL) - 1)]
    large = count / np.maximum(count - 0.8, 0.1)
    chosen: Floats = np.where(count < len(_SMALL), small, large)
    return chosen


def scale(deviations: Floats, axis: int) -> Floats:
    """The robust standard deviation of deviations from a median, along an axis."""
    count = np.isfinite(deviations).sum(axis=axis)
    spread: Floats = _MAD_TO_SIGMA * correction(count) * median(np.abs(deviations), axis)
    return spread


def p_values(z: Floats) -> Floats:
    """How often normal noise goes below z; NaN stays NaN. Good to 5 digits for z from -37 to 8."""
    grid, logarithms = _normal_tail()
    p: Floats = np.exp(np.interp(z, grid, logarithms))
    return p


@cache
def _normal_tail() -> tuple[Floats, Floats]:
    grid = np.arange(_LOWEST_Z, _HIGHEST_Z + _Z_STEP, _Z_STEP)
    return grid, np.array([math.log(math.erfc(-z / math.sqrt(2)) / 2) for z in grid])


def q_values(p: Floats) -> Floats:
    """Benjamini and Hochberg's q of each p (one dimension, NaN left out): the share of false alarms
    among all that are at least as far out."""
    q = np.full(len(p), np.nan)
    tested = np.flatnonzero(np.isfinite(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    rank = np.arange(1, len(order) + 1)
    raw = p[order] * len(order) / rank
    q[order] = np.minimum(np.minimum.accumulate(raw[::-1])[::-1], 1.0)
    return q
