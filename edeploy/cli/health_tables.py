"""Health tests as tables for a terminal."""

from rich.console import Console, Group, RenderableType
from rich.text import Text

from edeploy.cli.cells import Row, as_row, as_rows, at, new_table, text

STYLES = {"passed": "green", "rejected": "red", "running": "yellow", "waiting": "yellow"}


def of_machine(console: Console, answer: object) -> None:
    """A machine's newest test, and an operator's word for it."""
    health = as_row(answer)
    test, word = as_row(health.get("test")), as_row(health.get("accepted"))
    if test:
        began = at(test["began"])
        console.print(
            f"\n[bold]health[/bold] {text(test['profile'])} test of {began}: {_state(test)}"
        )
        if test["reason"]:
            console.print(text(test["reason"]))
    if word:
        until = f" until {at(word['until'])}" if word["until"] else ""
        who = text(word["by"]) or "an operator"
        console.print(f"accepted{until} by {who}, {at(word['at'])}: {text(word['reason'])}")


def history(answer: object) -> None:
    """All tests of one machine."""
    rows = as_rows(answer)
    if not rows:
        Console().print("It was never tested.")
        return
    table = new_table("test", "began", "profile", "state", "verdict", "runs", "reason")
    for row in rows:
        runs = sum(_whole(one["runs"]) for one in as_rows(row["rounds"]))
        cells = (row["id"], at(row["began"]), row["profile"])
        table.add_row(
            *(text(cell) for cell in cells),
            _state(row),
            text(row["verdict"]),
            str(runs),
            text(row["reason"]),
        )
    Console().print(table)


def watched(answer: object) -> RenderableType:
    """What is measured now, a machine a line."""
    rows = as_rows(answer)
    if not rows:
        return Text("No machine is tested.")
    table = new_table("machine", "test", "stage", "run", "done", "left", "last value", "")
    for row in rows:
        this = as_rows(row["rounds"])[-1] if as_rows(row["rounds"]) else {}
        news = as_row(this.get("progress"))
        done, total = news.get("stages_done"), news.get("stages_total")
        table.add_row(
            text(row["machine"]),
            text(row["profile"]),
            text(news.get("stage")),
            text(news.get("run")),
            f"{done} of {total}" if total else "",
            _left(news.get("seconds_left")),
            _value(news),
            _said(row, this),
        )
    return Group(table)


def watched_once(answer: object) -> None:
    """What is measured at this moment."""
    Console().print(watched(answer))


def compared(answer: object) -> None:
    """What machines lost since their first test."""
    found, console = as_row(answer), Console()
    table = new_table("machine", "metric", "at birth", "now", "loss", "its peers'", "limit")
    lost = [row for row in as_rows(found["drifts"]) if row["gone"]]
    for row in lost:
        cells = (row["machine"] if "machine" in row else row["node"], row["metric"])
        table.add_row(
            *(text(cell) for cell in cells),
            f"{_number(row['birth'])} {text(row['unit'])}",
            _number(row["now"]),
            f"[red]{_percent(row['loss'])}[/red]" if row["alone"] else _percent(row["loss"]),
            _percent(row["peers"]),
            _percent(row["limit"]),
        )
    if lost:
        console.print(table)
    for row in as_rows(found["machines"]):
        birth, now = as_row(row["birth"]), as_row(row["now"])
        word = "[red]drifted[/red]" if row["drifted"] else "as it was"
        since = f"{at(birth['at'])} and {at(now['at'])}"
        console.print(f"{text(row['machine'])}: {word} in {row['metrics']} metrics, of {since}")
    only = found["only_one_test"]
    if isinstance(only, list) and only:
        console.print(f"tested once, nothing to compare: {text(only)}")


def _said(row: Row, this: Row) -> str:
    if row["state"] == "waiting":
        return text(row["reason"])
    return "" if this.get("began") else "its next report begins it"


def _state(row: Row) -> str:
    state = text(row["state"])
    style = STYLES.get(state)
    return f"[{style}]{state}[/{style}]" if style else state


def _left(seconds: object) -> str:
    if not isinstance(seconds, int | float):
        return ""
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"


def _value(news: Row) -> str:
    value = news.get("value")
    return "" if value is None else f"{_number(value)} {text(news.get('unit'))}".rstrip()


def _number(value: object) -> str:
    if not isinstance(value, int | float):
        return ""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def _percent(share: object) -> str:
    return f"{100 * share:.1f} %" if isinstance(share, int | float) else ""


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
