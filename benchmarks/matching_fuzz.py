"""Odd rules, puzzles and reports, and the processor time of the slowest.

Nothing may raise, but for errors that are told; nothing may take a second. For the other files of
profiles see odd_files.py.

    .venv/bin/python benchmarks/matching_fuzz.py [--seconds N] [--seed N]
"""

import argparse
import heapq
import json
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from edeploy.errors import EdeployError
from edeploy.inventory.items import Item, Report, parse_report, read_report
from edeploy.match.functions import NAMES
from edeploy.match.language import parse_specs
from edeploy.match.solver import match

LIMIT = 1.0
WORDS = [f"{name}(" for name in sorted(NAMES)] + [
    *"(),'\"$=^[]{}\\ -.:/|*+?#@\n", "4", "x", "10.0.0.0/8", "fe80::/10", "$$", "a{1,2}", "(a+)+",
    "(?:x|x)*", "(?=", "(?i)", "\\1", "[^", "1e999", "nan", "0x1", "generate(", "lambda:", "-", "é",
    "\x00", "'a'", "('disk', '$d', 'size', 'gt(1)'),", "1-999999999", "10.0.0.0-255", "~", "None",
]  # fmt: skip
VALUES = ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", "5", "10.0.0.1", "", "x" * 4000, "ab" * 3000]


def odd(dice: Random) -> str:
    """A text of pieces of the language: short, or one piece again and again."""
    words = [dice.choice(WORDS) for _ in range(dice.randint(1, 14))]
    if dice.random() < 0.15:
        times = dice.choice((100, 3000, 60_000))
        return "".join(words[:3]) * (times // len(words[:3])) + "".join(words[3:])
    return "".join(words)


def field(dice: Random) -> None:
    """A field of a rule, and values for it."""
    text = dice.choice(("{}", "and({})", "regexp({})", "$x={}", "not({})")).format(odd(dice))
    values = [*VALUES, odd(dice)[:5000]]
    report = Report(tuple(Item("disk", f"sd{i}", "size", v) for i, v in enumerate(values)))
    told(lambda: match(parse_specs([("disk", "$d", "size", text)]), report))


def puzzle(dice: Random) -> None:
    """Rules and reports of few words: what is hard to solve."""
    size, names = dice.randint(2, 120), dice.randint(1, 12)
    keys = dice.randint(1, 4)
    rules, lines = [], []
    for _ in range(size):
        texts = [f"$v{dice.randrange(names)}", f"$w{dice.randrange(size)}", str(dice.randrange(3))]
        rules.append(
            ("l", f"$v{dice.randrange(names)}", f"k{dice.randrange(keys)}", dice.choice(texts))
        )
    for _ in range(dice.randint(size, 3 * size)):
        value = str(dice.randrange(dice.choice((3, names + 1, size))))
        lines.append(Item("l", str(dice.randrange(names + 3)), f"k{dice.randrange(keys)}", value))
    answer = match(parse_specs(rules), Report(tuple(lines)))
    str(getattr(answer, "reason", ""))


def report(dice: Random) -> None:
    """A report as it is uploaded, or in a file."""
    rows = [[odd(dice)[:200] for _ in range(dice.randint(3, 5))] for _ in range(dice.randint(0, 9))]
    data = dice.choice((odd(dice), json.dumps(rows), repr(rows), "[" * 50_000)).encode()
    told(lambda: parse_report(data))
    with TemporaryDirectory() as name:
        path = Path(name) / "machine.hw"
        path.write_bytes(data)
        told(lambda: read_report(path))


def told(work: Callable[[], object]) -> None:
    """Do it; what an operator is told is no failure."""
    try:
        answer = work()
    except EdeployError:
        return
    str(getattr(answer, "reason", ""))


def main() -> None:
    """Try for a while; exit status 1 when something failed or was slow."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--seed", type=int, default=1)
    wanted = options.parse_args()
    kinds = (field, puzzle, report)
    counts = dict.fromkeys(kinds, 0)
    spent = dict.fromkeys(kinds, 0.0)
    slowest: dict[Callable[[Random], None], list[tuple[float, int]]] = {k: [] for k in kinds}
    failed = []
    ends = time.monotonic() + wanted.seconds
    seed = wanted.seed * 1_000_000
    while time.monotonic() < ends:
        kind, seed = min(kinds, key=lambda one: spent[one]), seed + 1
        began = time.process_time()
        try:
            kind(Random(seed))  # noqa: S311  (no secret)
        except Exception:  # anything at all is a finding
            failed.append(f"{kind.__name__}, seed {seed}: {traceback.format_exc()}")
        took = time.process_time() - began
        counts[kind] += 1
        spent[kind] += took
        slowest[kind] = heapq.nlargest(1, [*slowest[kind], (took, seed)])
    table = Table("input", "tried", "slowest, s", "its seed")
    for kind in kinds:
        for took, its in slowest[kind]:
            table.add_row(kind.__name__, f"{counts[kind]:,}", f"{took:.3f}", str(its))
    Console().print(table)
    print("\n".join(failed[:5]) or "nothing failed")
    sys.exit(bool(failed) or any(t > LIMIT for found in slowest.values() for t, _ in found))


if __name__ == "__main__":
    main()
