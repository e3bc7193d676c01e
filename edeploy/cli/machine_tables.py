"""The answers of the operators' API as tables for a terminal."""

from rich.console import Console

from edeploy.cli import hardware_tables, health_tables
from edeploy.cli.cells import Row, ago, as_row, as_rows, at, new_table, seconds, text

STYLES = {
    "active": "green",
    "failed": "bold red",
    "rejected": "red",
    "testing": "yellow",
    "installing": "yellow",
    "upgrading": "yellow",
    "reserved": "yellow",
}


def listing(answer: object) -> None:
    """All machines, a line each."""
    rows = as_rows(answer)
    if not rows:
        Console().print("No machine has reported yet.")
        return
    table = new_table("machine", "state", "since", "phase", "profile", "runs", "hostname", "serial")
    for row in rows:
        role = f"{row['role']} {row['version']}" if row["role"] else ""
        cells = (row["profile"], role, row["hostname"], row["serial"])
        table.add_row(
            text(row["name"]),
            _state(row),
            ago(row["since"]),
            _phase_cell(row),
            *(text(cell) for cell in cells),
        )
    Console().print(table)
    for row in rows:
        if row["reason"]:
            Console(soft_wrap=True).print(f"[red]{text(row['name'])}[/red]: {text(row['reason'])}")
        if row["hold"]:
            reason = text(row["hold"]).partition("\n")[0]
            Console(soft_wrap=True).print(
                f"[red]{text(row['name'])}[/red] is held: {reason} (show)"
            )


def one(answer: object) -> None:
    """All about one machine."""
    row = as_row(answer)
    console = Console()
    console.print(f"[bold]{text(row['name'])}[/bold] is {_state(row)} since {at(row['since'])}")
    facts = new_table("", "", header=False)
    for key in (
        "profile role version hostname address serial uuid macs kernel power deadline last_seen "
        "failed_from phase reason disk_touched on_success on_failure"
    ).split():
        if row[key] not in (None, "", []):
            value = at(row[key]) if key in ("deadline", "last_seen") else text(row[key])
            facts.add_row(key.replace("_", " "), value)
    for held in as_rows(row["holds"]):
        said = f"{text(held['name'])} of {text(held['profile'])}, {text(held['why'])}"
        facts.add_row("CMDB entry", f"{said} {at(held['since'])}")
    console.print(facts)
    if row["hold"]:
        console.print(f"\n[bold red]held[/bold red]\n{text(row['hold'])}")
    health_tables.of_machine(console, row["health"])
    if row["why"]:
        console.print(f"\n[bold]match[/bold]\n{text(row['why'])}")
    lease = row["lease"]
    if isinstance(lease, dict):
        console.print(f"\n[bold]lease[/bold] {text(lease['profile'])}, {text(lease['state'])}")
        values = new_table("", "", header=False)
        for key, value in sorted(lease["vars"].items()):
            values.add_row(text(key), text(value))
        console.print(values)
        if lease["plan"]:
            console.print(f"\n[bold]plan[/bold]\n{text(lease['plan'].get('text'))}")
    _phases(console, row["phases"])
    hardware_tables.known_by(console, row)


def history(answer: object) -> None:
    """Attempts with phases and lines, then the events."""
    row = as_row(answer)
    console = Console()
    console.print(f"[bold]{text(row['name'])}[/bold] is {_state(row)}")
    for attempt in as_rows(row["attempts"]):
        console.print(f"\n[bold]attempt {attempt['number']}[/bold], {at(attempt['started'])}")
        _phases(console, attempt["phases"])
        for line in as_rows(attempt["log"]):
            words = f"{at(line['at'])} {text(line['phase'])}: {text(line['text'])}"
            console.print(words, soft_wrap=True)
    console.print("\n[bold]events[/bold]")
    for event in as_rows(row["events"]):
        words = f"{at(event['at'])} {text(event['kind'])}: {text(event['text'])}"
        console.print(words, soft_wrap=True)


def power(answer: object) -> None:
    """A machine's power after an order."""
    row = as_row(answer)
    Console().print(f"{text(row['name'])}: power is {text(row['power'])}")


def reinstalled(answer: object) -> None:
    """What is left to do for a reinstall."""
    changed(answer)
    name = text(as_row(answer)["name"])
    Console().print(f"It begins at its next network boot: edeploy machine power cycle {name}")


def changed(answer: object) -> None:
    """A machine's new state."""
    row = as_row(answer)
    Console().print(f"{text(row['name'])} is {_state(row)}")


def all_changed(answer: object) -> None:
    """The new states of several machines."""
    for row in as_rows(answer):
        changed(row)


def settings(answer: object) -> None:
    """A machine's own endings."""
    row = as_row(answer)
    row = {**row, "health": as_row(row["health"]).get("wanted")}
    shown = " ".join(
        f"{key}={row[key] or '(profile)'}" for key in ("on_success", "on_failure", "health")
    )
    Console().print(f"{text(row['name'])}: {text(shown)}")


def _phases(console: Console, phases: object) -> None:
    table = new_table("phase", "began", "seconds", "by the node", "done", "")
    rows = as_rows(phases)
    for row in rows:
        table.add_row(
            text(row["name"]),
            at(row["started"]),
            seconds(row["elapsed"]),
            seconds(row["seconds"]),
            _progress(row),
            f"[red]{text(row['reason'])}[/red]" if row["failed"] else "",
        )
    if rows:
        console.print(table)


def _phase_cell(row: Row) -> str:
    return f"{text(row['phase'])} {_progress(row)}".strip()


def _progress(row: Row) -> str:
    done, total = row["done"], row["total"]
    if not isinstance(done, int) or not isinstance(total, int) or total <= 0:
        return ""
    if row["unit"] == "bytes":
        return f"{done / 1e6:.0f} of {total / 1e6:.0f} MB"
    return f"{done} of {total} {row['unit'] or ''}".strip()


def _state(row: Row) -> str:
    state = text(row["state"])
    style = STYLES.get(state)
    shown = f"[{style}]{state}[/{style}]" if style else state
    return f"{shown}, [red]held[/red]" if row.get("hold") else shown
