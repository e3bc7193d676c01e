"""Seconds of a server to judge one more machine beside all that it has judged before.

    .venv/bin/python benchmarks/health_gate.py [--machines 1000]

Records are made by the ways of the service: a report and the results of a `quick` test of each
machine. Then all are judged together, once more by a service that was just started, and after that
one machine at a time.
"""

import argparse
import json
import random
import resource
import tempfile
import time
from pathlib import Path

from edeploy.inventory.items import Item, Report
from edeploy.machines import testing
from edeploy.machines.database import Database
from edeploy.machines.leases import candidates
from edeploy.machines.policy import HealthPolicy, Policy
from edeploy.machines.reporting import take_report
from edeploy.machines.schema import JsonObject
from edeploy.match.profiles import load_profiles
from edeploy.server.judging import Judging

RULES = Policy(
    reserve_minutes=600,
    deadline_minutes=600,
    first_boot_minutes=600,
    health=HealthPolicy({"quick": 600, "lab": 600, "full": 600, "burn": 600}),
)
STAGES = {
    "cpu/packages": ["cpu/package0/one_cpu_events", "cpu/package1/one_cpu_events"],
    "cpu/all": ["cpu/all_events"],
    "memory/all": ["memory/node0/write_together", "memory/node1/write_together"],
    **{
        f"disk/sd{disk}/{place}": [f"disk/sd{disk}/{place}"]
        for disk in "ab"
        for place in ("read_1M", "read_1M_middle", "read_1M_end", "randread_4k_iops")
    },
    **{f"network/eth{n}": [f"network/eth{n}/{way}" for way in ("send", "receive")] for n in (0, 1)},
}
ONE_BY_ONE = 5


def report(number: int) -> Report:
    """What a server with two sockets, 16 modules and two disks says: some 260 lines."""
    items = [
        Item("system", "product", "vendor", "Makers"),
        Item("system", "product", "name", "Box"),
        Item("system", "product", "serial", f"CZ{number:06}A"),
    ]
    for card in (0, 1):
        mac = f"d8:9d:67:{number >> 8:02x}:{number & 255:02x}:{card:02x}"
        items.append(Item("network", f"eth{card}", "serial", mac))
    for disk in "ab":
        items += [
            Item("disk", f"sd{disk}", "size", "600"),
            Item("disk", f"sd{disk}", "serial", f"WD{number:06}-{disk}"),
        ]
    for bank in range(16):
        slot = [("slot", f"DIMM {bank}"), ("size", str(16 << 30)), ("clock", "1600000000")]
        slot += [("vendor", "Samsung"), ("product", "M393")]
        items += [Item("memory", f"bank:{bank}", key, value) for key, value in slot]
    for thread in range(32):
        keys = ("bogomips", "cache_size", "clock", "flags", "governor")
        items += [Item("cpu", f"logical_{thread}", key, "4000") for key in keys]
    return Report(tuple(items))


def results(number: int) -> JsonObject:
    """What its test says, without samples."""
    chance = random.Random(number)  # noqa: S311 - no secret
    return {
        "stages": [
            {"name": name, "component": name.partition("/")[0], "run": "1", "state": "done"}
            | {"reason": "", "at": 1.0, "seconds": 10.0, "tool": "a tool", "commands": ["a tool"]}
            for name in STAGES
        ],
        "results": [
            {"stage": name, "metric": metric, "unit": "MB/s", "better": "higher", "run": "1"}
            | {"value": 1000 * (1 + chance.gauss(0, 0.003)), "every": 1.0}
            for name, metrics in STAGES.items()
            for metric in metrics
        ],
    }


class Site:
    """A server's records, and machines that were tested."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(folder / "db")
        profiles = folder / "profiles"
        profiles.mkdir()
        (profiles / "state").write_text("[('web', '*', {'health': 'quick'})]\n")
        (profiles / "web.specs").write_text("[('system', 'product', 'vendor', 'Makers')]\n")
        (profiles / "web.configure").write_text("set_role('web', '1', disk='sda')\n")
        self._profiles = load_profiles(profiles).profiles

    def tested(self, number: int) -> None:
        """One more machine whose results wait."""
        said, figures = report(number), results(number)
        offered = candidates(self._profiles, said)
        answer = take_report(self.database, said, offered, RULES, address="a", now=1000.0)
        with self.database.write(durable=False) as session:
            body = json.dumps(figures).encode()
            testing.take_results(session, answer.token or "", figures, body, RULES, now=1000.0)


def judge(what: str, judging: Judging) -> None:
    """Judge what waits, and print what that took."""
    wall, cpu = time.monotonic(), time.process_time()
    count = judging.judge(now=1001.0)
    print(
        f"{what}: {count} judged in {time.monotonic() - wall:.2f} s, "
        f"{time.process_time() - cpu:.2f} s of CPU"
    )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--machines", type=int, default=1000)
    machines: int = parser.parse_args().machines
    with tempfile.TemporaryDirectory(prefix="edeploy-gate-") as folder:
        site = Site(Path(folder))
        for number in range(machines):
            site.tested(number)
        judge("all at once", Judging(site.database, RULES, min_group=5))
        restarted = Judging(site.database, RULES, min_group=5)
        for number in range(machines, machines + ONE_BY_ONE):
            site.tested(number)
            judge("one more", restarted)
    print(f"memory at its peak: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB")


if __name__ == "__main__":
    main()
