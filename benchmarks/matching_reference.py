"""Times of the reference implementation: run by a Python that has `hardware` 0.33.

Standard input: JSON, {"rounds": n, "cases": [[specs, report], …]}, both lists of rows of 4 texts.
Standard output: JSON, {"seconds": the best round, "matched": […]}.
"""

import json
import sys
import time

from hardware import matcher  # type: ignore[import-not-found]


def main() -> None:
    """Match all cases, so many times."""
    wanted = json.load(sys.stdin)
    cases = [([*map(tuple, specs)], [*map(tuple, rows)]) for specs, rows in wanted["cases"]]
    took = []
    for _ in range(wanted["rounds"]):
        began = time.process_time()
        matched = [matched_by(specs, rows) for specs, rows in cases]
        took.append(time.process_time() - began)
    json.dump({"seconds": min(took), "matched": matched}, sys.stdout)


def matched_by(specs: list[tuple[str, ...]], rows: list[tuple[str, ...]]) -> bool | None:
    """Whether a report matches; None when the reference ends by an exception."""
    try:
        return bool(matcher.match_all(rows, specs, {}, {}))
    except (ValueError, IndexError, RecursionError):
        return None


if __name__ == "__main__":
    main()
