"""What was written reaches its place on the disk, where a boot loader looks for it."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from pathlib import Path

from edeploy import atomic

# linux/fs.h: _IOWR('X', 119, int) and _IOWR('X', 120, int)
FIFREEZE, FITHAW = 0xC0045877, 0xC0045878


def flush(folder: Path) -> None:
    """Write out the file system of `folder`, its journal as well. Raises OSError.

    GRUB reads past the journal, so a sync is not enough: freezing writes all into its place. The
    file system stands still for that moment, so nothing may come between that touches it.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        atomic.sync_file_system(folder)
        try:
            fcntl.ioctl(handle, FIFREEZE, 0)
        except OSError as error:
            # FAT has no journal; somebody else may freeze just now; a container may not.
            if error.errno not in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EBUSY, errno.EPERM):
                raise
        else:
            fcntl.ioctl(handle, FITHAW, 0)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        os.close(handle)
