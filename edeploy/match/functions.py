"""The functions of the specs language: what a value must be like."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from edeploy.match.problems import cut
from edeploy.match.regexps import BadRegexp, compiled

Compare = Callable[[float, float], bool]

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?\Z")
_LONGEST_INTEGER = 300


class SpecError(ValueError):
    """A field that is no valid spec; the caller knows the file and the place."""


@dataclass(frozen=True)
class Leaf:
    """One condition. `met` and `missed` say of a value that it meets it or not, `strange` why a
    value cannot be compared at all; `steps` is the cost of `holds` if that is more than nothing.
    `name` and `words` are the function and its arguments as they were written; for a text that
    stands for itself, empty and the text.
    """

    holds: Callable[[str], bool]
    met: str
    missed: str
    strange: Callable[[str], str] | None = None
    steps: Callable[[str], int] | None = None
    name: str = ""
    words: tuple[str, ...] = ()

    def told(self, value: str) -> str:
        """What is to be said of a value, such as `is not > 300`."""
        if self.holds(value):
            return self.met
        strange = self.strange(value) if self.strange else ""
        return f"is {strange}, so {self.missed.removeprefix('is ')}" if strange else self.missed


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
    return replace(_is(lambda value: value == text, text or "empty"), words=(text,))


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

        return _is(holds, f"{sign} {arguments[0]}", _no_number)

    return make


def _range(arguments: list[str]) -> Leaf:
    low, high = (_wanted_number(argument) for argument in arguments)

    def holds(value: str) -> bool:
        given = number(value)
        return given is not None and low <= given <= high

    return _is(holds, f"between {arguments[0]} and {arguments[1]}", _no_number)


def _in(arguments: list[str]) -> Leaf:
    allowed = frozenset(arguments)
    return _is(lambda value: value in allowed, f"one of {', '.join(arguments)}")


def _network(arguments: list[str]) -> Leaf:
    try:
        network: IPv4Network | IPv6Network = ip_network(arguments[0], strict=False)
    except ValueError as error:
        raise SpecError(f"network(): {cut(str(error))}") from error

    def holds(value: str) -> bool:
        address = _address(value)
        return address is not None and address.version == network.version and address in network

    def strange(value: str) -> str:
        address = _address(value)
        if address is None:
            return "no address"
        return "" if address.version == network.version else f"an IPv{address.version} address"

    return _is(holds, f"in the network {network}", strange)


def _regexp(arguments: list[str]) -> Leaf:
    try:
        expression = compiled(arguments[0])
    except BadRegexp as error:
        raise SpecError(f"regexp(): {cut(arguments[0])!r} {error}") from error
    met, missed = f"matches {arguments[0]}", f"does not match {arguments[0]}"
    return Leaf(expression.found, met, missed, steps=expression.steps)


def _is(
    holds: Callable[[str], bool], what: str, strange: Callable[[str], str] | None = None
) -> Leaf:
    return Leaf(holds, f"is {what}", f"is not {what}", strange)


def _no_number(value: str) -> str:
    return "no number" if number(value) is None else ""


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text.strip())
    except ValueError:
        return None


def _wanted_number(text: str) -> float:
    found = number(text)
    if found is None:
        raise SpecError(f"{cut(text)!r} is no number")
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
