"""Measurements as CSV: `node,group,metric,unit,better,run,value`, one value a line."""

from __future__ import annotations

import csv
import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from edeploy.errors import EdeployError
from edeploy.health.documents import better
from edeploy.health.evidence import MAX_NAME, Gatherer, clean

_NEEDED = ("node", "metric", "value")
_MAY = ("group", "unit", "better", "run")
# What the CSV of an analysis has and measurements have not.
_OF_RESULTS = "verdict"
_FIRST_LINE = 2
_BATCH = 50_000
_DELIMITERS = ",;\t"
_FORM = (
    "The first line names the columns: node, metric, value; group, unit, better, run may follow."
)


class BadTable(EdeployError):
    """A CSV without the columns that measurements need."""


@dataclass(frozen=True)
class _Places:
    """Where each column stands; None for one that is not there. `width` is how many there are."""

    width: int
    node: int
    metric: int
    value: int
    group: int | None
    unit: int | None
    better: int | None
    run: int | None


def take_table(path: Path, gatherer: Gatherer) -> None:
    """Take in a CSV file, read line by line. Raises BadTable, OSError."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        first = stream.readline()
        delimiter = max(_DELIMITERS, key=first.count)
        header = [
            name.strip().lower() for name in next(csv.reader([first], delimiter=delimiter), [])
        ]
        if _OF_RESULTS in header:
            gatherer.problem(str(path), "the result of an earlier analysis: left out")
            return
        rows = _readable(str(path), csv.reader(stream, delimiter=delimiter), gatherer)
        _take_rows(str(path), rows, _places(header), gatherer)


def _places(header: Sequence[str]) -> _Places:
    missing = [name for name in _NEEDED if name not in header]
    if missing:
        raise BadTable(f"no column {', '.join(missing)}", _FORM)
    where = {name: header.index(name) for name in (*_NEEDED, *_MAY) if name in header}
    return _Places(
        width=len(header),
        node=where["node"],
        metric=where["metric"],
        value=where["value"],
        group=where.get("group"),
        unit=where.get("unit"),
        better=where.get("better"),
        run=where.get("run"),
    )


def _take_rows(name: str, rows: Iterator[list[str]], places: _Places, gatherer: Gatherer) -> None:
    """Take rows in by batches: a batch in which all is well costs no look at each row."""
    names = _Names(gatherer)
    line = _FIRST_LINE
    while batch := list(islice(rows, _BATCH)):
        if not _take_batch(batch, places, names, gatherer):
            for number, row in enumerate(batch, line):
                _take_row(name, number, row, places, names, gatherer)
        line += len(batch)


def _readable(name: str, rows: Iterator[list[str]], gatherer: Gatherer) -> Iterator[list[str]]:
    """The rows, an empty one for each that is no CSV."""
    while True:
        try:
            yield next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            gatherer.problem(name, f"lines that are no CSV ({error}): left out")
            yield []


def _take_batch(batch: list[list[str]], places: _Places, names: _Names, gatherer: Gatherer) -> bool:
    """Take in a batch of good rows; False, and nothing taken, when any row is not."""
    if any(len(row) != places.width for row in batch):
        return False
    columns = list(zip(*batch, strict=True))
    empty = ("",) * len(batch)
    group, unit, direction, run = (
        empty if place is None else columns[place]
        for place in (places.group, places.unit, places.better, places.run)
    )
    try:
        value = array("d", map(float, columns[places.value]))
    except ValueError:
        return False
    figures = np.frombuffer(value)
    if not bool(((figures > 0) & (figures < np.inf)).all()):
        return False
    machine = names.machines(zip(group, columns[places.node], strict=True))
    metric = names.metrics(zip(columns[places.metric], unit, direction, strict=True))
    if min(machine) < 0 or min(metric) < 0:
        return False
    gatherer.extend(machine, metric, names.runs(run), value)
    return True


def _take_row(
    name: str, line: int, row: list[str], places: _Places, names: _Names, gatherer: Gatherer
) -> None:
    if not row:
        return
    if len(row) <= max(places.node, places.metric, places.value):
        gatherer.problem(name, "lines with too few columns: left out", f"line {line}")
        return
    group, unit, direction, run = (
        "" if place is None or place >= len(row) else row[place]
        for place in (places.group, places.unit, places.better, places.run)
    )
    (machine,) = names.machines([(group, row[places.node])])
    (metric,) = names.metrics([(row[places.metric], unit, direction)])
    (when,) = names.runs([run])
    if machine < 0 or metric < 0:
        gatherer.problem(name, "lines without a usable node or metric: left out", f"line {line}")
        return
    text = row[places.value]
    if not gatherer.add(machine, metric, when, _number(text)):
        told = clean(text)[:40]
        reason = "values that are no number above 0: left out"
        gatherer.problem(name, reason, f"line {line}: {told!r}")
        gatherer.remark(machine, f"{clean(row[places.metric])} is {told!r}: left out")


@dataclass
class _Names:
    """Numbers of names, each of which is looked at once."""

    gatherer: Gatherer
    _machines: dict[tuple[str, str], int] = field(default_factory=dict)
    _metrics: dict[tuple[str, str, str], int] = field(default_factory=dict)
    _runs: dict[str, int] = field(default_factory=dict)

    def machines(self, keys: Iterable[tuple[str, str]]) -> array[int]:
        """Numbers of (group, node); -1 for one without a usable name."""
        wanted = list(keys)
        for group, node in dict.fromkeys(wanted):
            if (group, node) not in self._machines:
                self._machines[(group, node)] = _machine(node, group, self.gatherer)
        return array("i", map(self._machines.__getitem__, wanted))

    def metrics(self, keys: Iterable[tuple[str, str, str]]) -> array[int]:
        """Numbers of (metric, unit, better); -1 for one without a usable name."""
        wanted = list(keys)
        for key in dict.fromkeys(wanted):
            if key not in self._metrics:
                self._metrics[key] = _metric(*key, self.gatherer)
        return array("i", map(self._metrics.__getitem__, wanted))

    def runs(self, labels: Sequence[str]) -> array[int]:
        """Numbers of runs' names."""
        for label in dict.fromkeys(labels):
            if label not in self._runs:
                self._runs[label] = self.gatherer.run(clean(label)[:MAX_NAME])
        return array("i", map(self._runs.__getitem__, labels))


def _machine(node: str, group: str, gatherer: Gatherer) -> int:
    name = clean(node)
    return gatherer.machine(name, clean(group)[:MAX_NAME]) if 0 < len(name) <= MAX_NAME else -1


def _metric(label: str, unit: str, direction: str, gatherer: Gatherer) -> int:
    name = clean(label)
    if not 0 < len(name) <= MAX_NAME:
        return -1
    return gatherer.metric(name, clean(unit)[:MAX_NAME], better(direction))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
