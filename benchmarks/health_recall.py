"""How small a loss the health check finds, and how often it blames a good machine.

Faults are injected into real residuals: STREAM figures of cloud nodes that nothing speaks against,
5 runs each, of which 3 are drawn. Prints recall and false alarms over group size and loss, and
writes the curve as an SVG.

    .venv/bin/python benchmarks/health_recall.py [--data FOLDER] [--svg FILE]
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edeploy.health import robust
from edeploy.health.analysis import analyze
from edeploy.health.judge import Terms, judge_cube
from edeploy.health.measurements import Floats
from edeploy.health.rules import RUNS_TO_FAIL, Verdict
from edeploy.health.sources import read

CHECKOUT = Path(__file__).parents[1]
DATA = CHECKOUT.parent / "shared/data/ahc/cloud"
NOISE_FLOOR, EFFECT_FLOOR = 0.01, 0.05
SIZES = (3, 5, 8, 16, 32, 64)
LOSSES = (0.03, 0.05, 0.06, 0.07, 0.08, 0.10, 0.12, 0.15, 0.20)
PROMISED_SIZE, PROMISED_LOSS = 8, 0.10


@dataclass(frozen=True)
class Pool:
    """Healthy nodes' logarithms of the ratio to the median, `[node, run]`, of one metric."""

    name: str
    ratios: Floats

    @property
    def sigma(self) -> float:
        """The robust scale of single runs."""
        return float(robust.scale(self.ratios.reshape(-1, 1), 0)[0])


@dataclass(frozen=True)
class Rates:
    """Shares: faults that failed, that were named at all, and good figures that were so."""

    recall: float
    named: float
    false_fail: float
    false_named: float
    good: int


def pools(data: Path) -> list[Pool]:
    """The residuals of every metric with more than 3 runs, of nodes without any finding."""
    analysis = analyze(read([data]))
    flagged = {one.machine for one in analysis.judgements if one.verdict is not Verdict.PASS}
    found = []
    for block in analysis.judged:
        healthy = [n for n, row in enumerate(block.cohort.rows) if row.machine not in flagged]
        for column, about in enumerate(block.columns):
            ratios = block.cells.ratios[healthy, column]
            whole = ratios[np.isfinite(ratios).all(axis=1)]
            if whole.shape[1] > RUNS_TO_FAIL and len(whole):
                found.append(Pool(f"{block.cohort.label} {about.label}", whole))
    return found


def rates(chosen: list[Pool], size: int, loss: float, trials: int, seed: int) -> Rates:
    """Judge `trials` groups of `size` nodes, one of which is slower by `loss` in all its runs."""
    random = np.random.default_rng(seed)
    able = [pool for pool in chosen if len(pool.ratios) >= size]
    cube = np.empty((size, trials, RUNS_TO_FAIL))
    for trial in range(trials):
        ratios = able[int(random.integers(len(able)))].ratios
        nodes = random.choice(len(ratios), size, replace=False)
        runs = random.choice(ratios.shape[1], RUNS_TO_FAIL, replace=False)
        cube[:, trial] = np.exp(ratios[np.ix_(nodes, runs)])
    cube[0] *= 1 - loss
    terms = Terms(
        noise=np.full(trials, NOISE_FLOOR),
        effect=np.full(trials, EFFECT_FLOOR),
        lower=np.zeros(trials, dtype=np.bool_),
        named_runs=True,
    )
    verdict = judge_cube(cube, terms).verdict
    named = verdict >= Verdict.RETEST
    fail = verdict == Verdict.FAIL
    return Rates(
        float(fail[0].mean()),
        float(named[0].mean()),
        float(fail[1:].mean()),
        float(named[1:].mean()),
        fail[1:].size,
    )


def quiet(found: list[Pool]) -> list[Pool]:
    """The metrics whose runs scatter by 1 % or less."""
    return [pool for pool in found if pool.sigma <= 0.01]


def noisy(found: list[Pool]) -> list[Pool]:
    """The metrics whose runs scatter by 2.5 % or more."""
    return [pool for pool in found if pool.sigma >= 0.025]


def table(chosen: list[Pool], trials: int) -> dict[int, list[Rates]]:
    """The rates over size and loss."""
    return {
        size: [rates(chosen, size, loss, trials, seed=size) for loss in LOSSES] for size in SIZES
    }


def show(title: str, found: dict[int, list[Rates]]) -> None:
    print(title)
    print("  n  " + "".join(f"{100 * loss:>8.0f} %" for loss in LOSSES) + "   false fail  named")
    for size, row in found.items():
        good = sum(one.good for one in row)
        false = sum(one.false_fail * one.good for one in row) / good
        named = sum(one.false_named * one.good for one in row) / good
        cells = "".join(f"{100 * one.recall:>8.1f} %" for one in row)
        print(f"{size:>3}  {cells}   {100 * false:.3f} %   {100 * named:.3f} %")


def svg(panels: list[tuple[str, dict[int, list[Rates]]]]) -> str:
    """Recall over loss, a line a group size, side by side."""
    colours = ("#b9d4e8", "#8fbbdc", "#5a9fce", "#2368a8", "#174a7c", "#0b2a4a")
    width, height, left, top = 360, 250, 52, 44
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{len(panels) * (width + 70) + 60}" '
        f'height="{height + 130}" font-family="sans-serif" font-size="12" fill="#1d1d1b">',
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for number, (title, found) in enumerate(panels):
        start = left + number * (width + 70)

        def x(loss: float, start: int = start) -> float:
            return round(start + loss / max(LOSSES) * width, 1)

        def y(share: float) -> float:
            return round(top + (1 - share) * height, 1)

        parts.append(f'<text x="{start}" y="24" font-weight="bold">{title}</text>')
        for share in (0, 0.25, 0.5, 0.75, 0.95, 1):
            dash = ' stroke-dasharray="4 3"' if share == 0.95 else ""
            parts.append(f'<path d="M{start} {y(share)}h{width}" stroke="#d9d9d4"{dash}/>')
            text = f"{100 * share:.0f} %"
            parts.append(
                f'<text x="{start - 6}" y="{y(share) + 4}" text-anchor="end">{text}</text>'
            )
        for loss in (0, 0.05, 0.10, 0.15, 0.20):
            text = f"{100 * loss:.0f} %"
            at = y(0) + 18
            parts.append(f'<text x="{x(loss)}" y="{at}" text-anchor="middle">{text}</text>')
        at = y(0) + 38
        parts.append(f'<text x="{start + width / 2}" y="{at}" text-anchor="middle">loss</text>')
        for colour, row in zip(colours, found.values(), strict=True):
            points = " ".join(
                f"{x(loss)},{y(one.recall)}" for loss, one in zip(LOSSES, row, strict=True)
            )
            parts.append(
                f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5"/>'
            )
    for place, (colour, size) in enumerate(zip(colours, SIZES, strict=True)):
        at = left + place * 80
        end = height + 112
        parts.append(f'<path d="M{at} {end - 4}h22" stroke="{colour}" stroke-width="2.5"/>')
        parts.append(f'<text x="{at + 28}" y="{end}">n = {size}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--svg", type=Path, default=CHECKOUT / "docs/reference/health-recall.svg")
    parser.add_argument("--trials", type=int, default=4000)
    options = parser.parse_args()
    if not options.data.is_dir():
        raise SystemExit(f"{options.data}: no such folder; name one with STREAM figures by --data")
    found = pools(options.data)
    panels = []
    for title, chosen in (
        ("runs scatter by 1 % or less", quiet(found)),
        ("runs scatter by 2.5 to 3.5 %", noisy(found)),
    ):
        rows = table(chosen, options.trials)
        show(f"{title}: {len(chosen)} metrics, {options.trials} groups each", rows)
        panels.append((f"{title}, 3 runs", rows))
    promise = rates(quiet(found), PROMISED_SIZE, PROMISED_LOSS, options.trials, seed=1)
    print(f"n = {PROMISED_SIZE}, {100 * PROMISED_LOSS:.0f} %: recall {promise.recall:.4f}")
    options.svg.write_text(svg(panels))


if __name__ == "__main__":
    main()
