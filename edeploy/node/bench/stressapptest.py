"""stressapptest: its arguments, and whether it found wrong words in memory."""

from __future__ import annotations

import re

from edeploy.node.bench.programs import Printed, StageFailed

_RESULT = re.compile(r"with (\d+) hardware incidents, (\d+) errors")
_REVISION = re.compile(r"SAT revision ([\d.]+)")
_MIB = 1 << 20


def words(seconds: float, memory: int) -> list[str]:
    """Copy and check so many bytes of memory, with the more stressful copy (-W)."""
    return ["stressapptest", "-W", "-s", f"{seconds:.0f}", "-M", str(max(1, memory // _MIB))]


def wrong(printed: Printed) -> int:
    """How many wrong results it found, 0 for a good end. Raises StageFailed when it says neither.

    It ends with 1 both for wrong results and when it could not begin; its last line tells which.
    """
    found = _RESULT.search(printed.text)
    if printed.code == 0 and "Status: PASS" in printed.text:
        return 0
    if "Status: FAIL" in printed.text and found:
        return max(1, int(found[1]) + int(found[2]))
    raise StageFailed(f"stressapptest ended with {printed.code} and no verdict\n{printed.last}")


def tool(printed: Printed) -> str:
    """`stressapptest 1.0.6`."""
    found = _REVISION.search(printed.text)
    return f"stressapptest {found[1]}" if found else "stressapptest"
