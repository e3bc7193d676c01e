"""Measurements as CSV: `node,group,metric,unit,better,run,value`, one value a line."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from edeploy.errors import EdeployError
from edeploy.health.bulk import Lines, split
from edeploy.health.documents import better
from edeploy.health.evidence import MAX_NAME, Gatherer, clean
from edeploy.health.measurements import Ints

_NEEDED = ("node", "metric", "value")
_MAY = ("group", "unit", "better", "run")
# What the CSV of an analysis has and measurements have not.
_OF_RESULTS = "verdict"
_FIRST_LINE = 2
_MAX_LINE = 1 << 20
_CHUNK = 1 << 23
_QUOTE = b'"'
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
    """Take in a CSV file, some million bytes at a time. Raises BadTable, OSError."""
    with path.open("rb") as stream:
        first = stream.readline(_MAX_LINE).decode("utf-8-sig", "replace").rstrip("\r\n")
        delimiter = max(_DELIMITERS, key=first.count)
        header = _header(first, delimiter)
        if _OF_RESULTS in header:
            gatherer.problem(path.name, "the result of an earlier analysis: left out")
            return
        table = _Table(path.name, delimiter, _places(header), _Names(gatherer), gatherer)
        line = _FIRST_LINE
        for chunk in _chunks(stream):
            table.take(chunk, line)
            line += chunk.count(b"\n")


def _header(line: str, delimiter: str) -> list[str]:
    try:
        names = next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error as error:
        raise BadTable(f"the first line is no CSV: {error}", _FORM) from error
    return [name.strip().lower() for name in names]


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    """The file in parts of whole lines, each line ended by a line feed alone. From the first quote
    on, which may hold a line feed, all is one part."""
    while chunk := stream.read(_CHUNK):
        chunk += stream.readline()
        if _QUOTE in chunk:
            chunk += stream.read()
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        yield chunk if chunk.endswith(b"\n") else chunk + b"\n"


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


@dataclass(frozen=True)
class _Table:
    """Takes in the lines of one file."""

    name: str
    delimiter: str
    places: _Places
    names: _Names
    gatherer: Gatherer

    def take(self, chunk: bytes, line: int) -> None:
        """Take in whole lines, the first of which has this number: at once if all are well."""
        lines = None if _QUOTE in chunk else split(chunk, self.delimiter, self.places.width)
        if lines is None or not self._take_lines(lines):
            stream = io.StringIO(chunk.decode("utf-8", "replace"), newline="")
            for row in self._rows(csv.reader(stream, delimiter=self.delimiter)):
                self._take_row(row, line)
                line += 1

    def _take_lines(self, lines: Lines) -> bool:
        """Take in good lines; False, and nothing taken, when any line is not."""
        places, names = self.places, self.names
        try:
            value = lines.numbers(places.value)
        except ValueError:
            return False
        if not bool(((value > 0) & (value < np.inf)).all()):
            return False
        machine = _each(lines, (places.group, places.node), names.machines)
        metric = _each(lines, (places.metric, places.unit, places.better), names.metrics)
        run = _each(lines, (places.run,), names.runs)
        if int(machine.min()) < 0 or int(metric.min()) < 0:
            return False
        self.gatherer.extend(machine, metric, run, value)
        return True

    def _rows(self, rows: Iterator[list[str]]) -> Iterator[list[str]]:
        """The rows, an empty one for each that is no CSV."""
        while True:
            try:
                yield next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                reason = f"lines that are no CSV ({error}): left out"
                self.gatherer.problem(self.name, reason)
                yield []

    def _take_row(self, row: list[str], line: int) -> None:
        places = self.places
        if not row:
            return
        if len(row) <= max(places.node, places.metric, places.value):
            self._left_out("lines with too few columns", f"line {line}")
            return
        group, unit, direction, run = (
            "" if place is None or place >= len(row) else row[place]
            for place in (places.group, places.unit, places.better, places.run)
        )
        (machine,) = self.names.machines([(group, row[places.node])])
        (metric,) = self.names.metrics([(row[places.metric], unit, direction)])
        (when,) = self.names.runs([(run,)])
        if machine < 0 or metric < 0:
            self._left_out("lines without a usable node or metric", f"line {line}")
            return
        text = row[places.value]
        if not self.gatherer.add(machine, metric, when, _number(text)):
            told = clean(text)[:40]
            self._left_out("values that are no number above 0", f"line {line}: {told!r}")
            self.gatherer.remark(machine, f"{clean(row[places.metric])} is {told!r}: left out")

    def _left_out(self, what: str, where: str) -> None:
        self.gatherer.problem(self.name, f"{what}: left out", where)


def _each(
    lines: Lines,
    columns: tuple[int | None, ...],
    numbers: Callable[[list[tuple[str, ...]]], list[int]],
) -> Ints:
    """The number of each line's name. The name is the fields of these columns, empty where there is
    no such column; `numbers` gives those of some names."""
    there = [column for column in columns if column is not None]
    if not there:
        return np.repeat(np.array(numbers([("",) * len(columns)]), dtype=np.int64), len(lines))
    first, kind = lines.distinct(there)
    names = [
        tuple("" if column is None else lines.field(line, column) for column in columns)
        for line in first.tolist()
    ]
    found: Ints = np.array(numbers(names), dtype=np.int64)[kind]
    return found


@dataclass
class _Names:
    """Numbers of names, each of which is looked at once. -1 for one that is not usable."""

    gatherer: Gatherer
    _machines: dict[tuple[str, ...], int] = field(default_factory=dict)
    _metrics: dict[tuple[str, ...], int] = field(default_factory=dict)
    _runs: dict[tuple[str, ...], int] = field(default_factory=dict)

    def machines(self, names: Sequence[tuple[str, ...]]) -> list[int]:
        """Numbers of (group, node)."""
        return [_known(self._machines, name, self._machine) for name in names]

    def metrics(self, names: Sequence[tuple[str, ...]]) -> list[int]:
        """Numbers of (metric, unit, better)."""
        return [_known(self._metrics, name, self._metric) for name in names]

    def runs(self, names: Sequence[tuple[str, ...]]) -> list[int]:
        """Numbers of (run,)."""
        return [_known(self._runs, name, self._run) for name in names]

    def _machine(self, group: str, node: str) -> int:
        name = clean(node)
        if not 0 < len(name) <= MAX_NAME:
            return -1
        return self.gatherer.machine(name, clean(group)[:MAX_NAME])

    def _metric(self, label: str, unit: str, direction: str) -> int:
        name = clean(label)
        if not 0 < len(name) <= MAX_NAME:
            return -1
        return self.gatherer.metric(name, clean(unit)[:MAX_NAME], better(direction))

    def _run(self, label: str) -> int:
        return self.gatherer.run(clean(label)[:MAX_NAME])


def _known(
    numbers: dict[tuple[str, ...], int], name: tuple[str, ...], new: Callable[..., int]
) -> int:
    number = numbers.get(name)
    if number is None:
        number = numbers[name] = new(*name)
    return number


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
