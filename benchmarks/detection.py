"""Seconds that a machine of the lab takes to find out what it is, as its agent prints them.

A machine boots the `cloud` ramdisk from the network, with no profile that fits it; it runs alone.

    .venv/bin/python benchmarks/detection.py [--runs N] [--firmware bios|uefi]
"""

import argparse
import os
import re
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

from edeploy.images.store import Store
from edeploy.lab.box import Wishes, box
from edeploy.lab.demo import build_boot, switch_on
from edeploy.lab.rack import DEMO_RACK
from edeploy.server.settings import StoreSettings

CHECKOUT = Path(__file__).parents[1]
PATIENCE = 180
POLL = 0.2
TOLD = re.compile(r"hardware: (\d+) facts in ([0-9.]+) s \((.*)\)")


@dataclass(frozen=True)
class Run:
    """One detection: items found, wall time, and seconds of the slowest probes."""

    items: int
    seconds: float
    probes: dict[str, float]


def one_run(firmware: str, store: Store, folder: Path) -> Run:
    """Boot one machine, alone in its rack, until it has told."""
    folder.chmod(0o711)  # dnsmasq is not root, and has to get into it
    rack = yaml.safe_load(DEMO_RACK.read_text())
    rack["name"] = "detection"
    rack["machines"] = [item for item in rack["machines"] if item["firmware"] == firmware]
    rack_file = folder / "rack.yaml"
    rack_file.write_text(yaml.safe_dump(rack))
    profiles = Path(shutil.copytree(CHECKOUT / "hardware_specs", folder / "profiles"))
    specs = profiles / "lab-web.specs"
    specs.write_text(specs.read_text().replace("gt(3)", "gt(3000)"))
    with box(rack_file, Wishes(store.root, profiles, folder / "serve")) as running:
        name = switch_on(running)[0]
        log = running.lab.folder.machine(name).console_log
        return parsed(wait_for(log))


def wait_for(log: Path) -> "re.Match[str]":
    """The agent's line about the hardware."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = TOLD.search(log.read_text(errors="replace")) if log.exists() else None
        if found:
            return found
        time.sleep(POLL)
    raise SystemExit(f"no word of hardware within {PATIENCE} s")


def parsed(line: "re.Match[str]") -> Run:
    """What the line says."""
    pairs = (probe.split() for probe in line[3].split(", "))
    return Run(int(line[1]), float(line[2]), {pair[0]: float(pair[1]) for pair in pairs})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--firmware", choices=("bios", "uefi"), default="bios")
    options = parser.parse_args()
    store = Store(StoreSettings().path)
    build_boot(store, CHECKOUT, Console(stderr=True))
    runs = []
    for _ in range(options.runs):
        with tempfile.TemporaryDirectory(prefix="edeploy-benchmark-") as folder:
            runs.append(one_run(options.firmware, store, Path(folder)))
    probes: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        for name, seconds in run.probes.items():
            probes[name].append(seconds)
    table = Table(title=f"Slowest probes, seconds; {options.firmware}, {os.cpu_count()} cores")
    table.add_column("probe")
    table.add_column("median", justify="right")
    for name, found in sorted(probes.items(), key=lambda pair: -statistics.median(pair[1])):
        table.add_row(name, f"{statistics.median(found):.2f}")
    Console().print(table)
    took = [run.seconds for run in runs]
    print(
        f"detection: {runs[0].items} items, median {statistics.median(took):.2f} s, "
        f"{min(took):.2f} to {max(took):.2f} s in {len(runs)} runs; "
        f"{time.strftime('%Y-%m-%d')}"
    )


if __name__ == "__main__":
    main()
