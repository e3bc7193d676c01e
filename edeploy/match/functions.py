"""The functions of the specs language: what a value must be like."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

Compare = Callable[[float, float], bool]

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?\Z")
_LONGEST_INTEGER = 300


class SpecError(ValueError):
    """A field that is no valid spec; the caller knows the file and the place."""


@dataclass(frozen=True)
class Leaf:
    """One condition: `holds` says whether a value meets it, `miss` what to say when not.

    `name` and `words` are the function and its arguments as they were written; for a text that
    stands for itself, empty and the text.
    """

    holds: Callable[[str], bool]
    miss: str
    name: str = ""
    words: tuple[str, ...] = ()


def number(text: str) -> float | None:
    """The number that a text is, exact for integers; None when it is none."""
    stripped = text.strip()
    if not _NUMBER.match(stripped):
        return None
    if stripped.lstrip("+-").isdigit() and len(stripped) <= _LONGEST_INTEGER:
        return int(stripped)
    return float(stripped)


def equal(text: str) -> Leaf:
    """The value is this text."""
    return Leaf(lambda value: value == text, f"is not {text}", words=(text,))


def build(name: str, arguments: list[str]) -> Leaf:
    """The condition `name(arguments)`. Raises SpecError for a wrong number or kind of them."""
    least, most = LEAVES[name].arity
    if not least <= len(arguments) <= most:
        wanted = str(least) if least == most else f"{least} or more"
        raise SpecError(f"{name}() takes {wanted} argument(s), not {len(arguments)}")
    return replace(LEAVES[name].make(arguments), name=name, words=tuple(arguments))


def _compare(compare: Compare, sign: str) -> Callable[[list[str]], Leaf]:
    def make(arguments: list[str]) -> Leaf:
        limit = _wanted_number(arguments[0])

        def holds(value: str) -> bool:
            given = number(value)
            return given is not None and compare(given, limit)

        return Leaf(holds, f"is not {sign} {arguments[0]}")

    return make


def _range(arguments: list[str]) -> Leaf:
    low, high = (_wanted_number(argument) for argument in arguments)

    def holds(value: str) -> bool:
        given = number(value)
        return given is not None and low <= given <= high

    return Leaf(holds, f"is not between {arguments[0]} and {arguments[1]}")


def _in(arguments: list[str]) -> Leaf:
    allowed = frozenset(arguments)
    return Leaf(lambda value: value in allowed, f"is not one of {', '.join(arguments)}")


def _network(arguments: list[str]) -> Leaf:
    try:
        network: IPv4Network | IPv6Network = ip_network(arguments[0], strict=False)
    except ValueError as error:
        raise SpecError(f"network(): {error}") from error

    def holds(value: str) -> bool:
        try:
            address = ip_address(value.strip())
        except ValueError:
            return False
        return address.version == network.version and address in network

    return Leaf(holds, f"is not in the network {network}")


def _regexp(arguments: list[str]) -> Leaf:
    try:
        pattern = re.compile(arguments[0])
    except (re.error, RecursionError, OverflowError) as error:
        raise SpecError(f"regexp(): {arguments[0]!r} does not compile: {error}") from error
    return Leaf(lambda value: pattern.search(value) is not None, f"does not match {arguments[0]}")


def _wanted_number(text: str) -> float:
    found = number(text)
    if found is None:
        raise SpecError(f"{text!r} is no number")
    return found


@dataclass(frozen=True)
class _Function:
    arity: tuple[int, int]
    make: Callable[[list[str]], Leaf]


_ANY = 1_000_000
LEAVES = {
    "gt": _Function((1, 1), _compare(operator.gt, ">")),
    "ge": _Function((1, 1), _compare(operator.ge, "≥")),
    "lt": _Function((1, 1), _compare(operator.lt, "<")),
    "le": _Function((1, 1), _compare(operator.le, "≤")),
    "range": _Function((2, 2), _range),
    "in": _Function((1, _ANY), _in),
    "network": _Function((1, 1), _network),
    "regexp": _Function((1, 1), _regexp),
}
JOINTS = {"and": (1, _ANY), "or": (1, _ANY), "not": (1, 1)}
NAMES = frozenset(LEAVES) | frozenset(JOINTS)
