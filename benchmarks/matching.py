"""How fast profiles are matched, beside the reference implementation (`hardware` 0.33 of PyPI).

Real reports and profiles from DATA; a fleet made of them (each report with serials of its own,
each profile written from a report, most with one rule that is not met); racks of identical parts.
Seconds are those of the processor.

    .venv/bin/python benchmarks/matching.py [--data DIR] [--reference PYTHON] [--rounds N]
        [--machines N] [--profiles N]

Without --reference, a venv with it is made in a temporary folder; `--reference none` leaves it out.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TypedDict

from rich.console import Console
from rich.table import Table

from edeploy.inventory.items import Item, Report, parse_report, read_report
from edeploy.match.language import Specs, parse_specs, read_specs
from edeploy.match.problems import BadFile
from edeploy.match.solver import Match, Mismatch, match

Row = tuple[str, ...]
Rows = Sequence[Row]
# Rules and report.
Case = Sequence[Sequence[Sequence[str]]]

ROOT = Path(__file__).parents[1]
REFERENCE = "hardware==0.33"
# What an operator would write rules of; the rest are measurements and counters.
TOLD = {"system", "firmware", "disk", "network", "memory", "cpu"}
MEASURED = re.compile("standalone|simultaneous|bandwidth|loops|bogomips|latency|^t[A-Z]|B2B|freq")
SHAPES_TIMEOUT = 120


def main() -> None:
    """Print all figures."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    options.add_argument("--reference", metavar="PYTHON")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--machines", type=int, default=1000)
    options.add_argument("--profiles", type=int, default=200)
    wanted = options.parse_args()
    with ExitStack() as stack:
        reference = wanted.reference or stack.enter_context(tempfile.TemporaryDirectory())
        if wanted.reference is None:
            reference = installed(Path(reference))
        python = None if reference == "none" else reference
        console = Console()
        reports = real_reports(wanted.data)
        profiles = real_profiles(wanted.data)
        console.print(real(reports, profiles, python, wanted.rounds))
        specs = list(profiles.values())
        specs += map(parse_specs, written(reports, wanted.profiles - len(specs)))
        console.print(fleet(list(machines(reports, wanted.machines)), specs))
        console.print(shapes(python))


def real(
    reports: list[Report], profiles: dict[Path, Specs], python: str | None, rounds: int
) -> Table:
    """All real reports by all real profiles."""
    specs = list(profiles.values())
    pairs = len(reports) * len(specs)
    cold = best(rounds, lambda: tried([Report(r.items) for r in reports], specs))
    failed = [(s, r) for r in reports for s in specs if isinstance(match(s, r), Mismatch)]
    plain = best(rounds, lambda: [match(s, r) for s, r in anew(failed)])
    told = best(rounds, lambda: [reason(match(s, r)) for s, r in anew(failed)])
    table = Table("the same matches", "a second", title=f"{len(reports)} reports × {len(specs)}")
    table.add_row("here, reports indexed anew", f"{pairs / cold:,.0f}")
    if python is not None:
        rows = [[sources(s), r.rows()] for r in reports for s in specs]
        answer = asked(python, rows, rounds)
        ours = [isinstance(match(s, r), Match) for r in reports for s in specs]
        differ = sum(a is not b for a, b in zip(ours, answer["matched"], strict=True))
        rate = pairs / answer["seconds"]
        table.add_row(REFERENCE, f"{rate:,.0f}")
        table.add_row("times the reference", f"{answer['seconds'] / cold:,.0f}")
        table.add_row("answers that differ from it", str(differ))
    table.add_row(f"plain mismatches, of {len(failed)}", f"{len(failed) / plain:,.0f}")
    table.add_row("explained mismatches", f"{len(failed) / told:,.0f}")
    table.add_row("an explained one costs, times a plain one", f"{told / plain:.1f}")
    return table


def fleet(rows: list[list[list[str]]], profiles: list[Specs]) -> Table:
    """Many machines by many profiles: read, picked, explained; on one core."""
    data = [json.dumps(one).encode() for one in rows]
    began = time.process_time()
    read = [parse_report(one) for one in data]
    parsed = time.process_time()
    picked = [next((s for s in profiles if isinstance(match(s, r), Match)), None) for r in read]
    done = time.process_time()
    tried([Report(one.items) for one in read], profiles)
    all_tried = time.process_time()
    for report in [Report(one.items) for one in read]:
        for one in profiles:
            reason(match(one, report))
    explained = time.process_time()
    found = sum(one is not None for one in picked)
    rules = sum(len(one.rules) for one in profiles) // len(profiles)
    items = sum(len(one.items) for one in read) // len(read)
    title = f"{len(read)} reports of {items} items × {len(profiles)} profiles of {rules} rules"
    table = Table("one core", "seconds", title=title)
    table.add_row("reports parsed from JSON", f"{parsed - began:.2f}")
    table.add_row(f"the first that matches picked ({found} have one)", f"{done - parsed:.2f}")
    table.add_row("all profiles tried", f"{all_tried - done:.2f}")
    table.add_row("all profiles tried and explained", f"{explained - all_tried:.2f}")
    return table


def shapes(python: str | None) -> Table:
    """Racks of identical parts, and a rule that cannot be met."""
    table = Table("shape", "answer", "ms", "ms with reason", title="identical parts")
    for name, rules, rows in all_shapes():
        specs, items = parse_specs(rules), tuple(Item(*row) for row in rows)
        answer = "match" if isinstance(match(specs, Report(items)), Match) else "no match"
        plain = best(3, lambda: match(specs, Report(items)))  # noqa: B023
        told = best(3, lambda: reason(match(specs, Report(items))))  # noqa: B023
        table.add_row(name, answer, f"{plain * 1000:.2f}", f"{told * 1000:.2f}")
    if python is not None:
        rules, rows = [*cards(range(5), "serial"), impossible(0)], nics(5)
        try:
            took = f"{asked(python, [[rules, rows]], 1)['seconds'] * 1000:,.0f}"
        except subprocess.TimeoutExpired:
            took = f"over {SHAPES_TIMEOUT * 1000:,}"
        table.add_row(f"5 cards, and one has no address: {REFERENCE}", "no match", took, "")
    return table


def all_shapes() -> Iterator[tuple[str, Rows, Rows]]:
    """Name, rules, report."""
    yield "5 cards, and one has no address", [*cards(range(5), "serial"), impossible(0)], nics(5)
    keys = ("link", "speed", "serial")
    rules = cards(range(64), *keys)
    rest = nics(64)
    yield "64 cards", cards(reversed(range(64)), *keys), rest
    yield "64 cards, one has no address", [*rules, impossible(40)], rest
    slow = ("network", "$e40", "speed", "lt(10)")
    yield "64 cards, one is too fast", [*rules, slow], rest
    yield "64 cards for 65", cards(range(65), *keys), rest
    twice = [("network", "$e3", "serial", "$m9"), ("network", "$e4", "serial", "$m9")]
    yield "64 cards, two have one MAC", [*rules, *twice], [*rest, *((*r[:3], "x") for r in rest)]
    ssd = [*disks(60), *(("disk", f"sd{i}", "type", "ssd") for i in range(59))]
    both = [("disk", f"$d{i}", key, "$") for key in ("size", "type") for i in range(60)]
    both = [(*row[:3], "8" if row[2] == "size" else "ssd") for row in both]
    yield "60 disks, 59 are fast", both, ssd
    yield "60 disks for 61", [("disk", f"$d{i}", "size", "gt(4)") for i in range(61)], disks(60)
    large = [("disk", f"$d{i}", "size", "gt(4)") for i in range(60)]
    yield "60 disks, one must be larger", [*large, ("disk", "$d9", "size", "gt(9)")], disks(60)
    pair = [("disk", "$a", "slot", "1"), ("disk", "$a", "slot", "2")]
    slots = [("disk", f"sd{i}", "slot", str(i % 2 + 1)) for i in range(60)]
    yield "60 disks, one in two slots", [*large, *pair], [*disks(60), *slots]


def cards(numbers: Sequence[int] | Iterator[int], *keys: str) -> list[Row]:
    """Rules that ask for network cards."""
    meant = {"link": "yes", "speed": "gt(1)"}
    return [("network", f"$e{i}", k, meant.get(k, f"$m{i}")) for i in numbers for k in keys]


def impossible(card: int) -> Row:
    """A rule that no line meets."""
    return ("network", f"$e{card}", "ipv4", "$ip")


def nics(count: int) -> list[Row]:
    """A report of identical cards."""
    what = {"link": "yes", "speed": "10"}
    keys = ("link", "speed", "serial")
    return [
        ("network", f"eth{i}", key, what.get(key, f"02:00:00:00:00:{i:02x}"))
        for i in range(count)
        for key in keys
    ]


def disks(count: int) -> list[Row]:
    """A report of identical disks."""
    return [("disk", f"sd{i}", "size", "8") for i in range(count)]


def machines(reports: list[Report], count: int) -> Iterator[list[list[str]]]:
    """The rows of a fleet: real reports, each with serials and addresses of its own."""
    for number in range(count):
        yield [
            [*row[:3], f"{row[3]}-{number}" if row[2] in ("serial", "uuid", "ipv4") else row[3]]
            for row in reports[number % len(reports)].rows()
        ]


def written(reports: list[Report], count: int) -> Iterator[list[Row]]:
    """Profiles that operators would write from these machines: one in eight is met by its own."""
    for number in range(count):
        rows = [row for row in reports[number % len(reports)].items if is_told(row)]
        rules = [rule(row) for row in rows]
        if number // len(reports) % 8:
            # Any rule: some profiles fail at once, some at the end.
            wrong = number * 7919 % len(rules)
            rules[wrong] = (*rules[wrong][:3], f"{rows[wrong].value} of another kind")
        yield rules


def is_told(row: Item) -> bool:
    """Whether an operator would write a rule of a line."""
    return row.type in TOLD and not MEASURED.search(row.key)


def rule(row: Item) -> Row:
    """A rule that a line meets: disks and cards by variables, sizes with some room."""
    name = re.sub(r"\W", "_", row.id)
    device = f"${name}" if row.type in ("disk", "network") else row.id
    if row.key in ("serial", "uuid", "ipv4"):
        return (row.type, device, row.key, f"$$serial_{name}")
    if row.key == "size" and row.value.isdigit():
        return (row.type, device, row.key, f"ge({int(row.value) * 9 // 10})")
    return (row.type, device, row.key, row.value)


def tried(reports: list[Report], profiles: list[Specs]) -> None:
    """All by all."""
    for report in reports:
        for specs in profiles:
            match(specs, report)


def anew(pairs: list[tuple[Specs, Report]]) -> Iterator[tuple[Specs, Report]]:
    """The same, of each report nothing known yet."""
    fresh = {id(report): Report(report.items) for _, report in pairs}
    for specs, report in pairs:
        yield specs, fresh[id(report)]


def reason(answer: Match | Mismatch) -> str:
    """The whole explanation of a mismatch, as text."""
    return "" if isinstance(answer, Match) else answer.reason


def best(rounds: int, work: Callable[[], object]) -> float:
    """Seconds of the best of some rounds."""
    took = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return min(took)


def real_reports(data: Path) -> list[Report]:
    """The reports in the data."""
    found = [*sorted(data.glob("hw/*")), *sorted(data.glob("ahc/bl460c/*"))]
    if not found:
        sys.exit(f"no reports in {data}: say where with --data")
    return [read_report(path) for path in found]


def real_profiles(data: Path) -> dict[Path, Specs]:
    """The profiles in the data that can be read."""
    found = {}
    for path in sorted(data.glob("specs/*.specs")):
        try:
            found[path] = read_specs(path)
        except BadFile as error:
            print(f"left out: {error.message}", file=sys.stderr)
    return found


def sources(specs: Specs) -> list[list[str]]:
    """The rows of specs as they were written."""
    return [[field.source for field in rule.fields] for rule in specs.rules]


def installed(folder: Path) -> str:
    """A Python of its own that has the reference."""
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "-q", REFERENCE], check=True)
    return python


class Told(TypedDict):
    """Seconds of the best round; None: the reference ended by an exception."""

    seconds: float
    matched: list[bool | None]


def asked(python: str, cases: Sequence[Case], rounds: int) -> Told:
    """What the reference takes for these cases. Raises subprocess.TimeoutExpired."""
    done = subprocess.run(
        [python, Path(__file__).with_name("matching_reference.py")],
        input=json.dumps({"cases": cases, "rounds": rounds}),
        capture_output=True,
        text=True,
        check=True,
        timeout=SHAPES_TIMEOUT,
    )
    answer: Told = json.loads(done.stdout)
    return answer


if __name__ == "__main__":
    main()
