"""Loads the installed system's kernel, so that it starts without firmware and boot loader."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.node import timeouts
from edeploy.node.boot.grub import CONFIG
from edeploy.node.install.context import InstallContext
from edeploy.run import run

_LINUX = re.compile(r"\s*linux(?:efi|16)?\s+(\S+)\s*(.*)")
_MENU = re.compile(r"\s*menuentry\s+'([^']*)'")
_INITRD = re.compile(r"\s*initrd(?:efi|16)?\s+(\S+)")


class NoKernel(EdeployError):
    """The installed system has no boot entry that kexec could start."""


@dataclass(frozen=True)
class Entry:
    """A boot entry: paths as GRUB sees them, the kernel's arguments, the title for people."""

    kernel: str
    initrd: str
    arguments: str
    title: str = ""


def load_kernel(context: InstallContext) -> str:
    """Load what GRUB would boot, or the kernel that KEXEC_KERNEL names; returns its name.

    Raises NoKernel and ProgramFailed.
    """
    root = context.root
    wanted = context.arguments.kexec_kernel or ""
    entry = choose(entries(_config(root)), wanted)
    kernel, initrd = _find(root, entry.kernel), _find(root, entry.initrd) if entry.initrd else None
    words = ["kexec", "--load", str(kernel), f"--command-line={entry.arguments}"]
    run([*words, *([f"--initrd={initrd}"] if initrd else [])], timeout=timeouts.PROGRAM)
    return kernel.name


def entries(text: str) -> list[Entry]:
    """The boot entries of a grub.cfg, in its order."""
    return list(_entries(text))


def choose(found: list[Entry], wanted: str) -> Entry:
    """The first entry, or the first whose kernel has the path or name `wanted`."""
    for entry in found:
        name = entry.kernel.rsplit("/", 1)[-1]
        names = (entry.kernel, name, name.partition("-")[2])
        # A version's kernel has a name of its own beside the boot loader.
        version = wanted.rsplit("/", 1)[-1].replace("vmlinuz-", "", 1)
        if not wanted or wanted in names or version in entry.title.split():
            return entry
    there = ", ".join(entry.kernel for entry in found) or "none"
    raise NoKernel(
        f"grub.cfg has no kernel {wanted}: there is {there}" if wanted else "grub.cfg has no kernel"
    )


def _entries(text: str) -> Iterator[Entry]:
    kernel, arguments, title = "", "", ""
    for line in text.splitlines():
        linux, initrd, menu = _LINUX.match(line), _INITRD.match(line), _MENU.match(line)
        if menu:
            title = menu[1]
        if linux:
            if kernel:
                yield Entry(kernel, "", arguments, title)
            # Words such as $vt_handoff are GRUB's variables, which are empty on servers.
            words = [word for word in linux.group(2).split() if not word.startswith("$")]
            kernel, arguments = linux.group(1), " ".join(words)
        elif initrd and kernel:
            yield Entry(kernel, initrd.group(1), arguments, title)
            kernel = ""
    if kernel:
        yield Entry(kernel, "", arguments, title)


def _config(root: Path) -> str:
    """The file with the entries: grub.cfg, or that of the versions, which it reads first."""
    folder = root / "boot/grub"
    versions = folder / CONFIG
    path = versions if versions.is_file() else folder / "grub.cfg"
    return path.read_text(errors="replace")


def _find(root: Path, name: str) -> Path:
    """The file, also when /boot is a file system of its own and GRUB's paths lack it."""
    for path in (root / name.lstrip("/"), root / "boot" / name.lstrip("/")):
        if path.is_file():
            return path
    raise NoKernel(f"grub.cfg names {name}, which is not there")
