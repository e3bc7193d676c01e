"""sysbench: its arguments, and the lines that it prints.

sysbench 1.0 knows no JSON for its built-in tests; its line a second (`--report-interval`) and its
line with the result have a fixed form, and a text without them is no result.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from edeploy.node.bench.programs import Printed, StageFailed

# An event is one search for the primes up to this number: milliseconds on a processor of today.
_PRIMES = 20_000
# Never reached: the test ends by its time. (The default ends early on fast machines.)
_ENDLESS = "100T"
_LARGEST_BLOCK = 1 << 30
_MIB = 1.048576

_CPU_SECOND = re.compile(r"\[ \d+s \] thds: \d+ eps: (\d+\.\d+) ")
_CPU = re.compile(r"^ +events per second: +(\d+\.\d+)$", re.MULTILINE)
_MEMORY_SECOND = re.compile(r"\[ \d+s \] (\d+\.\d+) MiB/sec$")
_MEMORY = re.compile(r"^\d+\.\d+ MiB transferred \((\d+\.\d+) MiB/sec\)$", re.MULTILINE)
_VERSION = re.compile(r"^sysbench (\d\S{0,20})", re.MULTILINE)


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


def cpu_second(line: str) -> float | None:
    """Events a second in one of the lines that come every second."""
    return _number(_CPU_SECOND.match(line))


def memory_second(line: str) -> float | None:
    """MB/s in one of the lines that come every second."""
    found = _number(_MEMORY_SECOND.match(line))
    return None if found is None else found * _MIB


def cpu_value(printed: Printed) -> float:
    """Events a second over the whole time. Raises StageFailed."""
    return _value(_CPU, printed)


def memory_value(printed: Printed) -> float:
    """MB/s over the whole time. Raises StageFailed."""
    return _value(_MEMORY, printed) * _MIB


def tool(printed: Sequence[Printed]) -> str:
    """`sysbench 1.0.20`."""
    found = _VERSION.search(printed[0].text)
    return f"sysbench {found[1]}" if found else "sysbench"


def _common(threads: int, seconds: float) -> list[str]:
    return [f"--threads={threads}", f"--time={seconds:.0f}", "--report-interval=1"]


def _value(pattern: re.Pattern[str], printed: Printed) -> float:
    found = pattern.findall(printed.text)
    if printed.code != 0 or len(found) != 1:
        raise StageFailed(f"sysbench ended with {printed.code} and no result\n{printed.last}")
    return float(found[0])


def _number(found: re.Match[str] | None) -> float | None:
    return float(found[1]) if found else None
