"""Says that a trial is not over: only then the units of a trial have something to do at a start."""

from __future__ import annotations

from pathlib import Path

from edeploy import atomic
from edeploy.node.upgrade.places import Places

NAME = "on-trial"


def boot_id(root: Path = Path("/")) -> str:
    """Which start of the machine this is, "" when the kernel does not say."""
    path = root / "proc/sys/kernel/random/boot_id"
    return path.read_text().strip() if path.is_file() else ""


class Marker:
    """The file /edeploy/on-trial: the name of the version, and in which start of the machine it
    was written; before the next one nothing has been tried."""

    def __init__(self, places: Places) -> None:
        self._path: Path = places.top / NAME

    def put(self, name: str) -> None:
        """Write it; raises OSError."""
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        atomic.write(self._path, f"{name}\n{boot_id()}\n")

    def read(self) -> str:
        """The version on trial, "" for none."""
        return self._line(0)

    def put_in(self, start: str) -> bool:
        """Whether it was written in this start of the machine."""
        return bool(start) and self._line(1) == start

    def take(self) -> None:
        """Remove it."""
        if self._path.exists():
            self._path.unlink()
            atomic.sync_folder(self._path.parent)

    def _line(self, number: int) -> str:
        lines = self._path.read_text().splitlines() if self._path.is_file() else []
        return lines[number].strip() if len(lines) > number else ""
