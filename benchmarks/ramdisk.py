"""Size of the `cloud` ramdisk, and seconds from its kernel's start to the agent, under emulation.

The kernel and ramdisk are started directly, without firmware; the seconds are the machine's own
clock since its kernel started, as the agent prints them.

    .venv/bin/python benchmarks/ramdisk.py [--runs N]
"""

import argparse
import os
import re
import statistics
import subprocess
from pathlib import Path

from rich.console import Console

from edeploy.images.store import Store
from edeploy.lab.demo import build_boot
from edeploy.server.settings import StoreSettings

CHECKOUT = Path(__file__).parents[1]
AGENT = re.compile(rb"edeploy +([0-9.]+) agent \S+ started")
PATIENCE = 120


def seconds_to_agent(kernel: Path, initrd: Path) -> float:
    """Boot once, until the agent's first line."""
    argv = [
        "timeout", str(PATIENCE),
        "qemu-system-x86_64",
        "-machine", "q35",
        "-accel", "tcg,thread=multi",
        "-cpu", "qemu64,-svm,+rdrand",
        "-smp", "2",
        "-m", "2048",
        "-nodefaults", "-display", "none",
        "-serial", "stdio",
        "-kernel", str(kernel),
        "-initrd", str(initrd),
        "-append", "console=ttyS0 SERV=192.0.2.1",
    ]  # fmt: skip
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as machine:
        assert machine.stdout is not None  # noqa: S101
        try:
            for line in machine.stdout:
                found = AGENT.search(line)
                if found:
                    return float(found[1])
        finally:
            machine.terminate()
    raise SystemExit(f"no agent within {PATIENCE} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    store = Store(StoreSettings().path)
    build_boot(store, CHECKOUT, Console(stderr=True))
    ramdisk = store.ramdisk("cloud")
    runs = [seconds_to_agent(ramdisk.kernel, ramdisk.initrd) for _ in range(options.runs)]
    sizes = (ramdisk.initrd.stat().st_size / 1e6, ramdisk.kernel.stat().st_size / 1e6)
    tools = ramdisk.tools.stat().st_size / 1e6
    print(
        f"cloud ramdisk {sizes[0]:.1f} MB, kernel {sizes[1]:.1f} MB, "
        f"programs of tests {tools:.1f} MB; {os.cpu_count()} cores"
    )
    print(
        f"kernel start to agent: median {statistics.median(runs):.1f} s, "
        f"{min(runs):.1f} to {max(runs):.1f} s in {len(runs)} runs"
    )


if __name__ == "__main__":
    main()
