"""What a person sees of machines on their way: a live table, or lines without a terminal."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.table import Table

from edeploy.server.client import JsonObject

_LINE_EVERY = 10.0
"""Seconds between two progress lines of one phase where there is no terminal."""


@dataclass(frozen=True)
class Shown:
    """How one machine stands, as the operators' API tells it; `state` may be `power on`."""

    name: str
    state: str
    phase: str
    done: int
    total: int
    unit: str

    @classmethod
    def of(cls, name: str, machine: Mapping[str, object]) -> "Shown":
        """From an item of `GET /machines`."""
        done, total = machine.get("done"), machine.get("total")
        return cls(
            name=name,
            state=str(machine.get("state", "")),
            phase=str(machine.get("phase") or ""),
            done=done if isinstance(done, int) else 0,
            total=total if isinstance(total, int) else 0,
            unit=str(machine.get("unit") or ""),
        )

    @property
    def amount(self) -> str:
        """How far the phase is: `83 of 132 MB`, `4120 of 14031 files`."""
        if not self.done and not self.total:
            return ""
        if self.unit == "bytes":
            return f"{self.done / 1e6:.0f} of {self.total / 1e6:.0f} MB"
        return f"{self.done} of {self.total} {self.unit}"


class Progress:
    """Shows machines; a context manager, so that the terminal is given back as it was."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()
        self._live = Live(console=console, transient=True) if console.is_terminal else None
        self._told: dict[str, _Told] = {}

    def __enter__(self) -> "Progress":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    @property
    def elapsed(self) -> float:
        """Seconds since the machines were switched on."""
        return time.monotonic() - self._started

    def show(self, machines: Sequence[Shown]) -> None:
        """Show how the machines stand now."""
        if self._live:
            self._live.update(self._table(machines))
        for machine in machines:
            self._tell(machine)

    def _table(self, machines: Sequence[Shown]) -> Table:
        table = Table(title=f"{self.elapsed:.0f} s", title_justify="left")
        for heading in ("machine", "state", "phase", "done"):
            table.add_column(heading, min_width=12)
        for machine in machines:
            table.add_row(machine.name, machine.state, machine.phase, machine.amount)
        return table

    def _tell(self, machine: Shown) -> None:
        told = self._told.setdefault(machine.name, _Told())
        now = time.monotonic()
        new = (machine.state, machine.phase) != (told.state, told.phase)
        due = self._live is None and machine.amount and now - told.at >= _LINE_EVERY
        if not new and not due:
            return
        told.state, told.phase, told.at = machine.state, machine.phase, now
        words = " ".join(word for word in (machine.state, machine.phase, machine.amount) if word)
        self._console.print(f"{self.elapsed:6.1f} s  {machine.name:12} {words}", highlight=False)


@dataclass
class _Told:
    state: str = ""
    phase: str = ""
    at: float = field(default=0.0)


def phase_table(machines: Mapping[str, JsonObject]) -> Table:
    """The seconds of each phase of each machine, and their sum from power on to active.

    `machines`: the answers of `GET /machines/NAME` by the name to show.
    """
    table = Table(title="Seconds by phase", title_justify="left")
    table.add_column("phase")
    columns = {name: _seconds(machine) for name, machine in machines.items()}
    for name in machines:
        table.add_column(name, justify="right")
    names = list(dict.fromkeys(phase for column in columns.values() for phase in column))
    for phase in names:
        cells = (column.get(phase) for column in columns.values())
        table.add_row(phase, *("" if cell is None else f"{cell:.1f}" for cell in cells))
    table.add_section()
    table.add_row("power on to active", *(f"{total_seconds(m):.1f}" for m in machines.values()))
    return table


def total_seconds(machine: JsonObject) -> float:
    """From the start of the first phase to the end of the last."""
    phases = _phases(machine)
    starts = [phase["started"] for phase in phases]
    ends = [phase["ended"] for phase in phases]
    numbers = [value for value in (*starts, *ends) if isinstance(value, int | float)]
    return max(numbers) - min(numbers) if numbers else 0.0


def _seconds(machine: JsonObject) -> dict[str, float]:
    found = {}
    for phase in _phases(machine):
        elapsed = phase.get("elapsed")
        if isinstance(elapsed, int | float):
            found[str(phase["name"])] = float(elapsed)
    return found


def _phases(machine: JsonObject) -> list[JsonObject]:
    phases = machine.get("phases")
    return phases if isinstance(phases, list) else []
