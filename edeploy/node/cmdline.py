"""The kernel's arguments that are meant for the agent: parsed, never evaluated."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Callable, Union

ON_SUCCESS = ("reboot", "kexec", "halt", "console")
ON_FAILURE = ("halt", "console", "reboot")
HTTP_PORT = 8080
HIGHEST_VLAN = 4094

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,127}\Z")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\Z")
_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}\Z")
_KERNEL = re.compile(r"/?[A-Za-z0-9][A-Za-z0-9_.+/-]{0,254}\Z")
_MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}\Z")
# A word, in which double quotes keep blanks together, as the kernel reads it.
_WORD = re.compile(r'(?:[^\s"]|"[^"]*"?)+')

Address = Union[ipaddress.IPv4Interface, ipaddress.IPv6Interface]


@dataclass(frozen=True)
class LinkPlan:
    """What one entry of `IP=` wants: `method` is `dhcp`, `none` or `static` (with `address`)."""

    device: str
    method: str
    address: Address | None = None
    vlan: int | None = None


DEFAULT_LINK = LinkPlan(device="all", method="dhcp")


@dataclass(frozen=True)
class Arguments:
    """What the kernel's command line says to the agent; what is not said has its default.

    `problems` are messages about values that were not understood and therefore not used.
    """

    server: str | None = None
    http_port: int = HTTP_PORT
    on_success: str = "reboot"
    on_failure: str = "halt"
    kexec_kernel: str | None = None
    verbose: bool = False
    debug: bool = False
    upload_log: bool = True
    role: str | None = None
    version: str | None = None
    boot_mac: str | None = None
    links: tuple[LinkPlan, ...] = ()
    # The text between two `|`, as it was written.
    installed: str = ""
    problems: tuple[str, ...] = field(default=(), compare=False)

    def link(self, device: str) -> LinkPlan:
        """The entry of `IP=` for a device: the first that names it or is `all`, else the first
        `other`, else DHCP."""
        for entry in self.links:
            if entry.device in (device, "all"):
                return entry
        for entry in self.links:
            if entry.device == "other":
                return entry
        return DEFAULT_LINK


def read(path: Path = Path("/proc/cmdline")) -> Arguments:
    """The arguments of the running kernel."""
    return parse(path.read_text(errors="replace"))


def parse(text: str) -> Arguments:
    """The arguments in a kernel command line. Never raises: see `Arguments.problems`.

    Of a name that is given twice the last counts, as for the kernel.
    """
    problems: list[str] = []
    rest, installed = _take_installed(text, problems)
    values: dict[str, object] = {"installed": installed}
    for word, value in _assignments(rest):
        option = _OPTIONS.get(word)
        if option is None:
            continue
        name, parser = option
        try:
            values[name] = parser(value)
        except ValueError as error:
            problems.append(f"kernel argument {word}={value}: {error}; {_instead(name, values)}")
    known = {item.name for item in fields(Arguments)}
    return Arguments(
        **{name: value for name, value in values.items() if name in known},  # type: ignore[arg-type]
        problems=tuple(problems),
    )


def _instead(name: str, values: Mapping[str, object]) -> str:
    default = values.get(name, getattr(Arguments(), name))
    return "it is ignored" if default in (None, ()) else f"using {_shown(default)}"


def _shown(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def _take_installed(text: str, problems: list[str]) -> tuple[str, str]:
    before, bar, rest = text.partition("|")
    if not bar:
        return text, ""
    inside, bar, after = rest.partition("|")
    if not bar:
        problems.append("kernel arguments: a `|` without a second one; what follows it is ignored")
        return before, ""
    return before + " " + after, inside.strip()


def _assignments(text: str) -> Iterator[tuple[str, str]]:
    for match in _WORD.finditer(text):
        name, equals, value = match.group().replace('"', "").partition("=")
        if equals:
            yield name, value


def _flag(value: str) -> bool:
    if value not in ("0", "1"):
        raise ValueError("it must be 0 or 1")
    return value == "1"


def _one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    def choose(value: str) -> str:
        if value not in choices:
            raise ValueError(f"it must be one of {', '.join(choices)}")
        return value

    return choose


def _server(value: str) -> str:
    bare = value[1:-1] if value.startswith("[") and value.endswith("]") else value
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        pass
    if not _HOST.match(value) or re.match(r"[0-9.]+\Z", value):
        raise ValueError("it must be an address or a host name")
    return value


def _port(value: str) -> int:
    if not re.match(r"[0-9]{1,5}\Z", value, re.ASCII) or not 1 <= int(value) <= 65535:
        raise ValueError("it must be a port, 1 to 65535")
    return int(value)


def _name(value: str) -> str:
    if not _NAME.match(value) or ".." in value:
        raise ValueError("it must be a plain name: letters, digits and _ . + -")
    return value


def _kernel(value: str) -> str:
    if not _KERNEL.match(value) or ".." in value:
        raise ValueError("it must be the name of a kernel under /boot, or its path")
    return value


def _mac(value: str) -> str:
    mac = value.lower().replace("-", ":")
    # pxelinux puts the hardware type before the address: 01 is Ethernet.
    mac = mac[3:] if len(mac) == 20 and mac.startswith("01:") else mac
    if not _MAC.match(mac):
        raise ValueError("it must be a MAC address")
    return mac


def _links(value: str) -> tuple[LinkPlan, ...]:
    entries = tuple(_link(entry) for entry in value.split(","))
    if sum(entry.device == "other" for entry in entries) > 1:
        raise ValueError("`other` is given twice")
    return entries


def _link(entry: str) -> LinkPlan:
    device, colon, rest = entry.partition(":")
    if not colon or not _DEVICE.match(device):
        raise ValueError(f"{entry!r} is not device:configuration")
    how, at, tag = rest.partition("@")
    vlan = _vlan(tag, entry) if at else None
    if how in ("dhcp", "none"):
        return LinkPlan(device, how, vlan=vlan)
    if "/" not in how:
        raise ValueError(f"{entry!r} is neither dhcp, none nor an address with its prefix")
    try:
        address = ipaddress.ip_interface(how)
    except ValueError as error:
        raise ValueError(f"{how!r} is no address with a prefix") from error
    return LinkPlan(device, "static", address, vlan)


def _vlan(tag: str, entry: str) -> int:
    if not re.match(r"[0-9]{1,4}\Z", tag, re.ASCII) or not 1 <= int(tag) <= HIGHEST_VLAN:
        raise ValueError(f"{entry!r}: a VLAN is a number from 1 to {HIGHEST_VLAN}")
    return int(tag)


_OPTIONS: Mapping[str, tuple[str, Callable[[str], object]]] = {
    "SERV": ("server", _server),
    "HTTP_PORT": ("http_port", _port),
    "ONSUCCESS": ("on_success", _one_of(ON_SUCCESS)),
    "ONFAILURE": ("on_failure", _one_of(ON_FAILURE)),
    "KEXEC_KERNEL": ("kexec_kernel", _kernel),
    "VERBOSE": ("verbose", _flag),
    "DEBUG": ("debug", _flag),
    "UPLOAD_LOG": ("upload_log", _flag),
    "OS": ("role", _name),
    "OS_VER": ("version", _name),
    "BOOTIF": ("boot_mac", _mac),
    "IP": ("links", _links),
}
