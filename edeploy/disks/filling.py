"""Installs an image on a disk that is a file: `python -m` runs this, in namespaces of its own.

The ways of an installation on a machine, with what a machine and its server would say known
beforehand: no script, both firmwares, no network.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import sys
import tempfile
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edeploy import atomic
from edeploy.disks.loop import loop_device
from edeploy.disks.own_files import write_own_files
from edeploy.errors import EdeployError
from edeploy.images.apart import serve_job
from edeploy.node import timeouts
from edeploy.node.detect.disks import all_disks
from edeploy.node.detect.tree import Tree
from edeploy.node.install import bootloader, layout, places
from edeploy.node.install.context import Decisions
from edeploy.node.install.disk import find_disk, fingerprint
from edeploy.node.install.finish import name_version
from edeploy.node.install.image import Contents
from edeploy.node.install.overlay import inside, lay_over
from edeploy.node.install.partition import carry_out
from edeploy.node.install.unpack import Unpacker
from edeploy.node.install.verify import refuse_differences
from edeploy.node.mounts import chrooted, mounted, unmount_all
from edeploy.run import run

_FIRMWARES = ("bios", "uefi")
# A cloud shows one of the consoles, a person the other. All that is mounted is in /etc/fstab:
# started by BIOS, systemd would like to have the ESP on /boot.
_ARGUMENTS = "console=tty0 console=ttyS0,115200 systemd.gpt_auto=no"
_LOADER = "/boot/grub/x86_64-efi/core.efi"
_PIECE = 1 << 20
# GRUB's own, and the package of Debian that has it.
_GRUB = {"i386-pc": "grub-pc-bin", "x86_64-efi": "grub-efi-amd64-bin"}


@dataclass(frozen=True)
class Order:
    """`file` is the disk, empty and as large as it shall be; the image's files; further arguments
    for its kernel; the text of root's authorized_keys."""

    file: str
    role: str
    version: str
    archive: str
    archive_sha256: str
    manifest: str
    signature: str
    kernel_arguments: str
    authorized_keys: str


def fill(order: Order, on_step: Callable[[str], None]) -> None:
    """Make the file a disk that starts the image. Raises EdeployError, ProgramFailed, OSError."""
    with (
        tempfile.TemporaryDirectory(prefix="edeploy-disk-", dir="/var/tmp") as name,
        mounted("tmpfs", Path(name), "-t", "tmpfs", "-o", "mode=0700") as place,
        loop_device(Path(order.file)) as device,
    ):
        root = place / "chroot"
        try:
            _install(order, device, root, on_step)
        finally:
            unmount_all(root)


def _install(order: Order, device: str, root: Path, on_step: Callable[[str], None]) -> None:
    image = _contents(order)
    decided = Decisions(order.role, order.version)
    decided.kernel_arguments = [_ARGUMENTS, *order.kernel_arguments.split()]
    plan = _plan(device, image)
    carry_out(plan, root, lambda _: None)
    on_step("unpacking")
    _unpack(order, root)
    atomic.sync_file_system(root)
    on_step("comparing it with the manifest")
    refuse_differences(root, image, f"{order.role} {order.version}", lambda done, total: None)
    _refuse_without_grub(root)
    on_step("making it start")
    overlay = places.overlay(root)
    write_own_files(root, overlay, fstab=layout.fstab(plan), authorized_keys=order.authorized_keys)
    bootloader.make_versions(root, image, decided, lambda _: None)
    lay_over(overlay, root)
    name_version(root, decided)
    _make_bootable(plan, root, decided)
    atomic.sync_file_system(root)


def _contents(order: Order) -> Contents:
    signature = Path(order.signature)
    return Contents(
        Path(order.manifest).read_bytes(), signature.read_bytes() if signature.is_file() else b""
    )


def _plan(device: str, image: Contents) -> layout.Plan:
    """One image has one set of UUIDs: disks of it are as equal as can be."""
    sha256, numbers = hashlib.sha256(image.manifest).hexdigest(), itertools.count()

    def new_uuid() -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{sha256} {next(numbers)}"))

    disk = find_disk(device, all_disks(Tree()))
    return layout.make_plan(layout.Wish(device), disk, _FIRMWARES, fingerprint(disk), new_uuid)


def _unpack(order: Order, root: Path) -> None:
    digest = hashlib.sha256()
    with open(order.archive, "rb") as stream, Unpacker(root) as unpacker:
        while piece := stream.read(_PIECE):
            digest.update(piece)
            unpacker.feed(memoryview(piece))
        unpacker.finish()
    if digest.hexdigest() != order.archive_sha256:
        raise EdeployError(
            f"{order.archive}: SHA-256 {digest.hexdigest()}, should be {order.archive_sha256}",
            "The archive in the store is damaged: build the image again.",
        )


def _refuse_without_grub(root: Path) -> None:
    for target, package in _GRUB.items():
        if not inside(root, Path("usr/lib/grub") / target).is_dir():
            raise EdeployError(
                f"the image has no GRUB for {target}",
                f"Add {package} and grub2-common to the role's packages, as the role base has.",
            )


def _make_bootable(plan: layout.Plan, root: Path, decided: Decisions) -> None:
    """GRUB for both firmwares, with one list of what it may start."""
    bios, uefi = (bootloader.TARGETS[kind] for kind in (False, True))
    with chrooted(root) as inside_root:
        words = bootloader.grub_words(uefi=False, disk=plan.disk.path)
        run([*inside_root, *words], timeout=timeouts.BOOT_LOADER)
        (root / "boot/grub" / uefi).mkdir()
        for target in (bios, uefi):
            bootloader.copy_modules(root, target)
        # Its settings are for a screen; those for a serial console are with the list.
        disk = bootloader.configure_grub(root, decided, inside_root, lambda _: None, uefi=True)
        if disk is None or disk.special:
            raise EdeployError(f"{plan.disk.path} has no partitions that GRUB can read")
        bootloader.make_loader(root, disk, inside_root, _LOADER)
    esp = plan.at("/boot/efi")
    if esp is None:
        raise EdeployError("the plan has no ESP")
    _put_on_esp(esp.device(plan.disk.path), root / _LOADER.lstrip("/"))


def _put_on_esp(device: str, loader: Path) -> None:
    """Copy UEFI's loader to the name that firmware starts on its own; kernels may lack FAT."""
    folder, _, name = bootloader.LOADER.removeprefix(f"{bootloader.ESP}/").rpartition("/")
    above = [f"::/{path}" for path in _folders(folder.split("/"))]
    # Its own idea of cylinders is of no interest.
    env = {"MTOOLS_SKIP_CHECK": "1"}
    run(["mmd", "-i", device, *above], env=env, timeout=timeouts.FIRMWARE)
    words = ["mcopy", "-i", device, str(loader), f"::/{folder}/{name}"]
    run(words, env=env, timeout=timeouts.FIRMWARE)
    atomic.sync_content(Path(device))


def _folders(names: Sequence[str]) -> list[str]:
    return ["/".join(names[: count + 1]) for count in range(len(names))]


def _parsed(text: str) -> Order:
    return Order(**json.loads(text))


if __name__ == "__main__":
    sys.exit(serve_job(_parsed, fill))
