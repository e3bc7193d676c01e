"""The settings of `edeploy serve`: one table gives the parser, the defaults and the reference."""

import difflib
import ipaddress
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TypeVar

from edeploy.boot import arguments
from edeploy.errors import EdeployError
from edeploy.match.problems import BadFile, Problem
from edeploy.names import checked

T = TypeVar("T")

HINT = "docs/reference/settings.md lists every setting."
MAX_MINUTES = 60 * 24 * 7


def text(value: object) -> str:
    """Any text."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value


def flag(value: object) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def integer(lowest: int, highest: int) -> Callable[[object], int]:
    """A whole number in a range."""

    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"{value!r} is no whole number")
        if not lowest <= value <= highest:
            raise ValueError(f"{value} is not between {lowest} and {highest}")
        return value

    parse.__doc__ = f"A whole number from {lowest} to {highest}."
    return parse


def one_of(*words: str) -> Callable[[object], str]:
    """One of these words."""

    def parse(value: object) -> str:
        if value not in words:
            raise ValueError(f"{value!r} is not one of {', '.join(words)}")
        return text(value)

    parse.__doc__ = " or ".join(f'`"{word}"`' for word in words) + "."
    return parse


def address(value: object) -> str:
    """An IP address."""
    return str(ipaddress.ip_address(text(value))) if value != "" else ""


def addresses(value: object) -> tuple[str, ...]:
    """A list of IP addresses."""
    return tuple(address(word) for word in texts(value))


def texts(value: object) -> tuple[str, ...]:
    """A list of texts."""
    if not isinstance(value, list):
        raise ValueError(f"{value!r} is no list")
    return tuple(text(word) for word in value)


def netmask(value: object) -> str:
    """A netmask such as 255.255.255.0."""
    return str(ipaddress.ip_network(f"0.0.0.0/{text(value)}").netmask) if value != "" else ""


def prefix(value: object) -> str:
    """An IPv6 prefix of 64 bits, such as fd77:65de::/64."""
    if value == "":
        return ""
    network = ipaddress.IPv6Network(text(value))
    if network.prefixlen != 64:
        raise ValueError(f"{network} has {network.prefixlen} bits; machines want 64")
    return str(network)


def interface(value: object) -> str:
    """A network interface."""
    if value and not re.match(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,14}\Z", text(value)):
        raise ValueError(f"{value!r} is no name of a network interface")
    return text(value)


def kernel_line(value: object) -> str:
    """Kernel arguments on one line."""
    return arguments.checked(text(value))


def consoles(value: object) -> tuple[str, ...]:
    """A list of kernel consoles such as `ttyS0,115200`."""
    return tuple(arguments.checked(word) for word in texts(value))


def name(value: object) -> str:
    """A name of letters, digits and `_.+-`."""
    return checked(text(value), "ramdisk's kernel")


def path(value: object) -> Path:
    """A path; a relative one starts at the settings file's folder."""
    if not text(value):
        raise ValueError("an empty path")
    return Path(text(value))


def optional_path(value: object) -> Path | None:
    """A path, or nothing; a relative one starts at the settings file's folder."""
    return path(value) if value != "" else None


def setting(parse: Callable[[object], T], default: T, doc: str) -> T:
    """One record of the table: a field of its section's dataclass."""
    found: T = field(default=default, metadata={"parse": parse, "doc": doc})
    return found


@dataclass(frozen=True)
class ServerSettings:
    """Where the service listens, and where it keeps its records."""

    address: str = setting(
        address,
        "",
        "The address that machines reach this server at; it listens there. "
        "Empty: the first address of `[dhcp] interface`.",
    )
    port: int = setting(integer(1, 65535), 8080, "The port for machines.")
    socket: Path = setting(
        path,
        Path("/run/edeploy/api.sock"),
        "The Unix socket for operators (`edeploy machine …`); made with mode 0600.",
    )
    state_dir: Path = setting(
        path, Path("/var/lib/edeploy"), "Records, logs and the files of the supervised programs."
    )
    tolerate_broken_profiles: bool = setting(
        flag,
        False,
        "Start although a profile is broken or names an image that the store lacks. "
        "Such a profile is left out either way.",
    )


@dataclass(frozen=True)
class StoreSettings:
    """The images."""

    path: Path = setting(path, Path("/var/lib/edeploy/store"), "The store.")


@dataclass(frozen=True)
class ProfileSection:
    """What to do with machines of each kind."""

    path: Path = setting(
        path, Path("/etc/edeploy/hardware_specs"), "The folder with `state` and the profiles."
    )


@dataclass(frozen=True)
class DhcpSettings:
    """Addresses and the first file for firmware, by dnsmasq."""

    mode: str = setting(
        one_of("dhcp", "proxy", "off"),
        "off",
        "`dhcp` gives addresses; `proxy` works beside a DHCP server that is not ours; `off` "
        "leaves both to others.",
    )
    interface: str = setting(interface, "", "The interface that the machines are on.")
    range_start: str = setting(address, "", "First address to give. Needed in mode `dhcp`.")
    range_end: str = setting(address, "", "Last address to give. Needed in mode `dhcp`.")
    netmask: str = setting(netmask, "", "Empty: the interface's own.")
    router: str = setting(address, "", "The way out that machines are told. Empty: none.")
    dns: tuple[str, ...] = setting(addresses, (), "Name servers that machines are told.")
    lease_minutes: int = setting(integer(2, MAX_MINUTES), 60, "How long an address is given.")
    router_advertisement: str = setting(
        prefix,
        "",
        "An IPv6 prefix to announce on the interface, which must have an address in it. It "
        "saves 13 s at each network boot: iPXE waits for a router otherwise. No way out is "
        "announced.",
    )


@dataclass(frozen=True)
class RsyncSettings:
    """Image trees by rsync, for profiles with `fetch = \"rsync\"`."""

    enabled: bool = setting(flag, True, "Run an rsync daemon, for reading only.")
    port: int = setting(integer(1, 65535), 873, "Its port.")


@dataclass(frozen=True)
class BootSection:
    """The ramdisk and what its kernel is told."""

    kernel: str = setting(name, "generic", "The ramdisk to boot: `generic`, or `cloud` for labs.")
    console: tuple[str, ...] = setting(
        consoles, (), 'Consoles, such as `["tty0", "ttyS0,115200"]`; the last is the main one.'
    )
    kernel_arguments: str = setting(kernel_line, "", "More arguments for the ramdisk's kernel.")


@dataclass(frozen=True)
class InstallSettings:
    """Deadlines: a machine that falls silent is given up after them."""

    reserve_minutes: int = setting(
        integer(1, MAX_MINUTES), 10, "From the match until the agent begins."
    )
    deadline_minutes: int = setting(
        integer(1, MAX_MINUTES),
        60,
        "From there until the disk is written. A profile's own setting wins.",
    )
    first_boot_minutes: int = setting(
        integer(1, MAX_MINUTES), 15, "From there until the installed system calls home."
    )
    upgrade_minutes: int = setting(
        integer(1, MAX_MINUTES), 60, "What each phase of an upgrade may take."
    )


@dataclass(frozen=True)
class HealthSettings:
    """Health tests, for profiles that want one."""

    min_group: int = setting(
        integer(1, 1000),
        5,
        "The first machines of a kind are judged together, once so many have results.",
    )
    at_once: int = setting(
        integer(0, 10_000),
        0,
        "Machines that may measure at the same time; 0: any number. In a lab 1: machines on one "
        "host would measure each other.",
    )
    quick_minutes: int = setting(
        integer(1, MAX_MINUTES),
        20,
        "One run of a `quick` or `lab` test; most of it is for waiting: one machine at a time "
        "measures its network cards.",
    )
    full_minutes: int = setting(
        integer(1, MAX_MINUTES), 45, "One run of a `full` test; it has three."
    )
    burn_minutes: int = setting(integer(1, MAX_MINUTES), 1500, "The run of a `burn` test.")
    network: bool = setting(
        flag, True, "Run an iperf3 server for tests of network cards, if iperf3 is installed."
    )
    network_port: int = setting(integer(1, 65535), 5201, "Its port.")


@dataclass(frozen=True)
class BmcSettings:
    """Power by IPMI."""

    file: Path | None = setting(
        optional_path, None, "The file with the BMCs and their passwords; its mode must be 0600."
    )


@dataclass(frozen=True)
class ImageSettings:
    """What may be given out."""

    allow_unsigned: bool = setting(
        flag, False, "Give out images that nobody signed, and to ramdisks that know no signer."
    )


@dataclass(frozen=True)
class Settings:
    """All sections of the file."""

    server: ServerSettings = ServerSettings()
    store: StoreSettings = StoreSettings()
    profiles: ProfileSection = ProfileSection()
    dhcp: DhcpSettings = DhcpSettings()
    rsync: RsyncSettings = RsyncSettings()
    boot: BootSection = BootSection()
    install: InstallSettings = InstallSettings()
    health: HealthSettings = HealthSettings()
    bmc: BmcSettings = BmcSettings()
    images: ImageSettings = ImageSettings()


def load_settings(file: Path) -> Settings:
    """The settings in `file`; BadFile lists all that is wrong in it, each with its line."""
    try:
        content = file.read_text()
        table = tomllib.loads(content)
    except OSError as error:
        raise EdeployError(f"{file}: {error.strerror}", "Name the file by --config.") from error
    except UnicodeDecodeError as error:
        raise BadFile([Problem(file, 1, 1, "not UTF-8 text")], HINT) from error
    except tomllib.TOMLDecodeError as error:
        raise BadFile([_syntax(file, str(error))], HINT) from error
    lines = _Lines(content)
    problems: list[Problem] = []
    settings = Settings()
    for section, values in table.items():
        settings = _with_section(settings, section, values, file, lines, problems)
    if problems:
        raise BadFile(sorted(problems), HINT)
    return settings


def _with_section(
    settings: Settings,
    section: str,
    values: object,
    file: Path,
    lines: "_Lines",
    problems: list[Problem],
) -> Settings:
    known = [entry.name for entry in fields(Settings)]
    if section not in known:
        where = lines.of(section, None) or lines.of("", section) or 1
        problems.append(Problem(file, where, 1, _unknown(f"[{section}]", section, known)))
        return settings
    if not isinstance(values, Mapping):
        where = lines.of("", section) or 1
        problems.append(Problem(file, where, 1, f"{section} is a section: write [{section}]"))
        return settings
    part = getattr(settings, section)
    parsers = {entry.name: entry.metadata["parse"] for entry in fields(part)}
    found: dict[str, object] = {}
    for key, value in values.items():
        where = lines.of(section, key) or lines.of(section, None) or 1
        if key not in parsers:
            message = _unknown(f"[{section}] {key}", key, list(parsers))
            problems.append(Problem(file, where, 1, message))
            continue
        try:
            found[key] = _absolute(parsers[key](value), file)
        except (ValueError, EdeployError) as error:
            reason = error.message if isinstance(error, EdeployError) else str(error)
            problems.append(Problem(file, where, 1, f"[{section}] {key}: {reason}"))
    return replace(settings, **{section: replace(part, **found)})


def _absolute(value: object, file: Path) -> object:
    return file.absolute().parent / value if isinstance(value, Path) else value


def _unknown(shown: str, word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"{shown} is unknown" + (f": did you mean {close[0]}?" if close else "")


def _syntax(file: Path, message: str) -> Problem:
    place = re.search(r" \(at line (\d+), column (\d+)\)", message)
    if place is None:
        return Problem(file, 1, 1, message)
    line, column = int(place[1]), int(place[2])
    return Problem(file, line, column, message.replace(place[0], ""))


class _Lines:
    """Where sections and keys stand: TOML's parser does not say."""

    def __init__(self, content: str) -> None:
        self._found: dict[tuple[str, str | None], int] = {}
        section = ""
        for number, line in enumerate(content.splitlines(), 1):
            if header := re.match(r"\s*\[\s*([^\]\s]+)\s*\]", line):
                section = header[1].strip("\"'")
                self._found.setdefault((section, None), number)
            elif key := re.match(r"\s*([A-Za-z0-9_\"'.-]+)\s*=", line):
                self._found.setdefault((section, key[1].strip("\"'")), number)

    def of(self, section: str, key: str | None) -> int | None:
        return self._found.get((section, key))
