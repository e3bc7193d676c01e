"""From an image of the store to a disk in a file, for a cloud or a virtual machine."""

from __future__ import annotations

import errno
import fcntl
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from edeploy import atomic, timeouts
from edeploy.disks import filling
from edeploy.disks.filling import Order
from edeploy.disks.formats import Format
from edeploy.errors import EdeployError
from edeploy.images.apart import done_apart
from edeploy.images.locks import together
from edeploy.images.store import Image, Record, Store
from edeploy.node.install.layout import ESP_SIZE, GIB, MIB, SMALLEST_ROOT
from edeploy.run import run

# What ext4 and GRUB want beside the image itself, and folders that are larger than tar's.
_ROOM = 1.15
_LOADERS = 128 * MIB
_TABLE = 4 * MIB


@dataclass(frozen=True)
class Wish:
    """`size` in bytes, None: with room to start; further arguments for the kernel; the text of
    OpenSSH's authorized_keys for root, or nothing."""

    format: Format
    size: int | None = None
    kernel_arguments: str = ""
    authorized_keys: str = ""


@dataclass(frozen=True)
class Made:
    """A disk's file: `size` is what a machine sees, `used` what it takes here, in bytes."""

    path: Path
    size: int
    used: int


def make_disk(
    store: Store, image: Image, output: Path, wish: Wish, *, on_step: Callable[[str], None]
) -> Made:
    """Make `output` a disk that starts `image` by BIOS and by UEFI.

    The file appears when it is whole; what was there by that name stays until then. Raises
    EdeployError, ProgramFailed, ProgramMissing, OSError.
    """
    if os.geteuid() != 0:
        raise EdeployError("making a disk needs root", "Run it with sudo.")
    record = image.record()
    size = _size(wish.size, record, image)
    _refuse_full(output.parent, record, wish.format)
    with _telling_of_the_disk(output), together(store.lock_file), _draft(output) as raw:
        os.truncate(raw, size)
        order = _order(image, record, raw, wish)
        done_apart(
            filling.__name__, asdict(order), on_step, what=f"the disk of {image}", where=str(raw)
        )
        if wish.format is Format.RAW:
            _show(raw, output)
        else:
            with _draft(output) as draft:
                on_step(f"writing {wish.format.value}")
                _convert(raw, draft, wish.format)
                _show(draft, output)
    return Made(output, size, output.stat().st_blocks * 512)


def smallest(record: Record) -> int:
    """Bytes of the smallest disk that holds the image, in whole MiB."""
    root = max(SMALLEST_ROOT, record.size * _ROOM + _LOADERS)
    return math.ceil((root + ESP_SIZE + _TABLE) / MIB) * MIB


def _size(wanted: int | None, record: Record, image: Image) -> int:
    least = smallest(record)
    if wanted is None:
        # Half as much again, and a GiB, for what the machine will have of its own.
        return math.ceil((least + record.size / 2 + GIB) / GIB) * GIB
    if wanted < least:
        raise EdeployError(
            f"{image} needs a disk of {math.ceil(least / MIB)} MiB at least",
            "Give more with --size, or leave it out.",
        )
    return wanted // MIB * MIB


def _refuse_full(folder: Path, record: Record, kind: Format) -> None:
    """A loop device tells of a full disk below when it is too late."""
    if not folder.is_dir():
        raise EdeployError(f"{folder}: there is no such folder", "Make it, or give --output.")
    copies = 2 if kind is Format.QCOW2 else 1
    needed = int((record.size * _ROOM + _LOADERS) * copies)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise EdeployError(
            f"{folder}: {free // MIB} MiB are free, and {needed // MIB} MiB may be needed",
            "Make room, or choose another folder with --output.",
        )


def _order(image: Image, record: Record, raw: Path, wish: Wish) -> Order:
    return Order(
        file=str(raw),
        role=image.role,
        version=image.version,
        archive=str(image.archive.resolve()),
        archive_sha256=record.archive_sha256,
        manifest=str(image.manifest.resolve()),
        signature=str(image.signature.resolve()),
        kernel_arguments=wish.kernel_arguments,
        authorized_keys=wish.authorized_keys,
    )


@contextmanager
def _draft(output: Path) -> Iterator[Path]:
    """A new hidden file beside `output`, gone at the end unless it was renamed; the lock on it
    tells those of the living from what a killed process left, which goes now."""
    prefix = f".{output.name}.making-"
    for old in output.parent.glob(f"{prefix}*"):
        with suppress(OSError), open(old, "rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            old.unlink()
    handle, name = tempfile.mkstemp(prefix=prefix, dir=output.parent)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield Path(name).resolve()
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)
        os.close(handle)


def _convert(raw: Path, target: Path, kind: Format) -> None:
    words = ["qemu-img", "convert", "-f", "raw", "-O", kind.value, raw, target]
    run(words, timeout=timeouts.ARCHIVE)


def _show(draft: Path, output: Path) -> None:
    atomic.sync_content(draft)
    draft.chmod(0o644)
    draft.rename(output)
    atomic.sync_folder(output.parent)


@contextmanager
def _telling_of_the_disk(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # What a loop device could not write is no more than an error of input and output.
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO)
        raise EdeployError(
            f"{error.filename or output}: {error.strerror or error}",
            f"Is {output.absolute().parent} full? Choose another folder with --output."
            if full
            else "",
        ) from error
