"""Brings up all network links at once, and goes on as soon as the server answers through one."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import selectors
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.node import timeouts
from edeploy.node.cmdline import Arguments, LinkPlan
from edeploy.run import run

SYS_NET = Path("/sys/class/net")
UDEV_DATA = Path("/run/udev/data")
DHCP_SCRIPT = "/usr/share/udhcpc/default.script"
LOGS = Path("/run/edeploy")

ARPHRD_ETHER = "1"
SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCGIFADDR = 0x8913, 0x8914, 0x8915
IFF_UP = 1
NETLINK_ROUTE, NETLINK_KOBJECT_UEVENT = 0, 15
RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR = 0x1, 0x10, 0x100
UDEV_MONITOR_GROUP = 2
_GLOBAL_SCOPE = "00"


class NoNetwork(EdeployError):
    """The server was not reached through any link."""


@dataclass
class Link:
    """One link on its way up. `name` is the VLAN's when there is one; times are monotonic."""

    card: str
    name: str
    plan: LinkPlan
    up_since: float
    configured: bool = False
    address: str = ""
    dhcp: subprocess.Popen[bytes] | None = None
    attempt: socket.socket | None = None
    attempt_ends: float = 0.0
    next_try: float = 0.0
    pause: float = timeouts.RETRY_FIRST
    trouble: str = "no carrier: no cable, or the switch port is off"


@dataclass
class Links:
    """All links of this machine, by `arguments.link(name)`; `wait_for_server` does the work.

    `udev` is the folder in which udev notes the links that it has named; None: nobody names them.
    """

    arguments: Arguments
    say: Callable[[str], None]
    udev: Path | None = UDEV_DATA
    sys_net: Path = SYS_NET
    logs: Path = LOGS
    dhcp_script: str = DHCP_SCRIPT
    _links: dict[str, Link] = field(default_factory=dict)
    _seen: dict[str, float] = field(default_factory=dict)
    _ignored: set[str] = field(default_factory=set)
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)

    def wait_for_server(self) -> str:
        """Bring links up until the server answers through one; returns that link's name.

        DHCP clients stay, to renew their leases, until `close`. Raises NoNetwork, which says
        of each link how far it came.
        """
        if not self.arguments.server:
            raise NoNetwork(
                "the kernel argument SERV is missing: the agent does not know its server",
                "Boot through `edeploy serve`, which gives SERV=address HTTP_PORT=port.",
            )
        start = time.monotonic()
        with _events() as sockets:
            for item in sockets:
                self._selector.register(item, selectors.EVENT_READ)
            try:
                return self._wait(start)
            finally:
                for item in sockets:
                    self._selector.unregister(item)
                for link in self._links.values():
                    self._end_attempt(link)

    def close(self) -> None:
        """End the DHCP clients; addresses stay."""
        for link in self._links.values():
            if link.dhcp is not None:
                link.dhcp.kill()
                link.dhcp.wait()
                link.dhcp = None

    def _wait(self, start: float) -> str:
        while True:
            now = time.monotonic()
            self._look_for_cards(now)
            for link in list(self._links.values()):
                self._advance(link, now)
            addressed = any(link.address for link in self._links.values())
            patience = timeouts.SERVER_AWAY if addressed else timeouts.LINKS
            if now - start > patience:
                raise NoNetwork(self._what_is_wrong(now - start), self._hint())
            for key, _ in self._selector.select(self._next_moment(now, start + patience) - now):
                link = key.data
                if not isinstance(link, Link):
                    _drain(key.fileobj)
                elif self._finish_attempt(link):
                    self._prefer(link)
                    return link.name

    def _next_moment(self, now: float, end: float) -> float:
        """When something is due without an event: a new attempt, or one that takes too long."""
        moments = [end + 0.01]
        for link in self._links.values():
            if link.attempt is not None:
                moments.append(link.attempt_ends)
            elif link.address:
                moments.append(link.next_try)
        if self.udev is not None:
            moments += [
                first + timeouts.UDEV_NAMES
                for name, first in self._seen.items()
                if name not in self._links and name not in self._ignored
            ]
        return max(now, min(moments))

    def _look_for_cards(self, now: float) -> None:
        for path in sorted(self.sys_net.iterdir()):
            name = path.name
            if name in self._links or name in self._ignored or not self._is_card(path):
                continue
            first = self._seen.setdefault(name, now)
            if not self._is_named(path) and now - first < timeouts.UDEV_NAMES:
                continue
            plan = self.arguments.link(name)
            if plan.method == "none":
                self._ignored.add(name)
                self.say(f"{name}: left alone, as IP= says")
                continue
            try:
                self._set_up(name)
            except OSError as error:
                # Renamed or gone at this moment: the next event tells.
                self.say(f"{name}: not brought up: {error.strerror}")
                continue
            self._links[name] = Link(name, name, plan, now)

    def _is_card(self, path: Path) -> bool:
        if _text(path / "type") != ARPHRD_ETHER or "." in path.name:
            return False
        return not any((path / kind).exists() for kind in ("bridge", "bonding", "brport"))

    def _is_named(self, path: Path) -> bool:
        return self.udev is None or (self.udev / f"n{_text(path / 'ifindex')}").exists()

    def _set_up(self, name: str) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            request = struct.pack("16sH14s", name.encode(), 0, b"")
            flags = struct.unpack("16sH14s", fcntl.ioctl(control, SIOCGIFFLAGS, request))[1]
            request = struct.pack("16sH14s", name.encode(), flags | IFF_UP, b"")
            fcntl.ioctl(control, SIOCSIFFLAGS, request)

    def _advance(self, link: Link, now: float) -> None:
        """Take the link as far as it can go at this moment."""
        if not link.configured:
            if _text(self.sys_net / link.card / "carrier") != "1":
                return
            self.say(f"{link.card}: carrier after {now - link.up_since:.1f} s")
            self._configure(link)
        if not link.address:
            link.address = self._address_of(link.name)
            if not link.address:
                return
            self.say(f"{link.name}: {link.address}")
        if link.attempt is not None and now >= link.attempt_ends:
            self._end_attempt(link)
            self._try_later(link, now, "the server does not answer")
        if link.attempt is None and now >= link.next_try:
            self._start_attempt(link, now)

    def _configure(self, link: Link) -> None:
        link.configured = True
        plan = link.plan
        if plan.vlan is not None:
            link.name = f"{link.card}.{plan.vlan}"[:15]
            self._ip("link", "add", "link", link.card, "name", link.name,
                     "type", "vlan", "id", str(plan.vlan))  # fmt: skip
            self._ip("link", "set", link.name, "up")
        if plan.address is not None:
            link.trouble = f"{plan.address} is not usable yet"
            self._ip("address", "replace", str(plan.address), "dev", link.name)
        else:
            link.trouble = "no answer from a DHCP server"
            link.dhcp = self._start_dhcp(link.name)

    def _start_dhcp(self, name: str) -> subprocess.Popen[bytes]:
        self.logs.mkdir(parents=True, exist_ok=True)
        with open(self.logs / f"dhcp.{name}", "wb") as log:
            return subprocess.Popen(
                ["busybox", "udhcpc", "-f", "-i", name, "-s", self.dhcp_script,
                 "-t", "10", "-T", "1", "-A", "1", "-V", "edeploy-node"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "EDEPLOY_RUN": str(self.logs)},
            )  # fmt: skip

    def _ip(self, *words: str) -> None:
        done = run(["ip", *words], timeout=timeouts.PROGRAM, check=False)
        if done.code:
            self.say(f"ip {' '.join(words)}: {done.err.strip() or done.code}")

    def _address_of(self, name: str) -> str:
        """The link's address of the server's family, or "" when it has none yet."""
        if ":" in (self.arguments.server or ""):
            return _global_ipv6(name)
        return _ipv4(name) or ("" if _is_ipv4(self.arguments.server or "") else _global_ipv6(name))

    def _start_attempt(self, link: Link, now: float) -> None:
        link.attempt_ends = now + timeouts.CONNECT
        try:
            family, target = self._target()
            link.attempt = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            link.attempt.setsockopt(
                socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.name.encode() + b"\0"
            )
            code = link.attempt.connect_ex(target)
        except OSError as error:
            self._end_attempt(link)
            self._try_later(link, now, error.strerror or str(error))
            return
        if code not in (0, errno.EINPROGRESS):
            self._end_attempt(link)
            self._try_later(link, now, os.strerror(code))
            return
        self._selector.register(link.attempt, selectors.EVENT_WRITE, link)

    def _target(self) -> tuple[int, tuple[str, int]]:
        server, port = self.arguments.server or "", self.arguments.http_port
        family, _, _, _, place = socket.getaddrinfo(server, port, type=socket.SOCK_STREAM)[0]
        return family, (str(place[0]), port)

    def _finish_attempt(self, link: Link) -> bool:
        if link.attempt is None:
            return False
        code = link.attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._end_attempt(link)
        if code == 0:
            self.say(
                f"server {self.arguments.server} port {self.arguments.http_port} "
                f"answers through {link.name}"
            )
            return True
        self._try_later(link, time.monotonic(), os.strerror(code))
        return False

    def _end_attempt(self, link: Link) -> None:
        if link.attempt is not None:
            with contextlib.suppress(KeyError):
                self._selector.unregister(link.attempt)
            link.attempt.close()
            link.attempt = None

    def _try_later(self, link: Link, now: float, trouble: str) -> None:
        if trouble != link.trouble:
            self.say(f"{link.name}: server {self.arguments.server}: {trouble}; trying again")
        link.trouble = trouble
        link.next_try = now + link.pause
        link.pause = min(link.pause * 2, timeouts.RETRY_LONGEST)

    def _prefer(self, link: Link) -> None:
        """With several links, hold the way to the server to the one that works."""
        if sum(bool(other.address) for other in self._links.values()) < 2:
            return
        _, (server, _) = self._target()
        found = run(["ip", "route", "get", server, "oif", link.name], check=False).out
        gateway = re.search(r" via (\S+)", found)
        way = ["via", gateway.group(1)] if gateway else []
        prefix = "128" if ":" in server else "32"
        self._ip("route", "replace", f"{server}/{prefix}", *way, "dev", link.name)

    def _what_is_wrong(self, seconds: float) -> str:
        links = [f"\n  {link.name}: {link.trouble}" for link in self._links.values()]
        links += [f"\n  {name}: left alone, as IP= says" for name in sorted(self._ignored)]
        found = "".join(links) or "\n  no network card was found"
        return (
            f"server {self.arguments.server} port {self.arguments.http_port} "
            f"was not reached in {seconds:.0f} s:{found}"
        )

    def _hint(self) -> str:
        if not self._links and not self._ignored:
            return "Boot the ramdisk with the kernel `generic`: it has the drivers of real servers."
        return (
            "Check cabling, the switch port's VLAN, the DHCP server, and IP= on the command line."
        )


@contextlib.contextmanager
def _events() -> Iterator[Sequence[socket.socket]]:
    """Sockets that become readable when a link or an address changes, or udev named a link."""
    with contextlib.ExitStack() as stack:
        found = []
        for protocol, groups in (
            (NETLINK_ROUTE, RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR),
            (NETLINK_KOBJECT_UEVENT, UDEV_MONITOR_GROUP),
        ):
            kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK
            item = stack.enter_context(socket.socket(socket.AF_NETLINK, kind, protocol))
            item.bind((0, groups))
            found.append(item)
        yield found


def _drain(item: object) -> None:
    """Take all that is there: an event only says to look again."""
    if isinstance(item, socket.socket):
        with contextlib.suppress(BlockingIOError):
            while True:
                try:
                    item.recv(65536)
                except OSError as error:
                    # More events than fit: nothing is lost, as the state is read afresh.
                    if error.errno != errno.ENOBUFS:
                        raise


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        # The link is down (carrier), or gone at this moment.
        return ""


def _is_ipv4(text: str) -> bool:
    try:
        socket.inet_aton(text)
    except OSError:
        return False
    return True


def _ipv4(name: str) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16s24s", name.encode(), b"")
        try:
            answer = fcntl.ioctl(control, SIOCGIFADDR, request)
        except OSError:
            return ""
    return socket.inet_ntoa(answer[20:24])


def _global_ipv6(name: str) -> str:
    """The link's first global address for which the kernel found no other owner (/proc's flags:
    0x40 tentative, 0x08 duplicate)."""
    for line in _text(Path("/proc/net/if_inet6")).splitlines():
        digits, _, _, scope, flags, device = line.split()
        if device == name and scope == _GLOBAL_SCOPE and not int(flags, 16) & 0x48:
            return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits))
    return ""
