"""Milliseconds that the server takes for a report, among thousands of machines.

From the parsed report to the committed answer: whose it is, its marks, history and events, the
attempt; without profiles, which `edeploy specs` is measured for. All machines share a serial
number of their chassis by eight, and one that their maker gave to all of them.

    .venv/bin/python benchmarks/reports.py [--machines N] [--rounds N]
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from edeploy.inventory.identity import identify
from edeploy.inventory.items import Item, Report
from edeploy.machines.database import Database
from edeploy.machines.enrolment import enrol
from edeploy.machines.policy import Policy
from edeploy.machines.reporting import take_report

POLICY = Policy(reserve_minutes=10, deadline_minutes=60, first_boot_minutes=15)
CARDS, DISKS, BANKS, THREADS = 4, 12, 24, 96


def server(number: int, *, swapped: int = 0) -> Report:
    """A large server; `swapped`: another disk in its last slot."""
    rows = [
        ("system", "product", "name", "Box"),
        ("system", "product", "vendor", "Makers"),
        ("system", "product", "serial", "WHITEBOX-9"),
        ("system", "product", "uuid", f"4c4c4544-0035-3010-8048-{number:012x}"),
        ("system", "motherboard", "serial", f"PH{number:07}B"),
        ("system", "chassis", "serial", f"CH{number // 8:06}C"),
    ]
    for card in range(CARDS):
        mac = f"d8:9d:67:{number >> 8:02x}:{number & 255:02x}:{card:02x}"
        rows += [("network", f"eth{card}", key, mac) for key in ("serial",)]
        rows += [("network", f"eth{card}", key, "yes") for key in ("link", "driver", "speed")]
    for disk in range(DISKS):
        serial = f"WD{number:06}-{disk}X{swapped if disk == DISKS - 1 else ''}"
        rows += [("disk", f"sd{chr(97 + disk)}", "serial", serial)]
        rows += [("disk", f"sd{chr(97 + disk)}", key, "600") for key in ("size", "model", "rev")]
    for bank in range(BANKS):
        rows += [("memory", f"bank:{bank}", f"key{key}", str(bank)) for key in range(7)]
    for thread in range(THREADS):
        rows += [("cpu", f"logical_{thread}", f"key{key}", str(key)) for key in range(5)]
    return Report(tuple(Item(*row) for row in rows))


def main() -> None:
    """Fill the records, then time reports of each kind."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--machines", type=int, default=5000)
    options.add_argument("--rounds", type=int, default=50)
    wanted = options.parse_args()
    table = Table("report", "median ms", "slowest ms")
    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder) / "db")
        fill(database, wanted.machines)
        kinds: dict[str, Callable[[int], Report]] = {
            "known, nothing new": server,
            "known, a disk swapped": lambda n: server(n, swapped=1),
            "of a new machine": lambda n: server(wanted.machines + n),
        }
        for name, make in kinds.items():
            took = [timed(database, make(n)) for n in range(wanted.rounds)]
            table.add_row(name, f"{statistics.median(took):.1f}", f"{max(took):.1f}")
        database.close()
    Console().print(f"{wanted.machines} machines, {len(server(1).items)} items a report")
    Console().print(table)


def fill(database: Database, machines: int) -> None:
    """The first report of each machine."""
    with database.write(durable=False) as session:
        for number in range(machines):
            report = server(number)
            enrol(session, identify(report), report, address="10.0.0.9", now=float(number))
            if number % 500 == 0:
                session.flush()
                session.expunge_all()


def timed(database: Database, report: Report) -> float:
    """Milliseconds of one report."""
    began = time.perf_counter()
    take_report(database, report, (), POLICY, address="10.0.0.9", now=time.time())
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
