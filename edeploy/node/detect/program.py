"""The few programs that probes run."""

from __future__ import annotations

from edeploy.node import timeouts
from edeploy.run import run


def output(*argv: str) -> str:
    """What a program prints; raises EdeployError when it is missing, fails or is late."""
    return run(argv, timeout=timeouts.PROBE_PROGRAM).out
