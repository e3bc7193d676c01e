"""The phase `bootloader`: the machine's own files, and GRUB for the firmware it booted with."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Callable

from edeploy.errors import EdeployError
from edeploy.node import timeouts
from edeploy.node.boot import settings
from edeploy.node.boot.choice import grub_loader
from edeploy.node.boot.disk import BootDisk, boot_disk, plain_partition
from edeploy.node.boot.kernels import find_kernels
from edeploy.node.detect.system import firmware
from edeploy.node.detect.tree import Tree
from edeploy.node.install import grub, nvram, places
from edeploy.node.install.context import Decisions, InstallContext
from edeploy.node.install.deploy import deploy, why_alone
from edeploy.node.install.image import Contents
from edeploy.node.install.overlay import inside, lay_over, put
from edeploy.node.mounts import Mount, at, below, chrooted, holding, mount, unmount_all
from edeploy.node.upgrade.places import Places
from edeploy.node.upgrade.state import State, write_state
from edeploy.run import run

ESP = "boot/efi"
LOADER = f"{ESP}/EFI/BOOT/BOOTX64.EFI"
# GRUB's name of the platform: booted by UEFI, or not.
TARGETS = {True: "x86_64-efi", False: "i386-pc"}
CMDLINE = Path("/proc/cmdline")
# What the next version brings anew, whatever a configure script put there.
_OF_THE_IMAGE = frozenset(("usr", "bin", "sbin", "lib", "lib64"))


class NoEsp(EdeployError):
    """The machine booted by UEFI, but the new system's fstab has no /boot/efi."""


def bootloader(context: InstallContext) -> None:
    """Make the new root a system that boots on this machine."""
    make_versions(context.root, context.image, context.decisions, context.log)
    for path in lay_over(places.overlay(context.root), context.root):
        context.log(f"own file /{path}")
        if context.decisions.deployed and path.partition("/")[0] in _OF_THE_IMAGE:
            context.say(f"warning: /{path} is of this version only; an upgrade brings none")
    name_host(context.root, context.job.vars)
    uefi = firmware(Tree()) == "uefi"
    with contextlib.ExitStack() as stack:
        esp = stack.enter_context(_esp(context.root)) if uefi else None
        inside_root = stack.enter_context(chrooted(context.root))
        words = grub_words(uefi=uefi, disk=context.decisions.disk)
        run([*inside_root, *words], timeout=timeouts.BOOT_LOADER)
        copy_modules(context.root, TARGETS[uefi])
        disk = configure_grub(context.root, context.decisions, inside_root, context.log, uefi=uefi)
        if uefi and disk is not None and not disk.special:
            make_loader(context.root, disk, inside_root, f"/{LOADER}")
    if esp is not None:
        label_esp(context, esp)
        _register(context, esp)


def make_versions(
    root: Path, image: Contents, decided: Decisions, log: Callable[[str], None]
) -> None:
    """Make the new root the first of several versions, unless it must be the only one."""
    why = why_alone(root, image.entries)
    if why:
        log(f"the only system of its disk, which upgrades replace in place: {why}")
    else:
        decided.deployed = deploy(root, image, decided.role, decided.version)


def label_esp(context: InstallContext, esp: Mount) -> None:
    """Give the ESP the label by which the boot script of this machine finds its loader."""
    if not context.job.boot_label:
        return
    if _last(below(context.root), esp.point) is not None:
        # FAT is labelled on the device, which no file system may have in use.
        context.log("warning: the configure script keeps the ESP mounted; it gets no boot label")
        return
    run(["fatlabel", esp.source, context.job.boot_label], timeout=timeouts.FIRMWARE)


def name_host(root: Path, variables: Mapping[str, str]) -> None:
    """Give the system its host name: the machine's own file, else the variable `hostname`."""
    own = places.overlay(root) / "etc/hostname"
    name = own.read_text().strip() if own.is_file() else variables.get("hostname", "")
    if not re.match(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?\Z", name):
        return
    put(root, "/etc/hostname", f"{name}\n")
    hosts = inside(root, Path("etc/hosts"))
    text = hosts.read_text() if hosts.is_file() else "127.0.0.1 localhost\n::1 localhost\n"
    # As Debian's installer does: programs look their own name up, before any network is there.
    if not re.search(rf"^[^#\n]*\s{re.escape(name)}(\s|$)", text, re.MULTILINE):
        short = name.partition(".")[0]
        names = name if short == name else f"{name} {short}"
        put(root, "/etc/hosts", f"{text.rstrip()}\n127.0.1.1 {names}\n")


def grub_words(*, uefi: bool, disk: str) -> list[str]:
    """The grub-install command, to be run inside the new root."""
    # It writes each of 280 modules through to the disk: `copy_modules` brings the others.
    words = ["grub-install", f"--target={TARGETS[uefi]}", "--boot-directory=/boot"]
    words.append("--install-modules=normal")
    if not uefi:
        return [*words, disk]
    # Removable: the name that firmware starts without an entry in its memory.
    return [*words, f"--efi-directory=/{ESP}", "--removable", "--no-nvram"]


def copy_modules(root: Path, target: str) -> None:
    """Copy what grub-install was told to leave out of GRUB's modules, and lists of them."""
    source, place = inside(root, Path("usr/lib/grub") / target), root / "boot/grub" / target
    for path in sorted((*source.glob("*.mod"), *source.glob("*.lst"))):
        if place.is_dir() and not (place / path.name).exists():
            shutil.copy(path, place / path.name)


def configure_grub(
    root: Path,
    decided: Decisions,
    inside_root: Sequence[str],
    log: Callable[[str], None],
    *,
    uefi: bool,
) -> BootDisk | None:
    """Write GRUB's settings and what it shall start; None where GRUB's own tool did that."""
    own = settings.kernel_arguments(decided.kernel_arguments, CMDLINE.read_text())
    # UEFI's own console is on the serial port already.
    put(root, settings.DROP_IN, grub.drop_in(own, "" if uefi else settings.serial_command(own)))
    if decided.deployed:
        return _start_versions(root, decided.deployed, log)
    disk = boot_disk(root)
    if not (plain_partition(at(root)) and plain_partition(holding(root / "boot"))):
        # RAID and LVM need modules and names that GRUB's own tool knows.
        log("the root is no plain partition: update-grub")
        run([*inside_root, "update-grub"], timeout=timeouts.BOOT_LOADER)
        return None
    _start_alone(root, disk, settings.serial_command(own), log)
    return disk


def make_loader(root: Path, disk: BootDisk, inside_root: Sequence[str], loader: str) -> None:
    """Make UEFI's loader, at the path `loader` in the new root.

    That of grub-install looks on the disk that the firmware says it came from; started by iPXE
    from the ESP's label, it is told none.
    """
    put(root, grub.EARLY, grub.early(disk.uuid, disk.prefix))
    run([*inside_root, *grub.early_words(loader)], timeout=timeouts.BOOT_LOADER)


def _start_versions(root: Path, name: str, log: Callable[[str], None]) -> BootDisk:
    """Entries for the machine's versions, of which there is one."""
    places = Places(root / "sysroot")
    loader = grub_loader(places)
    loader.prepare([name], name)
    write_state(places.state, State(good=name))
    log(f"GRUB starts {name}; {loader.describe()}")
    return loader.disk


def _start_alone(root: Path, disk: BootDisk, serial: str, log: Callable[[str], None]) -> None:
    os_release = inside(root, Path("etc/os-release"))
    boot = grub.Boot(
        title=settings.title_of(os_release.read_text() if os_release.is_file() else ""),
        access=disk.access,
        boot_path=disk.prefix,
        kernels=find_kernels(os.listdir(root / "boot")),
        arguments=f"{disk.root} {settings.arguments_of(root)}",
        serial=serial,
    )
    put(root, grub.CONFIG, grub.config(boot))
    log(f"GRUB starts Linux {boot.kernels[0].version} with: {boot.arguments}")


def partition_of(device: str) -> tuple[str, int]:
    """The disk and the number of a partition, as /dev/NAME."""
    name = os.path.basename(os.path.realpath(device))
    tree = Tree()
    number = tree.number(f"sys/class/block/{name}/partition")
    if number is None:
        raise EdeployError(f"{device} is no partition")
    folder = tree.path(f"sys/class/block/{name}").resolve()
    return f"/dev/{folder.parent.name}", number


@contextlib.contextmanager
def _esp(root: Path) -> Iterator[Mount]:
    """The ESP at its place, for the time of the block; the configure script may have mounted it."""
    point = root / ESP
    there = _last(below(root), point)
    if there is None:
        source = _fstab_source(root, f"/{ESP}")
        mount(source, point, "-t", "vfat", "-o", "umask=0077")
    try:
        yield there or at(point)
    finally:
        if there is None:
            unmount_all(point)


def _fstab_source(root: Path, point: str) -> str:
    fstab = inside(root, Path("etc/fstab"))
    for line in fstab.read_text().splitlines() if fstab.is_file() else ():
        words = line.split()
        if len(words) > 1 and words[1] == point and not words[0].startswith("#"):
            return words[0]
    raise NoEsp(
        f"this machine booted by UEFI, and /etc/fstab names no file system for {point}",
        "Use layout(), or make an ESP and write it to /etc/fstab by config().",
    )


def _last(mounts: Sequence[Mount], point: Path) -> Mount | None:
    return next((entry for entry in reversed(mounts) if entry.point == point.resolve()), None)


def _register(context: InstallContext, esp: Mount) -> None:
    try:
        disk, number = partition_of(esp.source)
        context.log(f"boot order {nvram.register(disk, number)}")
    except (EdeployError, OSError) as error:
        # The loader has the name that every firmware starts on its own.
        context.log(f"warning: no entry in the firmware's memory: {error}")
