"""GRUB's configuration as text: an entry for each version, and which of them starts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

# Both beside grub.cfg, which only reads the first: update-grub may write that one anew.
CONFIG, ENV = "edeploy.cfg", "edeploy.env"
TIMEOUT_SECONDS = 1
GOOD, TRIAL, TRIES = "edeploy_good", "edeploy_trial", "edeploy_tries"
MOST_TRIES = 9
MARK = "${edeploy_mark}"


@dataclass(frozen=True)
class Entry:
    """One version: paths as GRUB sees them, all of the kernel's arguments; `initrd` may be
    empty."""

    name: str
    title: str
    linux: str
    initrd: str
    arguments: str


@dataclass(frozen=True)
class Menu:
    """What GRUB is told. `access`: the commands after which it sees /boot; `serial`: that for a
    serial port, or an empty text; `counted`: it may write, and counts trials down itself."""

    entries: tuple[Entry, ...]
    access: tuple[str, ...]
    serial: str
    counted: bool


def config(menu: Menu) -> str:
    """edeploy.cfg; the first entry must be that of the good version."""
    lines = [
        "# Written by edeploy-node for the versions of this machine; see /edeploy/state.json.",
        "set default=0",
        # Numbers only: GRUB 2.06 finds no fallback by its id.
        "set fallback=0",
        f"set timeout={TIMEOUT_SECONDS}",
    ]
    lines += [*menu.access, *consoles(menu.serial)]
    if menu.counted:
        lines += _choice()
    for entry in menu.entries:
        lines += _entry(entry)
    return "\n".join([*lines, ""])


def consoles(serial: str) -> list[str]:
    """Commands for GRUB's own console, by the firmware that started it; `serial` as in `Menu`."""
    lines = [
        'if [ "${grub_platform}" = efi ]; then',
        # Without it the kernel gets no screen from UEFI, whose console is on the serial port too.
        "\tinsmod all_video",
        "\tset gfxpayload=keep",
    ]
    if serial:
        both = ("terminal_input console serial", "terminal_output console serial")
        lines += ["else", *(f"\t{command}" for command in (serial, *both))]
    return [*lines, "fi"]


def main_config() -> str:
    """grub.cfg where no other tool writes one."""
    return f"# Written by edeploy-node.\nsource ${{prefix}}/{CONFIG}\n"


def names_in(text: str) -> list[str]:
    """The names of an edeploy.cfg's entries, in its order."""
    return re.findall(r"^menuentry .* --id edeploy-(\S+) \{$", text, re.MULTILINE)


def update_grub_script() -> str:
    """A part of /etc/grub.d: what update-grub writes starts the versions all the same."""
    return f"""\
#!/bin/sh
# Written by edeploy-node: its versions and their trials come first, whatever else is found.
set -e
[ -f /boot/grub/{CONFIG} ] || exit 0
/usr/sbin/edeploy-node boot-entries >&2 || true
echo 'source ${{prefix}}/{CONFIG}'
"""


def _choice() -> list[str]:
    """The version on trial while it has tries left and the count can be written down, else the
    good one. Upstream GRUB has no arithmetic."""
    env = f"${{prefix}}/{ENV}"
    lines = [
        "set edeploy_slot=",
        "set edeploy_left=",
        "set edeploy_trying=",
        f"load_env --file {env} {GOOD} {TRIAL} {TRIES}",
        f'set edeploy_slot="${{{GOOD}}}"',
        f'if [ -n "${{{TRIAL}}}" ]; then',
    ]
    for tries in range(1, MOST_TRIES + 1):
        lines.append(f'\tif [ "${{{TRIES}}}" = {tries} ]; then set edeploy_left={tries - 1}; fi')
    return [
        *lines,
        '\tif [ -n "${edeploy_left}" ]; then',
        f'\t\tset {TRIES}="${{edeploy_left}}"',
        f"\t\tif save_env --file {env} {TRIES}; then",
        f'\t\t\tset edeploy_slot="${{{TRIAL}}}"',
        f'\t\t\tset edeploy_trying="${{{TRIAL}}}"',
        "\t\tfi",
        "\tfi",
        "fi",
        'if [ -n "${edeploy_slot}" ]; then set default="edeploy-${edeploy_slot}"; fi',
    ]


def _entry(entry: Entry) -> Sequence[str]:
    # Without its initrd GRUB would start the kernel all the same, to die of it in each try; an
    # entry that starts nothing is passed over at once.
    files = " -a ".join(f"-f {path}" for path in (entry.linux, entry.initrd) if path)
    return [
        f"menuentry {quoted(entry.title)} --id edeploy-{entry.name} {{",
        "\tset edeploy_mark=",
        f'\tif [ "${{edeploy_trying}}" = "{entry.name}" ]; then set edeploy_mark=edeploy.trial; fi',
        f"\tif [ {files} ]; then",
        f"\t\tlinux {entry.linux} {entry.arguments} {MARK}",
        *([f"\t\tinitrd {entry.initrd}"] if entry.initrd else []),
        "\telse",
        f"\t\techo '{entry.name} has lost its kernel or initramfs'",
        "\tfi",
        "}",
    ]


def quoted(text: str) -> str:
    """A text as a word of a grub.cfg."""
    return "'" + text.replace("'", "") + "'"
