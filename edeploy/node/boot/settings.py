"""What an image and a machine say of their kernel's arguments, in /etc/default/grub."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

DROP_IN = "/etc/default/grub.d/edeploy.cfg"
# After an oops the kernel would stay as it is, and an initramfs would open a shell: nobody is there
# to see it, and the boot loader can only do something at the next start.
SURVIVING = ("panic=30", "rd.shell=0", "rd.emergency=reboot")
_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?(GRUB_CMDLINE_LINUX(?:_DEFAULT)?)=(.*)")
_SERIAL = re.compile(r"ttyS(\d+)(?:,(\d+))?")


def arguments_of(root: Path) -> str:
    """The kernel's arguments that a tree's /etc/default/grub and its drop-ins ask for."""
    return role_arguments(path.read_text() for path in settings_files(root))


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


def settings_files(root: Path) -> list[Path]:
    """/etc/default/grub and its drop-ins, in the order in which they are read."""
    folder = root / "etc/default/grub.d"
    drop_ins = sorted(folder.glob("*.cfg")) if folder.is_dir() else []
    return [path for path in [root / "etc/default/grub", *drop_ins] if path.is_file()]


def surviving(arguments: str) -> str:
    """The arguments, and what restarts a kernel or initramfs that died, unless they say what shall
    be."""
    said = {word.partition("=")[0] for word in arguments.split()}
    added = [word for word in SURVIVING if word.partition("=")[0] not in said]
    return " ".join([*added, arguments]).strip()


def kernel_arguments(wanted: Sequence[str], running: str) -> str:
    """The machine's own arguments for its kernel; the consoles of the kernel that runs now when
    nothing else names one."""
    text = " ".join(" ".join(wanted).split())
    if "console=" in text:
        return text
    return f"{consoles(running)} {text}".strip()


def consoles(cmdline: str) -> str:
    """The console= arguments of a kernel's command line."""
    return " ".join(word for word in cmdline.split() if word.startswith("console="))


def serial_command(arguments: str) -> str:
    """GRUB's own command for the last serial console of a kernel's arguments, or an empty text."""
    found = _SERIAL.findall(consoles(arguments))
    if not found:
        return ""
    unit, speed = found[-1]
    return f"serial --unit={unit} --speed={speed or 9600}"


def title_of(os_release: str) -> str:
    """PRETTY_NAME of an os-release file, or `Linux`."""
    for line in os_release.splitlines():
        name, _, value = line.partition("=")
        if name == "PRETTY_NAME":
            return value.strip("\"'")
    return "Linux"
