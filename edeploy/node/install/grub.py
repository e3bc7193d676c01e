"""GRUB's configuration: a small one written at once, and the settings that later make the same."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edeploy.errors import EdeployError

DROP_IN = "/etc/default/grub.d/edeploy.cfg"
CONFIG = "/boot/grub/grub.cfg"
TIMEOUT_SECONDS = 1
EARLY = "/boot/grub/x86_64-efi/edeploy.cfg"
EARLY_MODULES = ("part_gpt", "part_msdos", "ext2", "xfs", "search_fs_uuid", "normal")

_KERNEL = re.compile(r"vmlinuz-(.+)\Z")
_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?(GRUB_CMDLINE_LINUX(?:_DEFAULT)?)=(.*)")
_SERIAL = re.compile(r"ttyS(\d+)(?:,(\d+))?")
_MODULES = {"ext4": "ext2", "ext3": "ext2", "ext2": "ext2", "xfs": "xfs"}


class NoKernel(EdeployError):
    """The image has no kernel under /boot."""


@dataclass(frozen=True)
class Kernel:
    """A kernel of the image, names under /boot; `initrd` is empty for none."""

    version: str
    file: str
    initrd: str


@dataclass(frozen=True)
class Boot:
    """How the new system boots: UUIDs and types of the file systems with / and with /boot, all
    of the kernel's arguments but root=, and GRUB's command for the serial port."""

    title: str
    root_uuid: str
    boot_uuid: str
    boot_kind: str
    boot_path: str
    kernels: tuple[Kernel, ...]
    arguments: str
    serial: str
    uefi: bool = False


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


def role_arguments(texts: Iterable[str]) -> str:
    """GRUB_CMDLINE_LINUX and GRUB_CMDLINE_LINUX_DEFAULT of /etc/default/grub and its drop-ins,
    in the order in which they are read. Parsed, never run."""
    values: dict[str, str] = {}
    for line in (line for text in texts for line in text.splitlines()):
        match = _ASSIGNMENT.match(line)
        if match:
            try:
                words = shlex.split(match[2], comments=True)
            except ValueError:
                continue
            values[match[1]] = _expand(words[0] if words else "", values)
    both = (values.get("GRUB_CMDLINE_LINUX", ""), values.get("GRUB_CMDLINE_LINUX_DEFAULT", ""))
    return " ".join(text for text in both if text)


def _expand(text: str, values: Mapping[str, str]) -> str:
    return re.sub(
        r"\$\{?(GRUB_CMDLINE_LINUX(?:_DEFAULT)?)\}?", lambda match: values.get(match[1], ""), text
    ).strip()


def consoles(cmdline: str) -> str:
    """The console= arguments of a kernel's command line."""
    return " ".join(word for word in cmdline.split() if word.startswith("console="))


def kernel_arguments(wanted: Sequence[str], running: str) -> str:
    """The machine's own arguments for its kernel; the consoles of the kernel that runs now when
    nothing else names one."""
    text = " ".join(" ".join(wanted).split())
    if "console=" in text:
        return text
    return f"{consoles(running)} {text}".strip()


def serial_command(arguments: str) -> str:
    """GRUB's own command for the last serial console of a kernel's arguments, or an empty text."""
    found = _SERIAL.findall(consoles(arguments))
    if not found:
        return ""
    unit, speed = found[-1]
    return f"serial --unit={unit} --speed={speed or 9600}"


def drop_in(arguments: str, serial: str) -> str:
    """The settings by which update-grub writes what `config` does."""
    quoted = re.sub(r'([\\"$`])', r"\\\1", arguments)
    lines = [
        "# Written when this machine was installed; run update-grub after a change.",
        f'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX {quoted}"',
        f"GRUB_TIMEOUT={TIMEOUT_SECONDS}",
    ]
    if serial:
        lines += ["GRUB_TERMINAL='console serial'", f"GRUB_SERIAL_COMMAND='{serial}'"]
    return "\n".join([*lines, ""])


def config(boot: Boot) -> str:
    """grub.cfg."""
    lines = [
        "# Written when this machine was installed; update-grub writes it anew from",
        f"# /etc/default/grub and {DROP_IN}.",
        "set default=0",
        f"set timeout={TIMEOUT_SECONDS}",
    ]
    if boot.serial:
        lines += [boot.serial, "terminal_input console serial", "terminal_output console serial"]
    lines += [
        "insmod part_gpt",
        "insmod part_msdos",
        f"insmod {_MODULES.get(boot.boot_kind, boot.boot_kind)}",
        f"search --no-floppy --fs-uuid --set=root {boot.boot_uuid}",
    ]
    if boot.uefi:
        # Without it the kernel gets no screen from UEFI.
        lines += ["insmod all_video", "set gfxpayload=keep"]
    for kernel in boot.kernels:
        lines += [
            f"menuentry {_quoted(f'{boot.title}, Linux {kernel.version}')} {{",
            f"\tlinux {boot.boot_path}/{kernel.file} root=UUID={boot.root_uuid} ro "
            + boot.arguments,
            *([f"\tinitrd {boot.boot_path}/{kernel.initrd}"] if kernel.initrd else []),
            "}",
        ]
    return "\n".join([*lines, ""])


def early(boot: Boot) -> str:
    """What UEFI's loader does first: find the file system with /boot, whatever disk it is on."""
    return f"search.fs_uuid {boot.boot_uuid} root\nset prefix=($root){boot.boot_path}/grub\n"


def early_words(loader: str) -> list[str]:
    """The command that makes UEFI's loader with `early` in it, to be run inside the new root."""
    words = ["grub-mkimage", "--format=x86_64-efi", f"--output={loader}", "--prefix=/boot/grub"]
    return [*words, f"--config={EARLY}", *EARLY_MODULES]


def title_of(os_release: str) -> str:
    """PRETTY_NAME of an os-release file, or `Linux`."""
    for line in os_release.splitlines():
        name, _, value = line.partition("=")
        if name == "PRETTY_NAME":
            return value.strip("\"'")
    return "Linux"


def settings_files(root: Path) -> list[Path]:
    """/etc/default/grub and its drop-ins, in the order in which they are read; not our own."""
    folder = root / "etc/default/grub.d"
    drop_ins = sorted(folder.glob("*.cfg")) if folder.is_dir() else []
    found = [root / "etc/default/grub", *drop_ins]
    return [path for path in found if path.is_file() and not str(path).endswith(DROP_IN)]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "") + "'"
