"""Where on the network this server is: its address, interface and netmask."""

import ipaddress
import socket
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from edeploy.errors import EdeployError
from edeploy.server.settings import Settings


class BadNetwork(EdeployError):
    """An address or interface of the settings is not on this host."""


@dataclass(frozen=True)
class Place:
    """The server on its network; `interface` may be empty when no setting needs it."""

    address: str
    interface: str
    netmask: str

    @property
    def network(self) -> str:
        """The network as address and prefix length."""
        return str(ipaddress.ip_network(f"{self.address}/{self.netmask}", strict=False))


def place(settings: Settings) -> Place:
    """Find address, interface and netmask, from the settings and the host's interfaces."""
    found = psutil.net_if_addrs()
    interface = settings.dhcp.interface
    if interface and interface not in found:
        raise BadNetwork(
            f"[dhcp] interface: there is no {interface} here", f"Here are: {', '.join(found)}."
        )
    address = settings.server.address
    if not address:
        address = next((a.address for a in found.get(interface, []) if _v4(a.family)), "")
        if not address:
            raise BadNetwork(
                "[server] address: neither it nor an interface with an IPv4 address is set",
                "Set it to the address that machines reach this server at.",
            )
    owner = _owner(found, address)
    if owner is None:
        raise BadNetwork(
            f"[server] address: {address} is on no interface of this host",
            f"Give it to one: ip address add {address}/24 dev {interface or 'INTERFACE'}",
        )
    name, netmask = owner
    if interface and name != interface:
        raise BadNetwork(
            f"[server] address {address} is on {name}, but [dhcp] interface is {interface}",
            "Machines are told this address: it must be on their interface.",
        )
    return Place(address, name, settings.dhcp.netmask or netmask)


def check_prefix(settings: Settings, here: Place) -> None:
    """BadNetwork when the interface has no address in the prefix that is to be announced."""
    wanted = settings.dhcp.router_advertisement
    if not wanted or settings.dhcp.mode == "off":
        return
    network = ipaddress.IPv6Network(wanted)
    for entry in psutil.net_if_addrs().get(here.interface, []):
        plain = entry.address.split("%")[0]
        if entry.family == socket.AF_INET6 and ipaddress.IPv6Address(plain) in network:
            return
    raise BadNetwork(
        f"[dhcp] router_advertisement: {here.interface} has no address in {wanted}",
        f"Run: ip address add {network.network_address + 1}/64 dev {here.interface}",
    )


def contains(network: str) -> Callable[[str], bool]:
    """Whether an address is in `network`."""
    parsed = ipaddress.ip_network(network)
    return lambda address: ipaddress.ip_address(address) in parsed


def _v4(family: int) -> bool:
    return family == socket.AF_INET


def _owner(found: dict[str, list[psutil._ntuples.snicaddr]], wanted: str) -> tuple[str, str] | None:
    for name, entries in found.items():
        for entry in entries:
            if entry.address.split("%")[0] == wanted and entry.netmask:
                return name, _mask(entry.netmask)
    return None


def _mask(text: str) -> str:
    # psutil writes an IPv6 netmask as an address; networks want the number of its bits.
    if ":" not in text:
        return text
    return str(int(ipaddress.IPv6Address(text)).bit_count())
