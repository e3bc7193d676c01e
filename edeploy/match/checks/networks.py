"""Addresses, netmasks and gateways of one CMDB file: do they belong together?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_network

from edeploy.match.checks.columns import Address, Column, Use, address
from edeploy.match.problems import Problem

_Check = Callable[[int, Address], str]


def check_networks(columns: Sequence[Column]) -> Iterator[Problem]:
    """Bad netmasks, and addresses that do not fit their netmask, gateway or network."""
    for column in columns:
        if column.use is Use.MASK:
            yield from _first(column, _bad_masks(column))
        elif column.use in (Use.OWN, Use.UNKNOWN) and any(column.addresses):
            yield from _member(column, _Partners(column, columns))


class _Partners:
    """The netmask, gateway and network of a column of addresses: those whose names fit."""

    def __init__(self, column: Column, columns: Sequence[Column]) -> None:
        def partner(use: Use) -> Column | None:
            same = [c for c in columns if c.use is use and c.group == column.group]
            return same[0] if same else None

        self._column = column
        self._mask = partner(Use.MASK)
        self.gateway = partner(Use.GATEWAY)
        self.network = partner(Use.NETWORK)

    def prefix(self, entry: int) -> int | None:
        """How many bits of an entry's address are its network's."""
        own = self._column.addresses[entry]
        if own is None or own.prefix is not None:
            return own.prefix if own else None
        return prefix_of(self._mask.values[entry], own.version) if self._mask else None


def prefix_of(value: object, version: int) -> int | None:
    """The length that a netmask is (`255.255.255.0`, `24`, `'/24'`); None when it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return None
    text = str(value).strip().removeprefix("/")
    most = 32 if version == 4 else 128
    if text.isascii() and text.isdigit() and len(text) < 4:
        return int(text) if int(text) <= most else None
    mask = address(text)
    if mask is None or mask.version != version or mask.prefix is not None:
        return None
    inverse = mask.number ^ ((1 << most) - 1)
    return most - inverse.bit_length() if inverse & (inverse + 1) == 0 else None


def _bad_masks(column: Column) -> Iterator[tuple[int, str]]:
    for entry, value in enumerate(column.values):
        if value is not None and prefix_of(value, 4) is None and prefix_of(value, 6) is None:
            yield entry, f"{value} is no netmask"


def _member(column: Column, partners: _Partners) -> Iterator[Problem]:
    checks: list[_Check] = [
        lambda entry, own: _by_gateway(partners, entry, own),
        lambda entry, own: _by_network(partners, entry, own),
        lambda entry, own: _by_mask(partners, entry, own),
    ]
    for check in checks:
        found = ((entry, check(entry, own)) for entry, own in enumerate(column.addresses) if own)
        yield from _first(column, ((entry, said) for entry, said in found if said))


def _by_gateway(partners: _Partners, entry: int, own: Address) -> str:
    given = partners.gateway.values[entry] if partners.gateway else None
    gateway = address(given) if isinstance(given, str) else None
    if gateway is None or gateway.version != own.version or partners.gateway is None:
        return ""
    name = partners.gateway.key
    if gateway.number == own.number:
        return f"{own} is its own {name}"
    prefix = partners.prefix(entry)
    if prefix is None or _network(own, prefix) == _network(gateway, prefix):
        return ""
    return f"{own}/{prefix} and its {name} {gateway} are in different networks"


def _by_network(partners: _Partners, entry: int, own: Address) -> str:
    given = partners.network.values[entry] if partners.network else None
    network = address(given) if isinstance(given, str) else None
    if network is None or network.version != own.version or partners.network is None:
        return ""
    prefix = network.prefix if network.prefix is not None else partners.prefix(entry)
    if prefix is None or _network(own, prefix) == _network(network, prefix):
        return ""
    return f"{own} is outside its {partners.network.key} {network}/{prefix}"


def _by_mask(partners: _Partners, entry: int, own: Address) -> str:
    prefix = partners.prefix(entry)
    if own.version != 4 or prefix is None or prefix > 30:
        return ""
    host = own.number & ((1 << (32 - prefix)) - 1)
    whole = ip_network((own.number - host, prefix)) if host in _ends(prefix) else None
    if whole is None:
        return ""
    what = "the network address" if host == 0 else "the broadcast address"
    return f"{own} is no machine's address: it is {what} of {whole}"


def _ends(prefix: int) -> tuple[int, int]:
    return 0, (1 << (32 - prefix)) - 1


def _network(one: Address, prefix: int) -> int:
    return one.number >> max(one.bits - prefix, 0)


def _first(column: Column, found: Iterator[tuple[int, str]]) -> Iterator[Problem]:
    """One finding for a column: the first, and how many entries have the like."""
    entries = list(found)
    if entries:
        entry, message = entries[0]
        more = f", and {len(entries) - 1} more entries" if len(entries) > 1 else ""
        yield column.problem(entry, f"{message} (entry {entry + 1}{more})")
