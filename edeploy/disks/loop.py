"""A file as a block device, for as long as a process has it open, however that ends."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edeploy.errors import EdeployError

# linux/loop.h
_GET_FREE = 0x4C82
_CONFIGURE = 0x4C0A
_AUTOCLEAR = 4
_PARTSCAN = 8
_CONTROL = Path("/dev/loop-control")
# Who comes first has the device; nobody makes so many at a time.
_TRIES = 64


@contextmanager
def loop_device(file: Path) -> Iterator[str]:
    """The path of a device with the content of `file`, which may have partitions.

    At the end all that was written is on the disk below. Raises EdeployError, OSError.
    """
    with open(file, "r+b") as backing:
        device, path = _configured(backing.fileno())
        try:
            yield path
            os.fsync(device)
        finally:
            os.close(device)


def _configured(backing: int) -> tuple[int, str]:
    try:
        control = os.open(_CONTROL, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise EdeployError(
            f"{_CONTROL}: {error.strerror}",
            "A disk is made by root, on a kernel with loop devices.",
        ) from error
    try:
        for _ in range(_TRIES):
            path = f"/dev/loop{fcntl.ioctl(control, _GET_FREE)}"
            device = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.ioctl(device, _CONFIGURE, _config(backing))
            except OSError as error:
                os.close(device)
                if error.errno != errno.EBUSY:
                    raise
            else:
                return device, path
    finally:
        os.close(control)
    raise EdeployError("every loop device is taken before it can be used", "Try again.")


def _config(backing: int) -> bytes:
    """struct loop_config: the file, its loop_info64 with nothing but flags, eight words unused."""
    info = struct.pack("=40xIIII160x16x", 0, 0, 0, _AUTOCLEAR | _PARTSCAN)
    return struct.pack("=II", backing, 0) + info + bytes(64)
