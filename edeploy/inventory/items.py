"""Reports: all that is known of one machine at one time, as (type, id, key, value) items."""

from __future__ import annotations

import ast
import json
import os
import re
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from edeploy.errors import EdeployError

MAX_REPORT_BYTES = 1 << 20
MAX_LITERAL_BYTES = MAX_REPORT_BYTES // 2
MAX_SHOWN_BYTES = 4 * MAX_REPORT_BYTES
"""What `edeploy machine show --json` prints: a report with line breaks, and more beside it."""
_FORM = "A report is a list of rows, each with 4 items: type, id, key, value."

# Serial numbers in firmware hold what was in the flash chip: such characters break terminals,
# databases and JSON. Tab and line feed are in real values and harmless.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class BadReport(EdeployError):
    """A report that is too large, no JSON, or has a row of another form."""


class Item(NamedTuple):
    """One fact about a machine, such as ('disk', 'sda', 'size', '899')."""

    type: str
    id: str
    key: str
    value: str


@dataclass(frozen=True)
class Report:
    """All items of one machine, in the order in which they were found."""

    items: tuple[Item, ...]

    @cached_property
    def lines(self) -> dict[tuple[str, str], list[int]]:
        """Where (type, key) stands: indexes into `items`, ascending."""
        found: dict[tuple[str, str], list[int]] = {}
        for number, item in enumerate(self.items):
            found.setdefault((item[0], item[2]), []).append(number)
        return found

    @cached_property
    def keys(self) -> dict[str, list[str]]:
        """The keys that each type has, in the order in which they were found."""
        found: dict[str, list[str]] = {}
        for kind, key in self.lines:
            found.setdefault(kind, []).append(key)
        return found

    @cached_property
    def answered(self) -> dict[str, tuple[int, list[int]]]:
        """For those who put the same questions to it many times: by question, what finding the
        answer took (in steps of their own) and the lines.
        """
        return {}

    # `type`, `id`: the format's own words, worth more here than the built-in functions.
    def value(self, type: str, id: str, key: str) -> str | None:  # noqa: A002
        """The value of the first such item, or None."""
        for number in self.lines.get((type, key), ()):
            if self.items[number].id == id:
                return self.items[number].value
        return None

    def all(
        self,
        type: str | None = None,  # noqa: A002
        id: str | None = None,  # noqa: A002
        key: str | None = None,
    ) -> list[Item]:
        """The items with these fields, in order; None stands for any."""
        return [
            item
            for item in self.items
            if (type is None or item.type == type)
            and (id is None or item.id == id)
            and (key is None or item.key == key)
        ]

    def rows(self) -> list[list[str]]:
        """The JSON form: a list of rows of 4 strings."""
        return [list(item) for item in self.items]


def parse_report(data: bytes) -> Report:
    """The report in an upload: a JSON list of rows. Raises BadReport."""
    _check_size(len(data))
    try:
        rows: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadReport(f"the report is not JSON: {error}", _FORM) from error
    return report_of(rows, "the report")


def read_report(path: str | os.PathLike[str]) -> Report:
    """The report in a file: JSON, or a Python literal as in old `.hw` files. Raises BadReport.

    Also what `edeploy machine show NAME --json` prints, with or without `--facts`.
    """
    try:
        with open(path, "rb") as stream:
            data = stream.read(MAX_SHOWN_BYTES + 1)
    except OSError as error:
        raise BadReport(f"{os.fspath(path)}: {error.strerror}") from error
    if len(data) > MAX_SHOWN_BYTES or not data.startswith(b"{"):
        _check_size(len(data))
    found = _rows(data, Path(path))
    if isinstance(found, dict):
        found = found.get("items", found.get("report", found))
    return report_of(found, os.fspath(path))


def _rows(data: bytes, path: Path) -> object:
    try:
        parsed: object = json.loads(data)
        return parsed
    except (ValueError, RecursionError):
        pass
    if len(data) > MAX_LITERAL_BYTES:
        raise BadReport(f"{path}: not JSON, and too large for an old .hw file", _FORM)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            literal: object = ast.literal_eval(data.decode("utf-8-sig").strip())
        return literal
    except SyntaxError as error:
        place = f"{path}:{error.lineno or 1}:{error.offset or 1}"
        raise BadReport(f"{place}: neither JSON nor a Python literal: {error.msg}") from error
    except (ValueError, TypeError, RecursionError, MemoryError) as error:
        raise BadReport(f"{path}: neither JSON nor a Python literal", _FORM) from error


def _check_size(size: int) -> None:
    if size > MAX_REPORT_BYTES:
        raise BadReport(
            f"the report is too large: more than {MAX_REPORT_BYTES} bytes",
            "A report of a large server has about 100 kB; find out which probe says so much.",
        )


def report_of(rows: object, where: str) -> Report:
    """The report that rows of 4 are; `where` is for messages. Raises BadReport."""
    if not isinstance(rows, (list, tuple)):
        raise BadReport(f"{where} is a {type(rows).__name__}, not a list of rows", _FORM)
    return Report(tuple(_item(row, number, where) for number, row in enumerate(rows, 1)))


def _item(row: object, number: int, where: str) -> Item:
    if not isinstance(row, (list, tuple)):
        raise BadReport(f"{where}, row {number}: a {type(row).__name__}, not a row", _FORM)
    if len(row) != 4:
        raise BadReport(f"{where}, row {number}: {len(row)} items instead of 4", _FORM)
    return Item(*(_text(field, number, where) for field in row))


def _text(field: object, number: int, where: str) -> str:
    if not isinstance(field, (str, int, float)):
        raise BadReport(
            f"{where}, row {number}: a {type(field).__name__} where text or a number belongs", _FORM
        )
    try:
        return _UNPRINTABLE.sub("\ufffd", str(field))
    except ValueError as error:  # an integer of more digits than Python prints
        raise BadReport(f"{where}, row {number}: {error}", _FORM) from error
