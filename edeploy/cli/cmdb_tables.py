"""CMDB entries as tables for a terminal."""

from collections import Counter

from rich.console import Console

from edeploy.cli.cells import Row, as_row, as_rows, at, new_table, text

STYLES = {"free": "green", "waiting": "yellow", "used": "yellow", "shared": "yellow"}
NOTES = {
    "waiting": "a machine of the old installation, not seen yet",
    "used": "marked `used` in the file",
    "shared": "has a value of another entry of",
}


def expanded(answer: object) -> None:
    """The entries of a file, a column a field."""
    rows = as_rows(list(answer) if isinstance(answer, tuple) else answer)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = new_table("", *(text(column) for column in columns))
    for number, row in enumerate(rows, 1):
        table.add_row(str(number), *(text(row.get(column)) for column in columns))
    Console().print(table)


def listing(answer: object) -> None:
    """Entries, a line each, and how many are free."""
    rows = as_rows(answer)
    if not rows:
        Console().print("No profile has a CMDB.")
        return
    table = new_table("profile", "", "entry", "held by", "state", "since", "why")
    for row in rows:
        table.add_row(
            text(row["profile"]),
            text(row["number"]),
            text(row["name"]),
            _holder(row),
            _state(row),
            at(row["since"]),
            text(row["why"]),
        )
    Console().print(table)
    free = Counter(row["profile"] for row in rows if row["status"] == "free")
    of = Counter(row["profile"] for row in rows if row["number"] is not None)
    counts = (f"{text(profile)} {free[profile]} of {count}" for profile, count in of.items())
    Console(soft_wrap=True).print(f"\nfree: {', '.join(counts)}")


def assigned(answer: object) -> None:
    """An entry in its machine's hands."""
    row = as_row(answer)
    told = f"{text(row['name'])} of {text(row['profile'])}"
    Console(soft_wrap=True).print(f"{told} is {text(row['machine'])}'s, from its next install on")


def released(answer: object) -> None:
    """What others may have now."""
    row = as_row(answer)
    freed = [f"{text(one['name'])} of {text(one['profile'])}" for one in as_rows(row["entries"])]
    if row["place"]:
        freed.append(f"a place of {text(row['place'])}")
    of = f" ({text(row['machine'])})" if row["machine"] else ""
    Console(soft_wrap=True).print(f"free for others{of}: {', '.join(freed)}")


def imported(answer: object) -> None:
    """What was taken over of old files, and what was not."""
    row = as_row(answer)
    for key, title, style in (("taken", "taken over", "green"), ("refused", "not taken", "red")):
        for one in as_rows(row[key]):
            what = f"{text(one['profile'])} {text(one['name'])}"
            Console(soft_wrap=True).print(f"[{style}]{title}[/{style}] {what}: {text(one['why'])}")
    broken = row["broken"]
    for problem in broken if isinstance(broken, list) else []:
        Console(soft_wrap=True).print(f"[red]not read[/red] {text(problem)}")
    if not row["taken"] and not row["refused"]:
        Console().print("No entry is marked `used`.")


def _holder(row: Row) -> str:
    status = text(row["status"])
    shown = NOTES.get(status, "" if row["machine"] else status)
    words = f"{shown} {text(row['machine'])}".strip()
    style = STYLES.get(status)
    return f"[{style}]{words}[/{style}]" if style else words


def _state(row: Row) -> str:
    """The machine's state; an entry that it will only get, or keeps, says so."""
    if row["status"] != "held":
        return ""
    notes = [] if row["lease"] else ["kept for it"]
    notes += [] if row["number"] is not None else ["no longer in the file"]
    told = f" ({', '.join(notes)})" if notes else ""
    return f"{text(row['state'])}{told}"
