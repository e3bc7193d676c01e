"""Which version runs, and where the disk is on which all of them lie."""

from __future__ import annotations

from pathlib import Path

CMDLINE = Path("/proc/cmdline")
ARGUMENT = "edeploy="
TRIAL = "edeploy.trial"


def booted(cmdline: str) -> str:
    """The version named on a kernel's command line; "" is the root file system itself.

    A version that was not there when the machine started did not start: see `running`.
    """
    words = [word for word in cmdline.split() if word.startswith(ARGUMENT)]
    return words[-1][len(ARGUMENT) :] if words else ""


def running(root: Path = Path("/")) -> str:
    """The version that runs now, "" when it is the root file system itself."""
    name = booted((root / "proc/cmdline").read_text())
    return name if name and (root / "sysroot/edeploy/deploy" / name).is_dir() else ""


def physical_root(root: Path = Path("/")) -> Path:
    """Where the root file system of the disk is: `/sysroot` in a version, else `/`."""
    return root / "sysroot" if running(root) else root
