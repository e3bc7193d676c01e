"""The programs that probes run, where they are there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Callable

from edeploy.errors import EdeployError
from edeploy.inventory.items import Item
from edeploy.node import timeouts
from edeploy.run import failure, run


def output(*argv: str) -> str:
    """What a program prints; raises EdeployError when it is missing, fails or is late."""
    return run(argv, timeout=timeouts.PROBE_PROGRAM).out


def printed(*argv: str) -> str:
    """What a program prints, whatever its exit status says; EdeployError when missing or late."""
    return run(argv, timeout=timeouts.PROBE_PROGRAM, check=False).out


def parsed(parse: Callable[[str], Iterable[Item]], *argv: str) -> Iterator[Item]:
    """What a program prints, as items; then raises EdeployError when it failed meanwhile."""
    done = run(argv, timeout=timeouts.PROBE_PROGRAM, check=False)
    yield from parse(done.out)
    if done.code:
        raise failure(done)


def why(error: EdeployError) -> str:
    """The error in one line, as the value of an item."""
    return " ".join(error.message.split())


def first_of(*names: str) -> str:
    """The first of these programs that is in PATH; "" for none."""
    # Not shutil.which: that module takes longer to import than all that this does.
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    for name in names:
        if any(os.access(os.path.join(folder, name), os.X_OK) for folder in folders):
            return name
    return ""
