"""The kernels of a tree, and their copies beside the boot loader, one folder for each version."""

from __future__ import annotations

import errno
import filecmp
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edeploy import atomic
from edeploy.node.boot.loader import NotBootable

# Below the folder that the boot loader reads.
FOLDER = "edeploy"
LINUX, INITRD = "vmlinuz", "initrd"
_KERNEL = re.compile(r"vmlinuz-(.+)\Z")


class NoKernel(NotBootable):
    """A tree has no kernel under /boot."""


@dataclass(frozen=True)
class Kernel:
    """A kernel of a tree, names under /boot; `initrd` is empty for none."""

    version: str
    file: str
    initrd: str


def find_kernels(names: Iterable[str]) -> tuple[Kernel, ...]:
    """The kernels among the names in /boot, newest first. Raises NoKernel."""
    there = set(names)
    found = []
    for name in there:
        match = _KERNEL.match(name)
        if match and "rescue" not in name:
            version = match[1]
            choices = (f"initrd.img-{version}", f"initramfs-{version}.img", f"initrd-{version}")
            initrd = next((choice for choice in choices if choice in there), "")
            found.append(Kernel(version, name, initrd))
    if not found:
        raise NoKernel(
            "the image has no kernel: no /boot/vmlinuz-*",
            "Add one to the role's packages, such as linux-image-cloud-amd64.",
        )
    return tuple(sorted(found, key=lambda kernel: version_key(kernel.version), reverse=True))


def version_key(version: str) -> list[tuple[int, int, str]]:
    """Sorts 6.1.0-9 before 6.1.0-10."""
    parts = re.findall(r"\d+|[^\d]+", version)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]


def keep_kernel(tree: Path, boot: Path, name: str) -> Kernel:
    """Have the newest kernel of `tree` under `boot`/edeploy/`name`; what is there and equal stays.

    The folder appears whole. Raises NoKernel, OSError.
    """
    kernel = find_kernels(os.listdir(tree / "boot"))[0]
    wanted = {LINUX: tree / "boot" / kernel.file}
    if kernel.initrd:
        wanted[INITRD] = tree / "boot" / kernel.initrd
    place = boot / FOLDER / name
    if _same(wanted, place):
        return kernel
    draft = place.with_name(f".{name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for short, source in wanted.items():
        _bring(source, draft / short)
    atomic.sync_folder(draft)
    shutil.rmtree(place, ignore_errors=True)
    draft.rename(place)
    atomic.sync_folder(place.parent)
    return kernel


def drop_others(boot: Path, names: Iterable[str]) -> None:
    """Remove the kernels of all versions but `names`."""
    folder, kept = boot / FOLDER, set(names)
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name not in kept:
            shutil.rmtree(path)


def _same(wanted: dict[str, Path], place: Path) -> bool:
    """Whether all is there; by content, as files of equal size and time may differ."""
    if not place.is_dir() or sorted(os.listdir(place)) != sorted(wanted):
        return False
    return all(
        os.path.samefile(source, place / short) or filecmp.cmp(source, place / short, shallow=False)
        for short, source in wanted.items()
    )


def _bring(source: Path, target: Path) -> None:
    """A further name of the file, or a copy where that is not possible."""
    try:
        os.link(source.resolve(), target)
    except OSError as error:
        # Another file system; FAT on the ESP has no links at all.
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
            raise
        shutil.copyfile(source, target)
        atomic.sync_content(target)
