"""Carries a plan out: the table, the file systems, the mount. The first write is here."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

from edeploy.errors import EdeployError
from edeploy.node import timeouts
from edeploy.node.detect.disks import Disk
from edeploy.node.detect.tree import Tree
from edeploy.node.install.disk import DiskChanged, fingerprint, refuse_if_used, wait_for
from edeploy.node.install.layout import Plan, Step, format_steps, mount_words, table_step
from edeploy.run import pasteable, run


def carry_out(plan: Plan, root: Path, log: Callable[[str], None]) -> None:
    """Write the plan's table and file systems, and mount the new root at `root`.

    Raises DiskInUse, DiskChanged before anything is written; ProgramFailed.
    """
    with _locked(plan.disk):
        refuse_if_used(Tree(), plan.disk)
        if fingerprint(plan.disk) != plan.fingerprint:
            raise DiskChanged(
                f"{plan.disk.path} has changed since the server accepted the plan",
                "Find out what else writes to it, then install again.",
            )
        _do(table_step(plan), log)
        _make_known(plan)
        for step in format_steps(plan):
            _do(step, log)
        root.mkdir(parents=True, exist_ok=True)
        _do(Step(tuple(mount_words(plan, root))), log)


def _make_known(plan: Plan) -> None:
    """Wait for the partitions' nodes, which a kernel that did not read the table again lacks."""
    devices = [part.device(plan.disk.path) for part in plan.partitions]
    if not all(map(os.path.exists, devices)):
        run(["partx", "-u", plan.disk.path], timeout=timeouts.FORMAT)
    wait_for(devices, patience=timeouts.DEVICE_NODES)


def _do(step: Step, log: Callable[[str], None]) -> None:
    log(pasteable(step.argv))
    run(step.argv, stdin=step.stdin, timeout=timeouts.FORMAT)


@contextlib.contextmanager
def _locked(disk: Disk) -> Iterator[None]:
    """udev leaves a disk alone while somebody has this lock. Without it, udev opens partitions just
    when the table is read again, and the kernel refuses that; and once a disk was written and
    closed, udev has its table read again, by which every partition is gone for a moment, unless
    one of them is mounted by then."""
    try:
        handle = os.open(disk.path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise EdeployError(f"{disk.path}: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
