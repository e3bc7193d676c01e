"""Where an installation keeps what: everything beside the new system's root."""

from __future__ import annotations

from pathlib import Path


def overlay(root: Path) -> Path:
    """The machine's own files, as they will lie under its root; eDeploy's name for it."""
    return root.parent / "post_rsync"


def work(root: Path) -> Path:
    """What is needed while it runs: in memory, readable by root only."""
    return root.parent / "run/edeploy/install"
