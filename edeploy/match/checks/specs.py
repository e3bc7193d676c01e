"""Rules that can be read and are surely not meant: they fit nothing, or only an odd text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from itertools import chain, zip_longest
from math import inf

from edeploy.match.conditions import Condition
from edeploy.match.functions import NAMES, Leaf, SpecError, number
from edeploy.match.language import FIELDS, parse_field
from edeploy.match.literals import Literal
from edeploy.match.problems import Problem

MOST_WORDS = 100
"""A condition with more arguments is not tried out; people write a handful."""

_LIKE_A_CALL = re.compile(r"(\s*)(\$[^=]*=)?(\s*)([A-Za-z_]\w*)(\s*)\((.*)\)(\s*)\Z", re.DOTALL)
_COMPARING = frozenset(["", "in", "gt", "ge", "lt", "le", "range", "network"])
_NO_NUMBER = "\0no number"


def check_specs(literal: Literal) -> Iterator[Problem]:
    """Findings in readable rows; what makes rows unreadable is told where they are read."""
    for row in literal.parts():
        fields = row.parts()
        for part in fields if len(fields) == len(FIELDS) else ():
            text = str(part.value)
            try:
                condition = parse_field(text).condition
            except SpecError:
                continue
            for message in _text(text) if condition is None else _condition(condition, text):
                yield part.problem(message)


def never_holds(condition: Condition) -> bool:
    """Whether no value meets it, as far as that can be known: not with regular expressions.

    Such a condition answers alike for all values between two numbers it names, for all addresses
    between the ends of its networks, and for all other texts it does not name: one value of each
    kind is tried.
    """
    leaves = [step for step in condition.steps if isinstance(step, Leaf)]
    words = [word for leaf in leaves for word in leaf.words]
    if len(words) > MOST_WORDS or any(leaf.name not in _COMPARING for leaf in leaves):
        return False
    networks = [ip_network(leaf.words[0], False) for leaf in leaves if leaf.name == "network"]
    tried = chain(_tried(words), _addresses(networks))
    return not any(condition.holds(value) for value in tried)


def _addresses(networks: Sequence[IPv4Network | IPv6Network]) -> Iterator[str]:
    for network in networks:
        after = int(network.broadcast_address) + 1
        ends = [
            0,
            int(network.network_address),
            *([] if after >> network.max_prefixlen else [after]),
        ]
        for end in ends:
            address = ip_address(end.to_bytes(network.max_prefixlen // 8, "big"))
            yield from (str(address), f" {address}")


def _tried(words: Sequence[str]) -> Iterator[str]:
    yield from ("", _NO_NUMBER, *words, "0", "-1e999", "1e999")
    numbers = sorted({found for word in words if (found := number(word)) is not None})
    for low, high in zip_longest(numbers, numbers[1:], fillvalue=inf):
        yield from _spellings(low)
        yield from _spellings(low + 1 if low + 1 < high else low / 2 + high / 2)
    if numbers:
        yield from _spellings(numbers[0] - 1)


def _spellings(value: float) -> Iterator[str]:
    """A number as texts: `in(5)` fits `5` only, `ge(5)` fits `5.0` and ` 5` too."""
    yield from (str(value), f" {value}", f"+{value}")


def _text(text: str) -> Iterator[str]:
    """Fields that are taken as text and look like a call."""
    call = _LIKE_A_CALL.match(text)
    if call is None:
        return
    before, variable, between, name, inside, arguments, after = call.groups()
    if name in NAMES and any((before, between, inside, after)):
        yield f"blanks around {name}(…) make it a text; write it without"
    elif name not in NAMES and arguments and _meant_as_call(name, bool(variable)):
        near = get_close_matches(name.lower(), sorted(NAMES), 1)
        hint = f", perhaps {near[0]}" if near else ""
        yield f"{name}() is no function{hint}; it is taken as text"


def _meant_as_call(name: str, bound: bool) -> bool:
    # `Intel(R)` is a name of hardware, `between(1, 2)` and `GT(4)` are not.
    return bound or name.islower() or name.lower() in NAMES


def _condition(condition: Condition, text: str) -> Iterator[str]:
    leaves = [step for step in condition.steps if isinstance(step, Leaf)]
    plain = len(leaves) == len(condition.steps) == 1 and not leaves[0].name
    if plain:  # $name=text
        yield from _text(text)
        return
    for leaf in leaves:
        if leaf.name == "range":
            low, high = (number(word) for word in leaf.words)
            if low is not None and high is not None and low > high:
                yield f"range({', '.join(leaf.words)}) fits no number: the first is the greater"
                return
    if never_holds(condition):
        yield f"{condition.source} fits no value"
