"""Who is compared with whom in which metric: machines, or single disks, with the same parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edeploy.health import catalogue
from edeploy.health.evidence import Evidence
from edeploy.health.groups import PARTS, Groups, told
from edeploy.health.measurements import Better, Component, Flags, Floats, Ints, Metric

# What a metric's figures depend on; a machine is compared with those that have the same of it.
_DEPENDS = {
    Component.CPU: (Component.CPU,),
    Component.MEMORY: (Component.CPU, Component.MEMORY),
    Component.NETWORK: (Component.NETWORK,),
    Component.DISK: (Component.DISK,),
    Component.OTHER: PARTS,
}
# Numbers in one cube; keeps the memory of a judgement small.
_MAX_CELLS = 1 << 21

_BETWEEN = "; "

Slot = tuple[Component, str]
"""What a metric is taken of in every machine: a component, and for single disks the device."""


@dataclass(frozen=True)
class Row:
    """One thing that is compared: a machine, or one disk of it."""

    machine: int
    disk: str = ""


@dataclass(frozen=True)
class Cohort:
    """Rows that are compared with each other. `kind` says which parts they share."""

    label: str
    family: int
    component: Component
    kind: str
    rows: tuple[Row, ...]

    @property
    def of_disks(self) -> bool:
        """Whether rows are single disks."""
        return bool(self.rows[0].disk)

    @cached_property
    def of_machine(self) -> Mapping[int, Sequence[int]]:
        """The places of each machine's rows."""
        found: dict[int, list[int]] = {}
        for place, row in enumerate(self.rows):
            found.setdefault(row.machine, []).append(place)
        return found


@dataclass(frozen=True)
class Column:
    """A metric in a cohort: of disks, the same metric of all of them."""

    label: str
    unit: str
    lower: bool
    component: Component
    floors: catalogue.Floors

    def of(self, row: Row) -> str:
        """The label of one row's metric."""
        return self.label.replace("/*/", f"/{row.disk}/", 1) if row.disk else self.label


@dataclass(frozen=True)
class Block:
    """Values of a cohort, `cube[row, column, run]`, NaN where nothing was measured."""

    cohort: Cohort
    columns: tuple[Column, ...]
    cube: Floats


@dataclass(frozen=True)
class Cohorts:
    """All cohorts. `place[slot, machine]` is a machine's cohort in a slot, `row` its row there;
    -1 for none."""

    slots: dict[Slot, int]
    cohorts: tuple[Cohort, ...]
    place: Ints
    row: Ints


def cohorts(evidence: Evidence, groups: Groups) -> Cohorts:
    """Sort machines and disks into cohorts, for all that is measured."""
    ordered = sorted({slot_of(metric) for metric in evidence.metrics}, key=_order)
    slots = {slot: number for number, slot in enumerate(ordered)}
    measured = _measured(evidence, slots)
    members: dict[tuple[int, Component, str, bool], dict[Row, int]] = {}
    place_of: dict[tuple[int, int], tuple[tuple[int, Component, str, bool], int]] = {}
    for slot, number in slots.items():
        for machine in np.flatnonzero(_present(slot, evidence, groups, measured[number])).tolist():
            kind = _kind(slot, machine, evidence, groups)
            key = (groups.family[machine], slot[0], kind, bool(slot[1]))
            rows = members.setdefault(key, {})
            place_of[(number, machine)] = key, rows.setdefault(Row(machine, slot[1]), len(rows))
    keys = sorted(members, key=lambda key: (key[0], list(Component).index(key[1]), *key[2:]))
    numbers = {key: number for number, key in enumerate(keys)}
    place = np.full((len(slots), len(evidence.machines)), -1, dtype=np.int64)
    row = place.copy()
    for where, (key, number) in place_of.items():
        place[where], row[where] = numbers[key], number
    return Cohorts(
        slots, tuple(_cohort(key, keys, members[key], groups) for key in keys), place, row
    )


def blocks(evidence: Evidence, found: Cohorts) -> Iterator[Block]:
    """The values of each cohort, cut by columns so that no cube is large."""
    values = evidence.values
    if not len(values):
        return
    slot = np.array([found.slots[slot_of(metric)] for metric in evidence.metrics], dtype=np.int64)
    columns, column_of = _columns(evidence.metrics)
    cohort = found.place[slot[values.metric], values.machine]
    # Small numbers are sorted by their bytes, in one pass over millions.
    small = np.min_scalar_type(-len(found.cohorts) - 1)
    order = np.argsort(cohort.astype(small), kind="stable")
    ends = np.searchsorted(cohort[order], np.arange(len(found.cohorts) + 1))
    for place, one in enumerate(found.cohorts):
        mine = order[ends[place] : ends[place + 1]]
        row = found.row[slot[values.metric[mine]], values.machine[mine]]
        column = column_of[values.metric[mine]]
        yield from _cut(one, columns, row, column, values.run[mine], values.value[mine])


def slot_of(metric: Metric) -> Slot:
    """What a metric is taken of."""
    return metric.component, metric.instance if metric.component is Component.DISK else ""


def _order(slot: Slot) -> tuple[int, str]:
    return list(Component).index(slot[0]), slot[1]


def _measured(evidence: Evidence, slots: dict[Slot, int]) -> Flags:
    """Which machine has a value in which slot."""
    found = np.zeros((len(slots), len(evidence.machines)), dtype=np.bool_)
    slot = np.array([slots[slot_of(metric)] for metric in evidence.metrics], dtype=np.int64)
    if len(evidence.values):
        found[slot[evidence.values.metric], evidence.values.machine] = True
    return found


def _present(slot: Slot, evidence: Evidence, groups: Groups, measured: Flags) -> Flags:
    """Which machines stand in a slot: all of a family, but for a disk those that have it."""
    known = np.array(groups.family) >= 0
    if not slot[1]:
        return known
    has = np.array([slot[1] in machine.facts.disks for machine in evidence.machines])
    present: Flags = known & (measured | has)
    return present


def _kind(slot: Slot, machine: int, evidence: Evidence, groups: Groups) -> str:
    component, disk = slot
    if disk:
        return evidence.machines[machine].facts.disks.get(disk, disk)
    bags = (groups.parts[machine][part] for part in _DEPENDS[component])
    return _BETWEEN.join(told(bag) for bag in bags if bag)


def _cohort(
    key: tuple[int, Component, str, bool],
    keys: list[tuple[int, Component, str, bool]],
    rows: dict[Row, int],
    groups: Groups,
) -> Cohort:
    family, component, kind, _ = key
    kinds = [other[2].split(_BETWEEN) for other in keys if other[:2] == key[:2]]
    own = [part for part in kind.split(_BETWEEN) if part and not all(part in k for k in kinds)]
    label = ": ".join([groups.families[family], *([_BETWEEN.join(own)] if own else [])])
    return Cohort(label, family, component, kind, tuple(rows))


def _columns(metrics: tuple[Metric, ...]) -> tuple[list[Column], Ints]:
    """The columns of all metrics in their order, and which column each metric stands in."""
    found: dict[Column, int] = {}
    numbers = []
    for metric in metrics:
        column = Column(
            label=metric.family if slot_of(metric)[1] else metric.label,
            unit=metric.unit,
            lower=metric.better is Better.LOWER,
            component=metric.component,
            floors=catalogue.floors(metric),
        )
        numbers.append(found.setdefault(column, len(found)))
    return list(found), np.array(numbers, dtype=np.int64)


def _cut(
    cohort: Cohort, columns: list[Column], row: Ints, column: Ints, run: Ints, value: Floats
) -> Iterator[Block]:
    present, local = _renumbered(column, len(columns))
    runs = int(run.max()) + 1 if len(run) else 0
    width = max(1, _MAX_CELLS // max(1, len(cohort.rows) * runs))
    for start in range(0, len(present), width):
        chosen = present[start : start + width]
        inside = (local >= start) & (local < start + width)
        cube = np.full((len(cohort.rows), len(chosen), runs), np.nan)
        cube[row[inside], local[inside] - start, run[inside]] = value[inside]
        yield Block(cohort, tuple(columns[number] for number in chosen.tolist()), cube)


def _renumbered(numbers: Ints, size: int) -> tuple[Ints, Ints]:
    """The different numbers (below `size`) in order, and each number's place among them."""
    used = np.zeros(size, dtype=np.int64)
    used[numbers] = 1
    return np.flatnonzero(used), (np.cumsum(used) - 1)[numbers]
