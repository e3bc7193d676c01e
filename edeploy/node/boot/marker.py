"""Says that a trial is not over: only then the units of a trial have something to do at a start."""

from __future__ import annotations

from pathlib import Path

from edeploy import atomic
from edeploy.node.upgrade.places import Places

NAME = "on-trial"


class Marker:
    """The file /edeploy/on-trial with the name of the version."""

    def __init__(self, places: Places) -> None:
        self._path: Path = places.top / NAME

    def put(self, name: str) -> None:
        """Write it; raises OSError."""
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        atomic.write(self._path, f"{name}\n")

    def read(self) -> str:
        """The version on trial, "" for none."""
        return self._path.read_text().strip() if self._path.is_file() else ""

    def take(self) -> None:
        """Remove it."""
        if self._path.exists():
            self._path.unlink()
            atomic.sync_folder(self._path.parent)
