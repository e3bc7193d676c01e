"""A machine against itself: what its newest test says beside the one that it was born with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edeploy.health import catalogue
from edeploy.health.documents import better
from edeploy.health.measurements import Better
from edeploy.health.rounds import Document, merged
from edeploy.health.rules import LIMIT_Z

# Beyond these no tool measures, and a ratio of two might be no number.
_LEAST, _MOST = 1e-12, 1e15

MIN_PEERS = 3
"""Machines whose median says how far all of them went, from so many on."""


@dataclass(frozen=True)
class Pair:
    """A machine's rounds of then and of now."""

    node: str
    birth: tuple[Document, ...]
    now: tuple[Document, ...]


@dataclass(frozen=True)
class Drift:
    """One metric of one machine. Losses are shares of its first value: 0.1 is 10 % worse.

    `peers` is the median loss of all machines that are compared, None for too few of them;
    `limit` the loss from which on it is no noise.
    """

    node: str
    metric: str
    unit: str
    birth: float
    now: float
    loss: float
    limit: float
    peers: float | None = None

    @property
    def gone(self) -> bool:
        """Whether the machine lost more than noise can be."""
        return self.loss > self.limit

    @property
    def alone(self) -> bool:
        """Whether it lost what the others did not: then it is the machine, and no update."""
        return self.gone and (self.peers is None or self.loss - self.peers > self.limit)


def drifts(pairs: Sequence[Pair]) -> tuple[Drift, ...]:
    """Every metric that a machine has in both tests, the worst first."""
    found = [drift for pair in pairs for drift in _of(pair)]
    losses: dict[tuple[str, str], list[float]] = {}
    for one in found:
        losses.setdefault((one.metric, one.unit), []).append(one.loss)
    medians = {
        key: float(np.median(values)) for key, values in losses.items() if len(values) >= MIN_PEERS
    }
    told = [replace(one, peers=medians.get((one.metric, one.unit))) for one in found]
    return tuple(sorted(told, key=lambda one: (one.limit - one.loss, one.node, one.metric)))


def _of(pair: Pair) -> list[Drift]:
    first, newest = _values(pair.birth), _values(pair.now)
    found = []
    for key in sorted(first.keys() & newest.keys()):
        label, unit, direction = key
        metric = catalogue.metric(label, unit, better(direction))
        floors = catalogue.floors(metric)
        then, now = float(np.median(first[key])), float(np.median(newest[key]))
        ratio = then / now if metric.better is Better.LOWER else now / then
        limit = max(floors.effect, -math.expm1(-LIMIT_Z * floors.noise))
        found.append(Drift(pair.node, label, unit, then, now, 1 - ratio, limit))
    return found


def _values(rounds: Sequence[Document]) -> dict[tuple[str, str, str], list[float]]:
    """(metric, unit, better) → all values that can be compared."""
    found: dict[tuple[str, str, str], list[float]] = {}
    results = merged(rounds).get("results") if rounds else []
    for result in results if isinstance(results, list) else []:
        if not isinstance(result, Mapping):
            continue
        value = result.get("value")
        if (
            isinstance(value, (int, float))
            and not isinstance(value, bool)
            and _LEAST < value < _MOST
        ):
            key = tuple(str(result.get(name) or "") for name in ("metric", "unit", "better"))
            found.setdefault((key[0], key[1], key[2]), []).append(float(value))
    return found
