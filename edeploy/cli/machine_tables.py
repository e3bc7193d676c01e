"""The answers of the operators' API as tables for a terminal."""

import time
from collections.abc import Iterable, Mapping
from datetime import datetime

from rich.console import Console
from rich.markup import escape
from rich.table import Table

Row = Mapping[str, object]

STYLES = {
    "active": "green",
    "failed": "bold red",
    "rejected": "red",
    "installing": "yellow",
    "reserved": "yellow",
}


def listing(answer: object) -> None:
    """All machines, a line each."""
    rows = _rows(answer)
    if not rows:
        Console().print("No machine has reported yet.")
        return
    table = _table("machine", "state", "since", "phase", "profile", "runs", "hostname", "serial")
    for row in rows:
        role = f"{row['role']} {row['version']}" if row["role"] else ""
        cells = (row["profile"], role, row["hostname"], row["serial"])
        table.add_row(
            _text(row["name"]),
            _state(row),
            _ago(row["since"]),
            _phase_cell(row),
            *(_text(cell) for cell in cells),
        )
    Console().print(table)
    for row in rows:
        if row["reason"]:
            Console().print(f"[red]{_text(row['name'])}[/red]: {_text(row['reason'])}")


def one(answer: object) -> None:
    """All about one machine."""
    row = _row(answer)
    console = Console()
    console.print(f"[bold]{_text(row['name'])}[/bold] is {_state(row)} since {_at(row['since'])}")
    facts = _table("", "", header=False)
    for key in (
        "profile role version hostname address serial uuid macs kernel power deadline last_seen "
        "failed_from phase reason disk_touched on_success on_failure"
    ).split():
        if row[key] not in (None, "", []):
            value = _at(row[key]) if key in ("deadline", "last_seen") else _text(row[key])
            facts.add_row(key.replace("_", " "), value)
    console.print(facts)
    if row["why"]:
        console.print(f"\n[bold]match[/bold]\n{_text(row['why'])}")
    lease = row["lease"]
    if isinstance(lease, dict):
        console.print(f"\n[bold]lease[/bold] {_text(lease['profile'])}, {_text(lease['state'])}")
        values = _table("", "", header=False)
        for key, value in sorted(lease["vars"].items()):
            values.add_row(_text(key), _text(value))
        console.print(values)
        if lease["plan"]:
            console.print(f"\n[bold]plan[/bold]\n{_text(lease['plan'].get('text'))}")
    _phases(console, row["phases"])
    items = row["report"]
    console.print(f"\n{len(items) if isinstance(items, list) else 0} items reported (--json)")


def history(answer: object) -> None:
    """Attempts with phases and lines, then the events."""
    row = _row(answer)
    console = Console()
    console.print(f"[bold]{_text(row['name'])}[/bold] is {_state(row)}")
    for attempt in _rows(row["attempts"]):
        console.print(f"\n[bold]attempt {attempt['number']}[/bold], {_at(attempt['started'])}")
        _phases(console, attempt["phases"])
        for line in _rows(attempt["log"]):
            console.print(f"{_at(line['at'])} {_text(line['phase'])}: {_text(line['text'])}")
    console.print("\n[bold]events[/bold]")
    for event in _rows(row["events"]):
        console.print(f"{_at(event['at'])} {_text(event['kind'])}: {_text(event['text'])}")


def power(answer: object) -> None:
    """A machine's power after an order."""
    row = _row(answer)
    Console().print(f"{_text(row['name'])}: power is {_text(row['power'])}")


def reinstalled(answer: object) -> None:
    """What is left to do for a reinstall."""
    changed(answer)
    name = _text(_row(answer)["name"])
    Console().print(f"It begins at its next network boot: edeploy machine power cycle {name}")


def changed(answer: object) -> None:
    """A machine's new state."""
    row = _row(answer)
    Console().print(f"{_text(row['name'])} is {_state(row)}")


def settings(answer: object) -> None:
    """A machine's own endings."""
    row = _row(answer)
    shown = " ".join(f"{key}={row[key] or '(profile)'}" for key in ("on_success", "on_failure"))
    Console().print(f"{_text(row['name'])}: {_text(shown)}")


def _phases(console: Console, phases: object) -> None:
    table = _table("phase", "began", "seconds", "by the node", "done", "")
    rows = _rows(phases)
    for row in rows:
        table.add_row(
            _text(row["name"]),
            _at(row["started"]),
            _seconds(row["elapsed"]),
            _seconds(row["seconds"]),
            _progress(row),
            f"[red]{_text(row['reason'])}[/red]" if row["failed"] else "",
        )
    if rows:
        console.print(table)


def _phase_cell(row: Row) -> str:
    return f"{_text(row['phase'])} {_progress(row)}".strip()


def _progress(row: Row) -> str:
    done, total = row["done"], row["total"]
    if not isinstance(done, int) or not isinstance(total, int) or total <= 0:
        return ""
    if row["unit"] == "bytes":
        return f"{done / 1e6:.0f} of {total / 1e6:.0f} MB"
    return f"{done} of {total} {row['unit'] or ''}".strip()


def _state(row: Row) -> str:
    state = _text(row["state"])
    style = STYLES.get(state)
    return f"[{style}]{state}[/{style}]" if style else state


def _table(*columns: str, header: bool = True) -> Table:
    table = Table(box=None, show_header=header, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    return escape(str(value))


def _at(value: object) -> str:
    if not isinstance(value, int | float):
        return ""
    return datetime.fromtimestamp(value).strftime("%Y-%m-%d %H:%M:%S")


def _ago(value: object) -> str:
    if not isinstance(value, int | float):
        return ""
    seconds = max(int(time.time() - value), 0)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _seconds(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, int | float) else ""


def _rows(answer: object) -> list[Row]:
    return list(_dicts(answer)) if isinstance(answer, list) else []


def _dicts(rows: Iterable[object]) -> Iterable[Row]:
    return (row for row in rows if isinstance(row, dict))


def _row(answer: object) -> Row:
    return answer if isinstance(answer, dict) else {}
