"""A CMDB file by its keys: the values of all entries, what they are for, and where they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property, lru_cache
from ipaddress import ip_address
from pathlib import Path

from edeploy.match.cmdb import Entry
from edeploy.match.literals import Literal
from edeploy.match.problems import Problem


class Use(Enum):
    """What the values of a key are for, as far as its name tells."""

    OWN = "own"  # the machine's own address or name: no two machines may have the same
    MASK = "mask"
    GATEWAY = "gateway"
    NETWORK = "network"
    SHARED = "shared"  # other machines' addresses
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Address:
    """An IP address as a number; `prefix` when it was written with its length."""

    version: int
    number: int
    prefix: int | None

    def __str__(self) -> str:
        return str(ip_address(_bytes(self.number, self.version)))

    @property
    def bits(self) -> int:
        """How long addresses of this kind are."""
        return 32 if self.version == 4 else 128


_SEPARATOR = r"(?:[-_. ]|\Z)"
_OWN = re.compile(rf"(?:\A|[-_. ])(?:ipv[46]|ip|address|addr|ipaddr)(?=[0-9]|{_SEPARATOR})")
_WORDS = {
    Use.MASK: re.compile(r"netmask|prefixlen|prefix|cidr|mask"),
    Use.GATEWAY: re.compile(r"gateway|\bgw(?=[0-9]|\b)|(?<=[-_.])gw"),
    Use.SHARED: re.compile(
        r"dns|ntp|server|broadcast|router|route|vip|virtual|proxy|relay|syslog|master|peer|resolver"
    ),
    Use.NETWORK: re.compile(r"subnet|network"),
}
_NAMES = frozenset(["hostname", "fqdn"])
_MAC = re.compile(r"(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}\Z", re.IGNORECASE)
_LIKE_V4 = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}\Z")


@dataclass(frozen=True)
class Column:
    """One key of a CMDB file; `values` has one for each entry, None where it has none."""

    path: Path
    key: str
    values: Sequence[object]
    places: Sequence[Literal]  # of each entry's value, or one for all

    def problem(self, entry: int, message: str) -> Problem:
        """`message` about the value of one entry (from 0), at its place."""
        place = self.places[entry] if entry < len(self.places) else self.places[0]
        return place.problem(f"{self.key}: {message}")

    @cached_property
    def use(self) -> Use:
        """What the values are for, by the key's name."""
        name = self.key.lower()
        for use, word in _WORDS.items():
            if word.search(name):
                return use
        own = name in _NAMES or _OWN.search(name) or any(map(is_mac, self.values))
        return Use.OWN if own else Use.UNKNOWN

    @cached_property
    def group(self) -> str:
        """What is left of the name: `ip-ipmi`, `netmask-ipmi`, `ipmi_gateway` are all `ipmi`."""
        name = self.key.lower()
        if self.use in _WORDS:
            name = _WORDS[self.use].sub(" ", name, count=1)
        return re.sub(r"[-_. ]+", "", _OWN.sub(" ", name))

    @cached_property
    def addresses(self) -> list[Address | None]:
        """The values as addresses; None for what is none."""
        return [address(value) if isinstance(value, str) else None for value in self.values]


def columns(path: Path, literal: Literal, entries: Sequence[Entry]) -> list[Column]:
    """The keys of all entries in a file; those of dicts within as `outer.inner`."""
    model = literal.argument("generate")
    if model is not None:
        places = {key: [place] for key, place in _flat_places(model)}
    else:
        places = {}
        for part in literal.parts():
            for key, place in _flat_places(part):
                places.setdefault(key, []).append(place)
    rows = [dict(_flat(entry)) for entry in entries]
    return [
        Column(
            path,
            key,
            [row.get(key) for row in rows],
            _each(_found(places, key, literal), rows, key),
        )
        for key in dict.fromkeys(key for row in rows for key in row)
    ]


def is_mac(value: object) -> bool:
    """Whether a value is a MAC."""
    return isinstance(value, str) and bool(_MAC.match(value))


@lru_cache(maxsize=1 << 17)
def address(text: str) -> Address | None:
    """The address that a text is, perhaps with `/24` behind it; None when it is none."""
    plain, slash, length = text.strip().partition("/")
    prefix = None
    if slash:
        if not (length.isascii() and length.isdigit() and len(length) < 4):
            return None
        prefix = int(length)
    if _LIKE_V4.match(plain):
        octets = [int(part) for part in plain.split(".")]
        if max(octets) > 255 or (prefix or 0) > 32:
            return None
        a, b, c, d = octets
        return Address(4, (a << 24) + (b << 16) + (c << 8) + d, prefix)
    if ":" not in plain:
        return None
    try:
        return Address(6, int(ip_address(plain)), prefix if (prefix or 0) <= 128 else None)
    except ValueError:
        return None


def _found(places: Mapping[str, list[Literal]], key: str, literal: Literal) -> list[Literal]:
    """Where a key stands; of a dict in a list of values, where that list stands."""
    while key and key not in places:
        key = key.rpartition(".")[0]
    return places.get(key, [literal])


def _each(places: list[Literal], rows: Sequence[Mapping[str, object]], key: str) -> list[Literal]:
    """A place for each entry: where one lacks the key, the next one's."""
    if len(places) <= 1:
        return places
    left = iter(places)
    found, last = [], places[0]
    for row in rows:
        if key in row:
            last = next(left, last)
        found.append(last)
    return found


def _flat(entry: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for key, value in entry.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{inner}", one) for inner, one in _flat(value))
        else:
            yield str(key), value


def _flat_places(literal: Literal) -> Iterator[tuple[str, Literal]]:
    for key, value in literal.entries():
        if value.entries():
            yield from ((f"{key.value}.{inner}", one) for inner, one in _flat_places(value))
        else:
            yield str(key.value), value


def _bytes(number: int, version: int) -> bytes:
    return number.to_bytes(4 if version == 4 else 16, "big")
