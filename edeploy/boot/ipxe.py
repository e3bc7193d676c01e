"""The script that a machine's firmware gets: a pure function of the machine's state."""

import re
from dataclasses import dataclass

from edeploy.boot import arguments
from edeploy.boot.templates import render
from edeploy.machines.states import Boot, Standing, State, boot

_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\Z")
_UNSAFE_LABEL = re.compile(r"[^A-Z0-9]")
_UNSAFE = re.compile(r"[^A-Za-z0-9_.:+ -]")


@dataclass(frozen=True)
class BootSettings:
    """What is the same for all machines; `kernel` names a ramdisk of the store."""

    address: str
    port: int
    kernel: str
    console: tuple[str, ...] = ()
    kernel_arguments: str = ""

    @property
    def base(self) -> str:
        """The server's URL, without a slash at the end."""
        return f"http://{url_host(self.address)}:{self.port}"


@dataclass(frozen=True)
class Endings:
    """What the agent does after an install, and when it can not go on."""

    on_success: str
    on_failure: str


def url_host(address: str) -> str:
    """An IP address as URLs want it."""
    return f"[{address}]" if ":" in address else address


def entry(settings: BootSettings) -> str:
    """The first script, equal for all: it asks for the machine's own."""
    return render("boot.ipxe.j2", base=settings.base)


def script(
    standing: Standing,
    settings: BootSettings,
    *,
    platform: str,
    mac: str = "",
    name: str = "",
    boot_label: str = "",
    endings: Endings,
) -> str:
    """What this machine boots now. An unknown machine stands as discovered.

    `platform` is iPXE's own word: `efi` or `pcbios`; `boot_label` the label of the ESP on the
    machine's own disk, if it has one. Nothing secret is in the text: anybody
    on the network can ask for it.
    """
    title = _UNSAFE.sub("", f"{name or 'unknown machine'} is {standing.state}")
    match boot(standing):
        case Boot.DISK:
            label = _UNSAFE_LABEL.sub("", boot_label)
            return render("disk.ipxe.j2", title=title, efi=platform == "efi", label=label)
        case _:
            return render(
                "ramdisk.ipxe.j2",
                title=title,
                base=settings.base,
                kernel=settings.kernel,
                arguments=_arguments(settings, endings, mac),
            )


def unknown() -> Standing:
    """Where a machine stands of which there is no record."""
    return Standing(State.DISCOVERED)


def _arguments(settings: BootSettings, endings: Endings, mac: str) -> str:
    values = {
        "SERV": settings.address,
        "HTTP_PORT": str(settings.port),
        "ONSUCCESS": endings.on_success,
        "ONFAILURE": endings.on_failure,
    }
    if _MAC.match(mac):
        values["BOOTIF"] = mac
    consoles = [arguments.argument("console", console) for console in settings.console]
    return arguments.line(values, [*consoles, settings.kernel_arguments])
