"""Limits that need no peers, for a machine that is the only one of its kind."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from edeploy.health.evidence import Evidence, Machine
from edeploy.health.judge import Judged
from edeploy.health.measurements import Component
from edeploy.health.rules import LINK_SHARE, RUNS_TO_FAIL, SYMMETRY, Verdict

_PER_SECOND = re.compile(r"([kmgt]?)(bits?|b|bytes?)(?:/s|ps)\Z", re.IGNORECASE)
_POWERS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}


@dataclass(frozen=True)
class Checked:
    """An absolute limit that a machine was held against; `said` tells it when it is not kept."""

    machine: int
    component: Component
    verdict: Verdict
    said: str


def check(evidence: Evidence, blocks: Iterable[Judged]) -> list[Checked]:
    """Hold what has no peers against what its own machine can do."""
    found: list[Checked] = []
    for judged in blocks:
        alone = judged.cells.members == 1
        if judged.cohort.of_disks or not alone.any():
            continue
        for row in range(len(judged.cohort.rows)):
            columns = np.flatnonzero(alone & np.isfinite(judged.cells.level[row])).tolist()
            found += _links(evidence, judged, row, columns)
            found += _symmetry(judged, row, columns)
    return found


def _links(evidence: Evidence, judged: Judged, row: int, columns: list[int]) -> Iterable[Checked]:
    """Network throughput against the speed of the link."""
    number = judged.cohort.rows[row].machine
    for column in columns:
        about = judged.columns[column]
        instance = _instance(about.label)
        if about.component is not Component.NETWORK or about.lower or not instance:
            continue
        speed, rate = _link_speed(evidence.machines[number], instance), _bits(about.unit)
        if not speed or not rate:
            continue
        share = float(judged.cells.value[row, column]) * rate / speed
        said = f"{about.label} is {100 * share:.0f} % of the link's {speed / 1e9:g} Gbit/s"
        runs = int(judged.cells.runs[row, column])
        yield Checked(number, about.component, _verdict(share < LINK_SHARE, runs), said)


def _symmetry(judged: Judged, row: int, columns: list[int]) -> Iterable[Checked]:
    """Packages and NUMA nodes of one machine against each other."""
    component = judged.cohort.component
    allowed = SYMMETRY.get(component.value)
    if allowed is None:
        return
    alike: dict[tuple[str, str], list[int]] = {}
    for column in columns:
        label = judged.columns[column].label
        if instance := _instance(label):
            key = label.replace(f"/{instance}/", "/*/", 1), judged.columns[column].unit
            alike.setdefault(key, []).append(column)
    for (label, _), same in sorted(alike.items()):
        if len(same) < 2:
            continue
        values = judged.cells.value[row, same]
        worst = same[int(values.argmin())]
        loss = 1 - float(values.min() / values.max())
        said = f"{judged.columns[worst].label} is {100 * loss:.1f} % below the best of {label}"
        runs = int(judged.cells.runs[row, same].min())
        number = judged.cohort.rows[row].machine
        yield Checked(number, component, _verdict(loss > allowed, runs), said)


def _verdict(broken: bool, runs: int) -> Verdict:
    if not broken:
        return Verdict.PASS
    return Verdict.FAIL if runs >= RUNS_TO_FAIL else Verdict.RETEST


def _instance(label: str) -> str:
    """`physical_0` of `cpu/physical_0/loops_per_sec`."""
    parts = label.split("/")
    return parts[1] if len(parts) == 3 else ""


def _link_speed(machine: Machine, card: str) -> float:
    """Bits a second of a card's link; 0 when no fact tells."""
    speed = machine.facts.soft.get(f"network.{card}.speed", "")
    found = re.match(r"(\d+(?:\.\d+)?)\s*(\S+)\Z", speed)
    return float(found[1]) * _bits(found[2]) if found else 0.0


def _bits(unit: str) -> float:
    """Bits a second that one of a unit is; 0 for another kind of unit."""
    found = _PER_SECOND.match(unit.strip())
    if not found:
        return 0.0
    byte = found[2] == "B" or found[2].lower().startswith("byte")
    return _POWERS[found[1].lower()] * (8 if byte else 1)
