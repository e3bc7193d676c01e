"""All processors at their full frequency for the time of a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edeploy.node.detect.tree import Tree

_CPUS = "sys/devices/system/cpu"
_WANTED = "performance"


@contextmanager
def at_full_speed(tree: Tree) -> Iterator[None]:
    """The governor `performance` for the time of the block, where there are governors."""
    before = _governors(tree)
    try:
        for file in before:
            _set(file, _WANTED)
        yield
    finally:
        for file, governor in before.items():
            _set(file, governor)


def _governors(tree: Tree) -> dict[Path, str]:
    found = {}
    for cpu in tree.names(_CPUS):
        folder = f"{_CPUS}/{cpu}/cpufreq"
        known = tree.text(f"{folder}/scaling_available_governors").split()
        now = tree.text(f"{folder}/scaling_governor")
        if _WANTED in known and now != _WANTED:
            found[tree.path(f"{folder}/scaling_governor")] = now
    return found


def _set(file: Path, governor: str) -> None:
    # A processor may be taken off line meanwhile.
    with suppress(OSError):
        file.write_text(governor)
