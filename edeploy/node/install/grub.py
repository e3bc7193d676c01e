"""GRUB on a new machine: its settings, a loader for UEFI, and the entries of an image that starts
as the only system of its disk."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edeploy.node.boot.grub import TIMEOUT_SECONDS, consoles, quoted
from edeploy.node.boot.kernels import Kernel

CONFIG = "/boot/grub/grub.cfg"
EARLY = "/boot/grub/x86_64-efi/edeploy.cfg"
EARLY_MODULES = ("part_gpt", "part_msdos", "ext2", "xfs", "search_fs_uuid", "normal")


@dataclass(frozen=True)
class Boot:
    """How such a system boots: all of the kernel's arguments, GRUB's commands after which it sees
    /boot, the path of /boot in its file system, and GRUB's command for the serial port."""

    title: str
    access: tuple[str, ...]
    boot_path: str
    kernels: tuple[Kernel, ...]
    arguments: str
    serial: str


def drop_in(arguments: str, serial: str) -> str:
    """The settings by which update-grub writes what `config` does."""
    quoted_text = re.sub(r'([\\"$`])', r"\\\1", arguments)
    lines = [
        "# Written when this machine was installed; run update-grub after a change.",
        f'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX {quoted_text}"',
        f"GRUB_TIMEOUT={TIMEOUT_SECONDS}",
    ]
    if serial:
        lines += ["GRUB_TERMINAL='console serial'", f"GRUB_SERIAL_COMMAND='{serial}'"]
    return "\n".join([*lines, ""])


def config(boot: Boot) -> str:
    """grub.cfg."""
    lines = [
        "# Written when this machine was installed; update-grub writes it anew from",
        "# /etc/default/grub and /etc/default/grub.d/edeploy.cfg.",
        "set default=0",
        f"set timeout={TIMEOUT_SECONDS}",
    ]
    lines += [*boot.access, *consoles(boot.serial)]
    for kernel in boot.kernels:
        lines += [
            f"menuentry {quoted(f'{boot.title}, Linux {kernel.version}')} {{",
            f"\tlinux {boot.boot_path}/{kernel.file} {boot.arguments}",
            *([f"\tinitrd {boot.boot_path}/{kernel.initrd}"] if kernel.initrd else []),
            "}",
        ]
    return "\n".join([*lines, ""])


def early(boot_uuid: str, boot_path: str) -> str:
    """What UEFI's loader does first: find the file system with /boot, whatever disk it is on."""
    return f"search.fs_uuid {boot_uuid} root\nset prefix=($root){boot_path}/grub\n"


def early_words(loader: str) -> list[str]:
    """The command that makes UEFI's loader with `early` in it, to be run inside the new root."""
    words = ["grub-mkimage", "--format=x86_64-efi", f"--output={loader}", "--prefix=/boot/grub"]
    return [*words, f"--config={EARLY}", *EARLY_MODULES]
