"""Cells and tables for a terminal, of what the server answers."""

import time
from collections.abc import Iterable, Mapping
from datetime import datetime

from rich.markup import escape
from rich.table import Table

Row = Mapping[str, object]


def new_table(*columns: str, header: bool = True) -> Table:
    """A table without lines; what is too long goes on below."""
    table = Table(box=None, show_header=header, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def text(value: object) -> str:
    """A value as it is, for rich; lists with commas, None as nothing."""
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(text(item) for item in value)
    return escape(str(value))


def at(value: object) -> str:
    """Unix seconds as date and time of here."""
    if not isinstance(value, int | float):
        return ""
    return datetime.fromtimestamp(value).strftime("%Y-%m-%d %H:%M:%S")


def ago(value: object) -> str:
    """How long ago, in the largest unit that fits."""
    if not isinstance(value, int | float):
        return ""
    seconds = max(int(time.time() - value), 0)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def seconds(value: object) -> str:
    """Seconds to a tenth."""
    return f"{value:.1f}" if isinstance(value, int | float) else ""


def as_rows(answer: object) -> list[Row]:
    """The objects in a list of them."""
    return list(_dicts(answer)) if isinstance(answer, list) else []


def _dicts(rows: Iterable[object]) -> Iterable[Row]:
    return (row for row in rows if isinstance(row, dict))


def as_row(answer: object) -> Row:
    """The object itself; an empty one when it is none."""
    return answer if isinstance(answer, dict) else {}
