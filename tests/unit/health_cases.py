"""Small fleets for the health tests: CSV text, old reports, and how they are judged."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from edeploy.health.analysis import Analysis, Judgement, analyze
from edeploy.health.groups import Choice
from edeploy.health.sources import read

SHARED = Path(__file__).parents[3] / "shared" / "data" / "ahc"
Row = tuple[str, str, str, str | int]

# Noise of 0.3 % as of good machines, in no order.
NOISE = (0.1, -0.3, 0.4, -0.1, 0.0, 0.2, -0.4, 0.3, -0.2, 0.5, -0.5, 0.15, -0.25, 0.35, -0.15, 0.05)


def csv_of(values: Mapping[str, Mapping[str, Sequence[float]]], group: str = "rack") -> str:
    """CSV with runs 1, 2, … of node → metric → values."""
    lines = ["node,group,metric,unit,better,run,value"]
    for node, metrics in values.items():
        for metric, runs in metrics.items():
            lines += [f"{node},{group},{metric},,,{n},{value}" for n, value in enumerate(runs, 1)]
    return "\n".join(lines) + "\n"


def fleet(
    size: int, metrics: Sequence[str] = ("cpu/loops",), runs: int = 3
) -> dict[str, dict[str, list[float]]]:
    """`size` good nodes n1, n2, …; each run a little off."""
    return {
        f"n{node + 1}": {
            metric: [
                1000 * (1 + (NOISE[(node + 3 * place) % 16] + 0.1 * (run - 1)) / 100)
                for run in range(runs)
            ]
            for place, metric in enumerate(metrics)
        }
        for node in range(size)
    }


def slowed(values: list[float], loss: float) -> list[float]:
    """All runs lower by a share."""
    return [value * (1 - loss) for value in values]


def mac(serial: str) -> str:
    """A MAC that no other serial number has."""
    return "52:" + hashlib.sha256(serial.encode()).digest()[:5].hex(":")


def blade(
    serial: str,
    *,
    modules: int = 8,
    disks: int = 2,
    bios: str = "I31",
    measured: Mapping[str, float] | None = None,
    more: Sequence[Row] = (),
) -> list[Row]:
    """A report of a blade. `measured` maps `type/id/key` to a figure."""
    rows: list[Row] = [
        ("system", "product", "serial", serial),
        ("system", "product", "name", "Blade 1"),
        ("system", "product", "vendor", "ACME"),
        ("firmware", "bios", "version", bios),
        ("network", "eth0", "serial", mac(serial)),
        ("network", "eth0", "driver", "be2net"),
    ]
    for socket in (0, 1):
        rows += [
            ("cpu", f"physical_{socket}", "product", "Xeon 2650"),
            ("cpu", f"physical_{socket}", "cores", "8"),
        ]
    for bank in range(8):
        rows.append(("memory", f"bank:{bank}", "slot", f"DIMM {bank + 1}"))
        if bank < modules:
            rows.append(("memory", f"bank:{bank}", "size", str(16 << 30)))
    for disk in "abcdefgh"[:disks]:
        rows += [("disk", f"sd{disk}", "size", "300"), ("disk", f"sd{disk}", "model", "SAS15k")]
    for place, value in (measured or {}).items():
        kind, which, key = place.split("/")
        rows.append((kind, which, key, str(value)))
    return [*rows, *more]


def judge(path: Path, choice: Choice | None = None) -> Analysis:
    """Read and analyse."""
    return analyze(read([path]), choice)


def judge_csv(folder: Path, text: str, choice: Choice | None = None) -> Analysis:
    """Analyse CSV text."""
    (folder / "figures.csv").write_text(text)
    return judge(folder / "figures.csv", choice)


def judge_reports(
    folder: Path, reports: Sequence[Sequence[Row]], choice: Choice | None = None
) -> Analysis:
    """Analyse reports, a file each."""
    for number, rows in enumerate(reports):
        (folder / f"report{number:03}.hw").write_text(repr(list(rows)))
    return judge(folder, choice)


def by_node(analysis: Analysis) -> dict[str, Judgement]:
    """The judgements by the machine's name."""
    return {analysis.evidence.machines[one.machine].node: one for one in analysis.judgements}


def verdicts(analysis: Analysis) -> dict[str, str]:
    """The verdict of each node, as a word."""
    return {node: one.verdict.word for node, one in by_node(analysis).items()}


def as_rows(rows: Sequence[Row]) -> str:
    """A report as JSON."""
    return json.dumps(rows)
