"""An analysis as CSV: one line a machine and metric, and one for each finding without a metric."""

from __future__ import annotations

import csv
import io
import math

import numpy as np

from edeploy.health.analysis import Analysis
from edeploy.health.judge import Judged
from edeploy.health.rules import Verdict

COLUMNS = (
    "node", "group", "verdict", "metric", "unit", "better", "metric_verdict", "loss", "z", "q", "n",
    "runs", "beyond", "value", "median", "limit", "why",
)  # fmt: skip


def as_csv(analysis: Analysis) -> str:
    """The table: machines worst first, metrics in their order. `verdict` is the machine's."""
    lines: list[list[list[str]]] = [[] for _ in analysis.evidence.machines]
    words = [""] * len(lines)
    for judgement in analysis.judgements:
        words[judgement.machine] = judgement.verdict.word
    for block in analysis.judged:
        _add_block(block, analysis, words, lines)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for judgement in analysis.judgements:
        number = judgement.machine
        machine = analysis.evidence.machines[number]
        start = [machine.node, analysis.groups.label(number), judgement.verdict.word]
        writer.writerows(lines[number])
        for finding in judgement.findings:
            if finding.comparison is None:
                said = finding.said or (finding.difference.text() if finding.difference else "")
                empty = [""] * (len(COLUMNS) - 8)
                about = [finding.component.value, "", "", finding.verdict.word]
                writer.writerow([*start, *about, *empty, said])
        if not lines[number] and not judgement.findings:
            writer.writerow([*start, *[""] * (len(COLUMNS) - 4), judgement.why])
    return stream.getvalue()


def _add_block(
    block: Judged, analysis: Analysis, words: list[str], lines: list[list[list[str]]]
) -> None:
    cells = block.cells
    with np.errstate(invalid="ignore"):
        loss = -np.expm1(cells.level)
    limit = -np.expm1(-cells.limit)
    for row, where in enumerate(block.cohort.rows):
        machine = where.machine
        node, group = analysis.evidence.machines[machine].node, analysis.groups.label(machine)
        for column in np.flatnonzero(np.isfinite(cells.level[row])).tolist():
            about = block.columns[column]
            lines[machine].append(
                [
                    node,
                    group,
                    words[machine],
                    about.of(where),
                    about.unit,
                    "lower" if about.lower else "higher",
                    Verdict(int(cells.verdict[row, column])).word,
                    f"{loss[row, column]:.4f}",
                    _number(cells.z[row, column], ".2f"),
                    _number(cells.q[row, column], ".3g"),
                    str(cells.members[column]),
                    str(cells.runs[row, column]),
                    str(cells.odd[row, column]),
                    f"{cells.value[row, column]:.6g}",
                    f"{cells.median[column]:.6g}",
                    f"{limit[column]:.4f}",
                    "",
                ]
            )


def _number(number: float, form: str) -> str:
    return format(number, form) if math.isfinite(number) else ""
