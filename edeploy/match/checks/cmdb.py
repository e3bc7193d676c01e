"""A CMDB file: octets over 255, ranges that do not go together, addresses outside networks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from edeploy.match.checks.columns import Column
from edeploy.match.checks.networks import check_networks
from edeploy.match.cmdb import uneven_ranges
from edeploy.match.literals import Literal
from edeploy.match.problems import Problem

_DOTTED = re.compile(r"[0-9:-]+(?:\.[0-9:-]+){3}(?:/[0-9]+)?\Z")
_VERSION = re.compile(r"version|release|firmware|driver", re.IGNORECASE)


def check_cmdb(literal: Literal, columns: Sequence[Column]) -> Iterator[Problem]:
    """Findings in one file, given as it is written and by its keys."""
    model = literal.argument("generate")
    for entry in [model] if model is not None else literal.parts():
        yield from _octets(entry)
    yield from uneven_ranges(literal)
    yield from check_networks(columns)


def _octets(literal: Literal) -> Iterator[Problem]:
    """Numbers over 255 in what has the form of an IPv4 address or a range of them."""
    for key, value in literal.entries():
        if not _VERSION.search(str(key.value)):
            yield from _octets(value)
    for part in literal.parts():
        yield from _octets(part)
    if literal.entries() or literal.is_sequence:
        return
    text = literal.value
    if isinstance(text, str) and _DOTTED.match(text):
        for number in re.findall("[0-9]+", text.partition("/")[0]):
            if len(number) > 3 or int(number) > 255:
                yield literal.problem(f"{text}: the octet {number} is over 255")
