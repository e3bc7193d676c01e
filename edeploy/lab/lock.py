"""One `up` or `down` of a lab at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from edeploy.errors import EdeployError
from edeploy.lab.folder import LabFolder


class LabBusy(EdeployError):
    """Another process is taking this lab up or down."""


@contextmanager
def locked(folder: LabFolder) -> Iterator[None]:
    """Raises LabBusy at once when another has the lock, EdeployError when there can be none."""
    try:
        folder.root.mkdir(parents=True, exist_ok=True)
        stream = folder.lock.open("w")
    except OSError as error:
        raise EdeployError(
            f"{folder.root}: {error.strerror}",
            "The lab needs root, and a folder that it can write.",
        ) from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LabBusy(
                f"lab {folder.name}: another `lab up` or `lab down` is at work",
                "Wait for its end and try again.",
            ) from error
        yield
