"""The trash of a store: what was replaced or removed, kept for those who still read it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def discard(path: Path, trash: Path) -> None:
    """Take a folder out of sight. Who is in it - rsync with a machine's fetch - goes on reading."""
    trash.mkdir(exist_ok=True)
    path.rename(trash / f"{path.name}-{time.time_ns()}")


def empty(trash: Path) -> bool:
    """Remove what no process of this machine uses; whether nothing is left."""
    there = list(trash.iterdir()) if trash.is_dir() else []
    used = (
        {path for path in _used_paths() if path.startswith(f"{trash.resolve()}/")} if there else ()
    )
    kept = {Path(path).relative_to(trash.resolve()).parts[0] for path in used}
    for path in there:
        if path.name not in kept:
            remove_tree(path)
    return not kept


def remove_tree(folder: Path) -> None:
    """Remove a folder with all in it; it may be gone already."""
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)


def _used_paths() -> Iterator[str]:
    """The folders that processes are in or have open, under the names that they have now."""
    for process in Path("/proc").glob("[0-9]*"):
        links = [process / "cwd", process / "root"]
        with suppress(OSError):
            links += (process / "fd").iterdir()
        for link in links:
            with suppress(OSError):
                yield os.readlink(link)
