"""An analysis as CSV: one line a machine and metric, and one for each finding without a metric."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator

import numpy as np

from edeploy.health.analysis import Analysis
from edeploy.health.judge import Judged
from edeploy.health.rules import Verdict

COLUMNS = (
    "node", "group", "verdict", "metric", "unit", "better", "metric_verdict", "loss", "z", "q", "n",
    "runs", "beyond", "value", "median", "limit", "why",
)  # fmt: skip
_NO_FIGURES = ("",) * 9
_WORDS = {int(verdict): verdict.word for verdict in Verdict}


def as_csv(analysis: Analysis) -> str:
    """The table: machines worst first, metrics in their order. `verdict` is the machine's."""
    rows_of: dict[int, list[tuple[Judged, int]]] = {}
    for block in analysis.judged:
        for row, where in enumerate(block.cohort.rows):
            rows_of.setdefault(where.machine, []).append((block, row))
    parts = [",".join(COLUMNS) + "\n"]
    for judgement in analysis.judgements:
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        start = [
            analysis.evidence.machines[judgement.machine].node,
            analysis.groups.label(judgement.machine),
            judgement.verdict.word,
        ]
        for block, row in rows_of.get(judgement.machine, ()):
            writer.writerows([*start, *cell] for cell in _cells(block, row))
        for finding in judgement.findings:
            if finding.comparison is None:
                said = finding.said or (finding.difference.text() if finding.difference else "")
                about = [finding.component.value, "", "", finding.verdict.word]
                writer.writerow([*start, *about, *_NO_FIGURES, said])
        if not stream.tell():
            writer.writerow([*start, "", "", "", "", *_NO_FIGURES, judgement.why])
        parts.append(stream.getvalue())
    return "".join(parts)


def _cells(block: Judged, row: int) -> Iterator[tuple[str, ...]]:
    """The columns from `metric` on, for each metric that a row has."""
    cells = block.cells
    there = np.flatnonzero(np.isfinite(cells.level[row]))
    columns = [block.columns[column] for column in there.tolist()]
    figures = zip(
        cells.verdict[row, there].tolist(),
        (-np.expm1(cells.level[row, there])).tolist(),
        cells.z[row, there].tolist(),
        cells.q[row, there].tolist(),
        cells.members[there].tolist(),
        cells.runs[row, there].tolist(),
        cells.odd[row, there].tolist(),
        cells.value[row, there].tolist(),
        cells.median[there].tolist(),
        (-np.expm1(-cells.limit[there])).tolist(),
        strict=True,
    )
    where = block.cohort.rows[row]
    for about, (verdict, loss, z, q, members, runs, odd, value, median, limit) in zip(
        columns, figures, strict=True
    ):
        yield (
            about.of(where),
            about.unit,
            "lower" if about.lower else "higher",
            _WORDS[verdict],
            f"{loss:.4f}",
            f"{z:.2f}" if math.isfinite(z) else "",
            f"{q:.3g}" if math.isfinite(q) else "",
            str(members),
            str(runs),
            str(odd),
            f"{value:.6g}",
            f"{median:.6g}",
            f"{limit:.4f}",
            "",
        )
