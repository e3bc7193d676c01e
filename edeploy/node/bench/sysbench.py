"""sysbench: its arguments, the lines that it prints, and what several of them measure at once.

sysbench 1.0 knows no JSON for its built-in tests; its line a second (`--report-interval`) and its
line with the result have a fixed form, and a text without them is no result.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edeploy.node.bench.programs import Bench, Printed, StageFailed
from edeploy.node.bench.results import Outcome, Result

# An event is one search for the primes up to this number: milliseconds on a processor of today.
_PRIMES = 20_000
# Never reached: the test ends by its time. (The default ends early on fast machines.)
_ENDLESS = "100T"
_LARGEST_BLOCK = 1 << 30
_MIB = 1.048576

_VERSION = re.compile(r"^sysbench (\d\S{0,20})", re.MULTILINE)


@dataclass(frozen=True)
class Kind:
    """One of its tests: the unit of its figures, and the lines that have them; `factor` makes
    figures of that unit out of those of the lines."""

    unit: str
    second_line: re.Pattern[str]
    value_line: re.Pattern[str]
    factor: float = 1.0

    def second(self, line: str) -> float | None:
        """The figure in one of the lines that come every second."""
        found = self.second_line.match(line)
        return float(found[1]) * self.factor if found else None

    def value(self, printed: Printed) -> float:
        """The figure of the whole time. Raises StageFailed."""
        found = self.value_line.findall(printed.text)
        if printed.code != 0 or len(found) != 1:
            raise StageFailed(f"sysbench ended with {printed.code} and no result\n{printed.last}")
        return float(found[0]) * self.factor


CPU = Kind(
    unit="1/s",
    second_line=re.compile(r"\[ \d+s \] thds: \d+ eps: (\d+\.\d+) "),
    value_line=re.compile(r"^ +events per second: +(\d+\.\d+)$", re.MULTILINE),
)
MEMORY = Kind(
    unit="MB/s",
    second_line=re.compile(r"\[ \d+s \] (\d+\.\d+) MiB/sec$"),
    value_line=re.compile(r"^\d+\.\d+ MiB transferred \((\d+\.\d+) MiB/sec\)$", re.MULTILINE),
    factor=_MIB,
)


def measured(bench: Bench, kind: Kind, argvs: Mapping[str, Sequence[str]]) -> Outcome:
    """Run one sysbench for each metric, all at the same time. Raises StageFailed, TestStopped."""
    samples: list[list[float]] = [[] for _ in argvs]

    def on_line(number: int, line: str) -> None:
        value = kind.second(line)
        if value is not None:
            samples[number].append(value)
            if not number:
                bench.tell(value, kind.unit)

    printed = bench.run(*argvs.values(), on_line=on_line)
    results = [
        Result(metric, kind.unit, kind.value(one), tuple(own))
        for metric, one, own in zip(argvs, printed, samples)
    ]
    return Outcome(tuple(results), tool(printed))


def cpu_words(threads: int, seconds: float) -> list[str]:
    """Search for primes with so many threads."""
    return ["sysbench", "cpu", f"--cpu-max-prime={_PRIMES}", *_common(threads, seconds), "run"]


def memory_words(threads: int, seconds: float, block: int) -> list[str]:
    """Write to memory; each thread has a block of its own, of `block` bytes."""
    return [
        "sysbench", "memory",
        "--memory-oper=write",
        "--memory-scope=local",
        f"--memory-block-size={block}",
        f"--memory-total-size={_ENDLESS}",
        *_common(threads, seconds),
        "run",
    ]  # fmt: skip


def block_size(cache: int, threads: int, memory: int) -> int:
    """Bytes of each thread's block, a power of 2: all threads together are four times as large as
    the cache, as far as a quarter of the memory goes."""
    wanted = max(16 << 20, 4 * cache // threads)
    fits = max(1 << 20, min(_LARGEST_BLOCK, memory // 4 // threads))
    block = 1 << (wanted - 1).bit_length()
    while block > fits:
        block >>= 1
    return block


def tool(printed: Sequence[Printed]) -> str:
    """`sysbench 1.0.20`."""
    found = _VERSION.search(printed[0].text)
    return f"sysbench {found[1]}" if found else "sysbench"


def _common(threads: int, seconds: float) -> list[str]:
    return [f"--threads={threads}", f"--time={seconds:.0f}", "--report-interval=1"]
