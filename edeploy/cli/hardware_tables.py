"""Hardware for a terminal: marks, facts, and what differs."""

from collections.abc import Sequence

from rich.console import Console

from edeploy.cli.cells import Row, as_row, as_rows, at, new_table, text
from edeploy.errors import EdeployError
from edeploy.inventory.changes import Fact
from edeploy.server.client import JsonObject

SIGNS = {"gone": "[red]-[/red]", "new": "[green]+[/green]", "changed": "~", "renamed": "~"}


def known_by(console: Console, row: Row) -> None:
    """The marks of a machine, how its last report was known, how many reports there are."""
    table = new_table("known by", "", "since", "also in")
    for mark in as_rows(row["marks"]):
        cells = (text(mark["kind"]), text(mark["value"]), at(mark["since"]), text(mark["also"]))
        table.add_row(*cells)
    console.print()
    console.print(table)
    console.print(_score(as_row(row["verdict"])))
    if row["in_doubt"]:
        console.print(f"[red]may be this machine as well, and held:[/red] {text(row['in_doubt'])}")
    reports, items = as_rows(row["reports"]), row["report"]
    if reports:
        console.print(
            f"report {text(reports[0]['id'])}, {at(reports[0]['last'])}: "
            f"{len(items) if isinstance(items, list) else 0} items (--facts); "
            f"reports kept since {at(reports[-1]['first'])}: "
            f"{', '.join(text(one['id']) for one in reports)} (diff)"
        )


def chosen(machine: JsonObject, part: Sequence[str]) -> JsonObject:
    """The items of the last report with this type and id. Raises EdeployError without any."""
    rows = [row for row in _lists(machine["report"]) if row[: len(part)] == list(part)]
    if part and not rows:
        types = sorted({row[0] for row in _lists(machine["report"])})
        raise EdeployError(
            f"{machine['name']} reported nothing of {' '.join(part)}",
            f"Types: {', '.join(types) or 'none'}.",
        )
    reports = as_rows(machine["reports"])
    return {
        "name": machine["name"],
        "report": dict(reports[0]) if reports else None,
        "items": rows,
    }


def facts(answer: object) -> None:
    """Items, a part below the other."""
    row = as_row(answer)
    report = as_row(row["report"])
    console = Console()
    if report:
        console.print(
            f"[bold]{text(row['name'])}[/bold], report {text(report['id'])} of {at(report['last'])}"
        )
    parts: dict[tuple[str, str], list[list[str]]] = {}
    for item in _lists(row["items"]):
        parts.setdefault((item[0], item[1]), []).append(item)
    table = new_table("", "", "", "", header=False)
    for (kind, name), items in parts.items():
        for number, item in enumerate(items):
            head = (kind, name) if number == 0 else ("", "")
            table.add_row(*(text(cell) for cell in (*head, item[2], item[3])))
    console.print(table)


def difference(answer: object) -> None:
    """Two reports, and what differs."""
    row = as_row(answer)
    old, new = as_row(row["from"]), as_row(row["to"])
    console = Console()
    console.print(f"from {_side(old)}\nto   {_side(new)}")
    if old == new:
        console.print("There is no other report: nothing has changed since the first.")
        return
    table = new_table("", "part", "fact", "before", "after")
    for change in as_rows(row["changes"]):
        names = [str(name) for name in (change["before"], change["after"]) if name]
        part = f"{change['type']} {' → '.join(dict.fromkeys(names))}"
        rows = _facts(change)
        for number, cells in enumerate(rows or [("", "", "")]):
            head = (SIGNS[str(change["change"])], text(part)) if number == 0 else ("", "")
            table.add_row(*head, *(text(cell) for cell in cells))
    if table.row_count:
        console.print(table)
    else:
        console.print("nothing differs" if row["all"] else "nothing differs (--all: all is shown)")


def _score(verdict: Row) -> str:
    if not verdict:
        return "its last report was before marks were scored"
    same = as_row(verdict["same"])
    if not same:
        return f"{at(verdict['at'])}: its first report"
    evidence = ", ".join(
        f"{text(one['text'])} {_signed(one['points'])}" for one in as_rows(same["evidence"])
    )
    return f"{at(verdict['at'])}: known by {text(same['points'])} points: {evidence}"


def _signed(points: object) -> str:
    return f"{points:+d}" if isinstance(points, int) else ""


def _side(side: Row) -> str:
    first, last = at(side["first"]), at(side["last"])
    when = first if first == last else f"{first} to {last}"
    return f"[bold]{text(side['machine'])}[/bold], report {text(side['report'])}, {when}"


def _facts(change: Row) -> list[tuple[str, str, str]]:
    found = []
    for row in as_rows(change["facts"]):
        before, after = (
            str(row[key]) if row[key] is not None else None for key in ("before", "after")
        )
        found.append((str(row["key"]), *Fact(str(row["key"]), before, after).shown()))
    return found


def _lists(rows: object) -> list[list[str]]:
    return [row for row in rows if isinstance(row, list)] if isinstance(rows, list) else []
