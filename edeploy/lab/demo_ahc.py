"""Health checks, end to end: five machines are tested, two are rejected with the reason."""

import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from edeploy.errors import EdeployError
from edeploy.images.store import Store
from edeploy.lab.box import Box, Wishes, box
from edeploy.lab.demo import (
    DemoPlaces,
    build_boot,
    build_roles,
    check_pages,
    emptied,
    follow,
    say_how_it_runs,
    switch_on,
)
from edeploy.lab.folder import LAB_ROOT
from edeploy.server.client import JsonObject

HEALTH_RACK = Path(__file__).with_name("demo-ahc-rack.yaml")
HEALTH_FOLDER = LAB_ROOT.parent / "demo-ahc"
SHEEP = {"slow-disk": "disk", "slow-card": "network"}
"""The machines of the rack that are to be rejected, and the part that is at fault."""

# On one host the machines would measure each other: one at a time.
_SETTINGS = """
[health]
min_group = 5
at_once = 1
"""
_ENDS = ("active", "rejected")


def demo_ahc(places: DemoPlaces, console: Console) -> None:
    """Test five machines, install the good ones; EdeployError when a verdict is wrong."""
    started = time.monotonic()
    store = Store(places.store)
    build_roles(store, places.checkout, console)
    build_boot(store, places.checkout, console)
    built = time.monotonic()
    wishes = Wishes(
        store.root, places.checkout / "hardware_specs", emptied(places.folder), settings=_SETTINGS
    )
    with box(places.rack, wishes) as rack:
        say_how_it_runs(rack, console)
        console.print(f"Black sheep: {', '.join(f'{n} ({p})' for n, p in SHEEP.items())}.")
        ended = follow(rack, switch_on(rack), console, ends=_ENDS)
        console.print(verdicts(ended))
        check(ended)
        check_untouched(rack, console)
        good = {name: one for name, one in ended.items() if one["state"] == "active"}
        check_pages(rack, good, console)
    console.print(
        f"Images {built - started:.0f} s, rack {time.monotonic() - built:.0f} s, "
        f"all {time.monotonic() - started:.0f} s."
    )


def verdicts(machines: dict[str, JsonObject]) -> Table:
    """Each machine with what became of it, and why."""
    table = Table(title="Verdicts", title_justify="left")
    for heading in ("machine", "state", "verdict", "why"):
        table.add_column(heading)
    for name, machine in machines.items():
        test = _test(machine)
        table.add_row(
            name, str(machine["state"]), str(test.get("verdict")), str(test.get("reason"))
        )
    return table


def check(machines: dict[str, JsonObject]) -> None:
    """EdeployError unless the black sheep are rejected for their part, and nobody else is."""
    for name, machine in machines.items():
        part = SHEEP.get(name)
        state, metric = machine["state"], _metric(machine)
        if part is None and state != "active":
            raise EdeployError(f"{name} is a good machine, and it is {state} for {metric}")
        if part is not None and (state != "rejected" or not metric.startswith(f"{part}/")):
            raise EdeployError(f"{name} is {state} for {metric or 'nothing'}, its {part} is slow")


def check_untouched(rack: Box, console: Console) -> None:
    """EdeployError when a machine that was measured, and nothing else, has a byte on its disk."""
    for name in SHEEP:
        path = rack.lab.folder.machine(name).disk(0)
        # A sparse file: what was never written takes no room.
        if path.stat().st_blocks:
            raise EdeployError(f"{name} was to be measured only, and its disk was written to")
    console.print(f"No byte was written to the disks of {' and '.join(SHEEP)}.")


def _test(machine: JsonObject) -> JsonObject:
    health = machine.get("health")
    test = health.get("test") if isinstance(health, dict) else None
    return test if isinstance(test, dict) else {}


def _metric(machine: JsonObject) -> str:
    evidence = _test(machine).get("evidence")
    return str(evidence.get("metric") or "") if isinstance(evidence, dict) else ""
