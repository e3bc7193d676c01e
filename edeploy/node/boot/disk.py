"""The disk under a machine's versions, as a boot loader and a kernel have to find it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.node import timeouts
from edeploy.node.detect.tree import Tree
from edeploy.node.mounts import Mount, holding
from edeploy.run import run

_MODULES = {"ext4": "ext2", "ext3": "ext2", "ext2": "ext2", "xfs": "xfs", "btrfs": "btrfs"}
# GRUB writes nowhere else: it takes the blocks of a file as they lie on one plain partition.
_WRITABLE = ("ext2", "ext3", "ext4", "xfs", "vfat")


@dataclass(frozen=True)
class BootDisk:
    """`root`: the kernel's arguments for the root file system; `access`: GRUB's commands after
    which it sees /boot; `uuid`: that of the file system with /boot; `prefix`: the path of /boot
    in it; `special`: it is on RAID or LVM; `why`: the reason why GRUB cannot write there, "" when
    it can."""

    root: str
    access: tuple[str, ...]
    uuid: str
    prefix: str
    special: bool = False
    why: str = ""


def boot_folder(root: Path) -> Path:
    """Where the boot loader's files are, when the root file system of the disk is at `root`.

    In a version that runs, the disk's root is at /sysroot, and a file system for /boot at /boot.
    """
    mine, running = root / "boot", root.parent / "boot"
    if root.name == "sysroot" and running.is_dir() and not _same(mine, running):
        return running
    return mine


def _same(one: Path, other: Path) -> bool:
    return one.is_dir() and os.path.samefile(one, other)


def boot_disk(root: Path) -> BootDisk:
    """The disk whose root file system is at `root`. Raises EdeployError, ProgramFailed."""
    boot = boot_folder(root)
    system, loader = holding(root), holding(boot)
    relative = boot.resolve().relative_to(loader.point)
    prefix = os.path.normpath(os.path.join(loader.folder, str(relative))).rstrip("/")
    uuid = uuid_of(loader.source)
    access = (*_modules(loader), f"search --no-floppy --fs-uuid --set=root {uuid}")
    special, why = not plain_partition(loader), _why_not_written(loader)
    return BootDisk(_root_arguments(system), access, uuid, prefix, special, why)


def uuid_of(device: str) -> str:
    """The UUID of the file system on a device."""
    words = ["blkid", "-p", "-o", "value", "-s", "UUID", device]
    uuid = str(run(words, timeout=timeouts.FIRMWARE).out).strip()
    if not uuid:
        raise EdeployError(f"{device}: its file system has no UUID")
    return uuid


def plain_partition(mount: Mount) -> bool:
    """Whether a file system lies on a partition itself: no RAID, LVM or encryption between."""
    name = os.path.basename(os.path.realpath(mount.source))
    return Tree().number(f"sys/class/block/{name}/partition") is not None


def _root_arguments(system: Mount) -> str:
    text = f"root=UUID={uuid_of(system.source)} ro"
    if system.kind == "btrfs" and system.folder not in ("", "/"):
        return f"{text} rootflags=subvol={system.folder.lstrip('/')}"
    return text


def _why_not_written(loader: Mount) -> str:
    if loader.kind not in _WRITABLE:
        return f"/boot is on {loader.kind}"
    if not plain_partition(loader):
        return f"/boot is on {loader.source}, which is no partition of a disk"
    return ""


def _modules(loader: Mount) -> list[str]:
    names = ["part_gpt", "part_msdos", _MODULES.get(loader.kind, loader.kind)]
    if not plain_partition(loader):
        names += ["diskfilter", "lvm", "mdraid09", "mdraid1x"]
    return [f"insmod {name}" for name in names]
