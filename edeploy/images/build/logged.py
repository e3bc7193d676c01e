"""Steps of a build inside a tree: output to the log, its last lines in the error."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from edeploy import timeouts
from edeploy.images.build.bench import Bench
from edeploy.images.build.chroot import in_chroot
from edeploy.run import LAST_LINES, ProgramFailed

FULL = "No space left on device"
_NEXT_TO_NOTHING = 1 << 20


def in_tree(
    bench: Bench,
    argv: list[str],
    *,
    what: str = "",
    shared: Path | None = None,
    timeout: float = timeouts.CHROOT_STEP,
    env: Mapping[str, str] | None = None,
) -> None:
    """Run a program in the tree. Raises ProgramFailed, and OSError when the disk is full."""
    settings = {**time_of(bench), **(env or {})}
    with told(bench.log, what or argv[0]) as log:
        in_chroot(
            bench.tree, argv, shared=shared or bench.shared, timeout=timeout, env=settings, log=log
        )


def time_of(bench: Bench) -> dict[str, str]:
    """What makes programs write the same whenever they run (reproducible-builds.org).

    Python's compiler then goes by what a source is, and not by its time, which may change.
    """
    return {"SOURCE_DATE_EPOCH": str(bench.epoch)}


@contextmanager
def told(path: Path, what: str) -> Iterator[IO[str]]:
    """The log, for a step; its failure is told as that of `what`, with the last lines of it."""
    start = path.stat().st_size
    try:
        with open(path, "a", encoding="utf-8") as log:
            yield log
    except ProgramFailed as error:
        text = path.read_bytes()[start:].decode("utf-8", "replace")
        if FULL in text or _is_full(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        lines = [line for line in re.split(r"[\r\n]+", text) if line.strip()][-LAST_LINES:]
        how = "not done in time, ended"
        if error.code is not None:
            how = f"exit status {error.code}"
            if error.code < 0:
                how = f"ended by signal {-error.code}"
        tail = "".join(f"\n  | {line}" for line in lines)
        raise ProgramFailed(f"{what}: {how}{tail}", code=error.code) from error


def _is_full(path: Path) -> bool:
    """The log that would say so may be on the same disk."""
    disk = os.statvfs(path)
    return disk.f_bavail * disk.f_frsize < _NEXT_TO_NOTHING
