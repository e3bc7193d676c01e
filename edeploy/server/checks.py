"""All that can be found wrong before anything starts."""

import os
import shutil
import socket
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edeploy.bmc.file import Bmc, load_bmcs
from edeploy.boot.dnsmasq import check_firmware
from edeploy.errors import EdeployError
from edeploy.images.store import Store
from edeploy.server import network
from edeploy.server.profiles import ProfileShelf
from edeploy.server.programs import dnsmasq_user, tests_network
from edeploy.server.settings import Settings


class NotReady(EdeployError):
    """The service can not start; the message lists all reasons."""


@dataclass(frozen=True)
class Site:
    """Settings that were found good, and what they mean on this host."""

    settings: Settings
    place: network.Place
    store: Store
    shelf: ProfileShelf
    bmcs: tuple[Bmc, ...]


def checked_site(settings: Settings, *, ports: bool) -> Site:
    """The site, when nothing is wrong; else NotReady with every finding and what to do.

    `ports`: also that nobody listens where this server will; False while it runs already.
    """
    findings: list[EdeployError] = []

    def attempt(check: Callable[[], None]) -> None:
        try:
            check()
        except EdeployError as error:
            findings.append(error)

    place = network.Place("", "", "")
    bmcs: tuple[Bmc, ...] = ()
    try:
        place = network.place(settings)
        attempt(lambda: network.check_prefix(settings, place))
        attempt(lambda: _dhcp(settings, place))
        if ports:
            attempt(lambda: _ports(settings, place))
    except EdeployError as error:
        findings.append(error)
    store = Store(settings.store.path)
    shelf = ProfileShelf(
        settings.profiles.path, store, allow_unsigned=settings.images.allow_unsigned
    )
    attempt(lambda: _readable(settings.store.path, "[store] path"))
    attempt(lambda: _ramdisk(store, settings.boot.kernel))
    attempt(lambda: _readable(settings.profiles.path, "[profiles] path"))
    attempt(lambda: _programs(settings))
    if settings.profiles.path.is_dir():
        findings += _profiles(shelf, settings)
    try:
        bmcs = tuple(load_bmcs(settings.bmc.file)) if settings.bmc.file else ()
    except EdeployError as error:
        findings.append(error)
    if findings:
        raise NotReady(
            "edeploy serve can not start:\n" + "\n".join(f"- {finding}" for finding in findings)
        )
    return Site(settings, place, store, shelf, bmcs)


def _readable(path: Path, what: str) -> None:
    if not path.is_dir():
        raise EdeployError(f"{what}: {path} is no folder", "Make it, or correct the setting.")
    if not os.access(path, os.R_OK | os.X_OK):
        raise EdeployError(f"{what}: {path} can not be read", f"Run: chmod u+rx {path}")


def _ramdisk(store: Store, kernel: str) -> None:
    store.ramdisk(kernel)


def _profiles(shelf: ProfileShelf, settings: Settings) -> list[EdeployError]:
    profiles = shelf.current()
    problems = [str(problem) for problem in profiles.problems]
    problems += [
        str(use.place.problem(shelf.lacking(profile)))
        for profile in profiles.profiles
        for use in shelf.missing(profile)[:1]
    ]
    if not profiles.profiles and not problems:
        problems = [f"{settings.profiles.path}: there is no profile; `state` names none"]
    if settings.server.tolerate_broken_profiles:
        return []
    hint = "Correct it, or set [server] tolerate_broken_profiles = true to start without."
    return [EdeployError(problem, hint) for problem in problems]


def _dhcp(settings: Settings, place: network.Place) -> None:
    dhcp = settings.dhcp
    if dhcp.mode == "off":
        return
    if not dhcp.interface:
        raise EdeployError("[dhcp] interface is not set", "Name the machines' interface.")
    if dhcp.mode == "dhcp" and not (dhcp.range_start and dhcp.range_end):
        raise EdeployError(
            "[dhcp] range_start and range_end are not set",
            f"Give a part of {place.network} that nobody else uses.",
        )
    inside = network.contains(place.network)
    for key, value in (("range_start", dhcp.range_start), ("range_end", dhcp.range_end)):
        if value and not inside(value):
            raise EdeployError(f"[dhcp] {key}: {value} is not in {place.network}")


def _programs(settings: Settings) -> None:
    wanted = {"dnsmasq": "dnsmasq-base"} if settings.dhcp.mode != "off" else {}
    if settings.rsync.enabled:
        wanted["rsync"] = "rsync"
    if wanted:
        wanted["setpriv"] = "util-linux"
    for program, package in wanted.items():
        if shutil.which(program) is None:
            raise EdeployError(f"{program} is not in PATH", f"Run: apt-get install {package}")
    if settings.dhcp.mode == "off":
        return
    check_firmware()
    if os.geteuid() != 0:
        raise EdeployError("DHCP needs root", 'Run as root, or set [dhcp] mode = "off".')
    _enterable(settings.server.state_dir)


def _enterable(state_dir: Path) -> None:
    user = dnsmasq_user()
    for folder in [state_dir, *state_dir.parents]:
        if folder.exists() and not folder.stat().st_mode & stat.S_IXOTH:
            raise EdeployError(
                f"[server] state_dir: dnsmasq runs as {user}, who can not enter {folder}",
                f"Run: chmod o+x {folder}",
            )


def _ports(settings: Settings, place: network.Place) -> None:
    _free(place.address, settings.server.port, socket.SOCK_STREAM, "[server] port")
    if settings.rsync.enabled:
        _free(place.address, settings.rsync.port, socket.SOCK_STREAM, "[rsync] port")
    if tests_network(settings):
        port = settings.health.network_port
        _free(place.address, port, socket.SOCK_STREAM, "[health] network_port")
    if settings.dhcp.mode != "off":
        _free(place.address, 69, socket.SOCK_DGRAM, "TFTP")
        _free("0.0.0.0", 67, socket.SOCK_DGRAM, "[dhcp] mode", place.interface)  # noqa: S104


def _free(address: str, port: int, kind: socket.SocketKind, what: str, interface: str = "") -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as probe:
        try:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if interface:
                name = interface.encode()
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name)
            probe.bind((address, port))
        except OSError as error:
            protocol = "tcp" if kind == socket.SOCK_STREAM else "udp"
            raise EdeployError(
                f"{what}: {protocol} port {port} on {address}: {error.strerror}",
                f"Who has it: ss -l{protocol[0]}np 'sport = :{port}'",
            ) from error
