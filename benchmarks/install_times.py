"""Seconds from power on to active, by phase, for BIOS and UEFI; and the fetch against by hand.

Each machine runs alone. Before our own fetch the same machine fetches the same archive by hand
(`wget | zstd -d | tar -x` into a folder of the new file system): the ratio compares like
with like.

    .venv/bin/python benchmarks/install_times.py [--runs N] [--without-hand]
"""

import argparse
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

from edeploy.images.store import Store
from edeploy.lab.box import Wishes, box
from edeploy.lab.demo import build_boot, build_roles, follow, switch_on
from edeploy.lab.progress import total_seconds
from edeploy.lab.rack import DEMO_RACK
from edeploy.server.client import JsonObject
from edeploy.server.settings import StoreSettings

CHECKOUT = Path(__file__).parents[1]
BY_HAND = """
import subprocess, time
url = 'http://10.77.0.1:8080/images/1.0.0/web-1.0.0.edeploy'
run('mkdir /chroot/by-hand')
run('sync')
started = time.monotonic()
run('wget -q -O - ' + url + ' | zstd -d | tar -x -p --xattrs --xattrs-include=* --acls '
    '--numeric-owner -C /chroot/by-hand')
print('by hand: %.2f seconds' % (time.monotonic() - started))
run('rm -rf /chroot/by-hand')
run('sync')
"""


@dataclass(frozen=True)
class Run:
    """One installation: seconds by phase, in all, and of the fetch by hand."""

    phases: dict[str, float]
    total: float
    by_hand: float | None


def one_run(firmware: str, store: Store, folder: Path, *, by_hand: bool) -> Run:
    """Install one machine, alone in its rack."""
    rack = yaml.safe_load(DEMO_RACK.read_text())
    rack["name"] = "benchmark"
    rack["machines"] = [item for item in rack["machines"] if item["firmware"] == firmware]
    rack_file = folder / "rack.yaml"
    rack_file.write_text(yaml.safe_dump(rack))
    profiles = Path(shutil.copytree(CHECKOUT / "hardware_specs", folder / "profiles"))
    if by_hand:
        with open(profiles / "lab-web.configure", "a") as script:
            script.write(BY_HAND)
    with box(rack_file, Wishes(store.root, profiles, folder / "serve")) as running:
        names = switch_on(running)
        machine = follow(running, names, Console(stderr=True))[names[0]]
        log = running.service.operators.one("machines", str(machine["name"]), "log")
    return Run(elapsed(machine), total_seconds(machine), hand_seconds(log) if by_hand else None)


def elapsed(machine: JsonObject) -> dict[str, float]:
    """Seconds by phase."""
    phases = machine["phases"]
    found = phases if isinstance(phases, list) else []
    return {phase["name"]: phase["elapsed"] for phase in found}


def hand_seconds(log: JsonObject) -> float:
    """What the configure script printed of the fetch by hand."""
    found = re.search(r"by hand: ([0-9.]+) seconds", str(log))
    if not found:
        sys.exit("the fetch by hand left no figure in the log")
    return float(found[1])


def median(runs: list[Run], phase: str) -> float:
    """The middle one of the runs."""
    return statistics.median(run.phases[phase] for run in runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--without-hand", action="store_true", help="only our own installation")
    options = parser.parse_args()
    store = Store(StoreSettings().path)
    build_roles(store, CHECKOUT, Console(stderr=True))
    build_boot(store, CHECKOUT, Console(stderr=True))
    runs: dict[str, list[Run]] = {}
    for kind in ("bios", "uefi"):
        for _ in range(options.runs):
            with tempfile.TemporaryDirectory(prefix="edeploy-benchmark-") as folder:
                # dnsmasq, which is not root, has to get into it.
                Path(folder).chmod(0o711)
                runs.setdefault(kind, []).append(
                    one_run(kind, store, Path(folder), by_hand=not options.without_hand)
                )
    table = Table(title=f"Seconds, median of {options.runs}; {os.cpu_count()} cores")
    table.add_column("phase")
    for kind in runs:
        table.add_column(kind, justify="right")
    for phase in runs["bios"][0].phases:
        table.add_row(phase, *(f"{median(found, phase):.1f}" for found in runs.values()))
    totals = [statistics.median(run.total for run in found) for found in runs.values()]
    table.add_row("power on to active", *(f"{total:.1f}" for total in totals))
    if not options.without_hand:
        hands = [statistics.median(run.by_hand or 0 for run in found) for found in runs.values()]
        table.add_row("fetch by hand", *(f"{hand:.1f}" for hand in hands))
        ratios = [
            statistics.median(run.phases["fetch"] / (run.by_hand or 1) for run in found)
            for found in runs.values()
        ]
        table.add_row("fetch / by hand", *(f"{ratio:.2f}" for ratio in ratios))
        table.caption = "`configure` and the total contain the fetch by hand; see --without-hand."
    Console().print(table)
    print(time.strftime("%Y-%m-%d"))


if __name__ == "__main__":
    main()
