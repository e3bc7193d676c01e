"""Seconds and memory to judge a large fleet, and to open its report in a browser.

    .venv/bin/python benchmarks/health_judge.py [--machines 5000] [--metrics 400] [--runs 3]

Figures are made up: noise of 1 % (random disk reads 2 %, writes 5 %), every two-hundredth machine
slower by 10 to 40 % in one part. With --csv they also go through a CSV file.
"""

import argparse
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from edeploy.health import catalogue
from edeploy.health.analysis import analyze
from edeploy.health.evidence import Evidence, Machine
from edeploy.health.measurements import Metric, Values
from edeploy.health.report.headline import headline
from edeploy.health.report.page import as_html
from edeploy.health.sources import read

TESTS = (
    *("cpu/loops", "cpu/primes", "memory/node_0/write", "memory/node_1/write", "network/eth0/tcp"),
    *(f"disk/sd{disk}/{test}" for disk in "abc" for test in ("read_1M", "randread_4k", "write_1M")),
)
FAULTY = 200


def metrics(count: int) -> tuple[Metric, ...]:
    """`count` metrics of all parts, ten disks at most."""
    labels = (f"{TESTS[n % len(TESTS)]}_{n // len(TESTS)}" for n in range(count))
    return tuple(catalogue.metric(label, "MB/s", None) for label in labels)


def evidence(machines: int, metric_count: int, runs: int) -> Evidence:
    """A fleet without facts, like one that a CSV names."""
    random = np.random.default_rng(1)
    kinds = metrics(metric_count)
    noise = np.array([catalogue.floors(kind).noise for kind in kinds])
    ratios = random.normal(0, 0.7, (machines, metric_count, 1))
    ratios = (ratios + random.normal(0, 0.7, (machines, metric_count, runs))) * noise[:, None]
    for faulty in range(0, machines, FAULTY):
        part = kinds[faulty // FAULTY % metric_count].component
        hit = [n for n, kind in enumerate(kinds) if kind.component is part]
        ratios[faulty, hit] += np.log(random.uniform(0.6, 0.9))
    machine, metric, run = np.meshgrid(
        np.arange(machines), np.arange(metric_count), np.arange(runs), indexing="ij"
    )
    values = Values(
        machine.ravel(), metric.ravel(), run.ravel(), 1000 * np.exp(ratios.ravel()), True
    )
    names = tuple(Machine(f"node{number:05}") for number in range(machines))
    return Evidence(names, kinds, values)


def through_csv(found: Evidence) -> float:
    """Seconds to read the same figures from a CSV file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "fleet.csv")
        with path.open("w") as stream:
            stream.write("node,metric,unit,run,value\n")
            values = found.values
            for machine, metric, run, value in zip(
                values.machine, values.metric, values.run, values.value, strict=True
            ):
                node, kind = found.machines[machine].node, found.metrics[metric]
                stream.write(f"{node},{kind.label},{kind.unit},{run},{value:.3f}\n")
        started = time.perf_counter()
        read([path])
        return time.perf_counter() - started


def opening(page: str, browser: str) -> float:
    """Seconds that a browser needs for a page beyond an empty one, screenshot included."""
    with tempfile.TemporaryDirectory() as folder:
        seconds = []
        for name, text in (("empty", "<!doctype html><p>x"), ("page", page)):
            path = Path(folder, f"{name}.html")
            path.write_text(text)
            runs = [_screenshot(path, Path(folder), browser) for _ in range(3)]
            seconds.append(statistics.median(runs))
        return seconds[1] - seconds[0]


def _screenshot(path: Path, folder: Path, browser: str) -> float:
    argv = [
        browser, "--headless", "--no-sandbox", "--disable-gpu",
        f"--user-data-dir={folder}/profile",
        f"--screenshot={folder}/shot.png",
        "--window-size=1280,1600",
        path.as_uri(),
    ]  # fmt: skip
    started = time.perf_counter()
    subprocess.run(argv, check=True, capture_output=True, timeout=120)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--machines", type=int, default=5000)
    parser.add_argument("--metrics", type=int, default=400)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--csv", action="store_true")
    options = parser.parse_args()
    found = evidence(options.machines, options.metrics, options.runs)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    seconds, busy = [], []
    for _ in range(options.times):
        started, started_busy = time.perf_counter(), time.process_time()
        analysis = analyze(found)
        seconds.append(time.perf_counter() - started)
        busy.append(time.process_time() - started_busy)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{options.machines} machines x {options.metrics} metrics x {options.runs} runs")
    print(
        f"judged in {statistics.median(seconds):.2f} s (median of {options.times}, "
        f"{min(seconds):.2f} to {max(seconds):.2f}), {statistics.median(busy):.2f} s of CPU; "
        f"peak memory {peak:.2f} GB, {before:.2f} of it the figures"
    )
    print(headline(analysis))
    started = time.perf_counter()
    page = as_html(analysis)
    print(f"report: {time.perf_counter() - started:.2f} s, {len(page.encode()) / 1e6:.2f} MB")
    browser = shutil.which("chromium")
    if browser:
        print(f"opened in chromium in {opening(page, browser):.2f} s more than an empty page")
    if options.csv:
        print(f"read from CSV in {through_csv(found):.1f} s")


if __name__ == "__main__":
    main()
