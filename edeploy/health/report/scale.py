"""Colours and axes of the charts: orange is worse, blue is better, for all kinds of eyes."""

from __future__ import annotations

import math
from dataclasses import dataclass

# Steps of a loss (shares) and their colours; between the first two lies what needs no colour.
# Orange against blue stays apart in all common kinds of colour blindness, and in grey by darkness.
_WORSE = (
    (0.02, "#fde3c3"),
    (0.05, "#fdb863"),
    (0.10, "#e58a1f"),
    (0.20, "#b85a06"),
    (0.40, "#7a3403"),
)
_BETTER = ((0.02, "#dcebf5"), (0.05, "#a3cde3"), (0.10, "#5a9fce"), (0.20, "#2368a8"))
NEUTRAL = "#f6f6f4"
MISSING = "#c9c9c9"


def colour(loss: float) -> str:
    """The colour of a loss (a share; below 0 is better than the median)."""
    steps = _WORSE if loss > 0 else _BETTER
    reached = [shade for step, shade in steps if abs(loss) >= step]
    return reached[-1] if reached else NEUTRAL


def legend() -> list[tuple[str, str]]:
    """(colour, words) from much better to much worse."""
    better = [(shade, f"≥ {100 * step:.0f} % better") for step, shade in reversed(_BETTER)]
    worse = [(shade, f"≥ {100 * step:.0f} % worse") for step, shade in _WORSE]
    return [*better, (NEUTRAL, "within 2 %"), *worse]


@dataclass(frozen=True)
class Axis:
    """A straight scale from `low` to `high` (shares) over `width` points from `left`."""

    low: float
    high: float
    left: float
    width: float

    def at(self, share: float) -> float:
        """The place of a share, cut at the ends; to a tenth of a point."""
        inside = min(max(share, self.low), self.high)
        return round(self.left + (inside - self.low) / (self.high - self.low) * self.width, 1)

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """Round percentages and their places, `most` of them at most."""
        step = _round_step((self.high - self.low) / (most - 1))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [(self.at(n * step), _percent(n * step)) for n in range(first, last + 1)]


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough - 1e-12)


def _percent(share: float) -> str:
    text = f"{abs(100 * share):g} %"
    return f"{'−' if share < -1e-12 else '+' if share > 1e-12 else ''}{text}"
