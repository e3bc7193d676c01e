"""Addresses, MACs and names that two machines would get: within a CMDB file, and across files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from edeploy.match.checks.columns import Column, Use, is_mac
from edeploy.match.problems import Problem

_Value = str | tuple[int, int]


@dataclass(frozen=True)
class _Holder:
    """Who has a value; `gateway` tells networks with the same addresses apart."""

    file: int
    column: Column
    entry: int
    gateway: object


@dataclass
class _Clash:
    """Values that two columns both give; `first` and `second` have the first of them."""

    first: _Holder
    second: _Holder
    seen: set[_Value] = field(default_factory=set)


def check_duplicates(files: Sequence[Sequence[Column]]) -> Iterator[Problem]:
    """Values of machines' own that are there twice. `files` are in the order of `state`.

    In two files the same addresses with different gateways are two networks, and no finding.
    """
    holders: dict[_Value, list[_Holder]] = {}
    clashes: dict[tuple[int, str, int, str], _Clash] = {}
    for number, columns in enumerate(files):
        own = [column for column in columns if _is_own(column, columns)]
        for column in _without_aliases(own):
            gateway = _gateway(column, columns)
            for entry, value in enumerate(_values(column)):
                if value is None:
                    continue
                given = gateway.values[entry] if gateway is not None else None
                now = _Holder(number, column, entry, given)
                known = holders.setdefault(value, [])
                before = next((one for one in known if _same(one, now, value)), None)
                if before is not None:
                    pair = (before.file, before.column.key, number, column.key)
                    clashes.setdefault(pair, _Clash(before, now)).seen.add(value)
                if not any(one.file == number for one in known):
                    known.append(now)
    yield from map(_problem, clashes.values())


def _same(one: _Holder, other: _Holder, value: _Value) -> bool:
    if one.file == other.file or isinstance(value, str) or None in (one.gateway, other.gateway):
        return True
    return one.gateway == other.gateway


def _problem(clash: _Clash) -> Problem:
    first, second = clash.first, clash.second
    value = second.column.addresses[second.entry] or second.column.values[second.entry]
    if first.file == second.file:
        same = first.column.key == second.column.key
        where = "" if same else f"{first.column.key} of "
        message = f"is given twice: {where}entry {first.entry + 1} has it too"
    else:
        where = f"{first.column.path.name} ({first.column.key}, entry {first.entry + 1})"
        message = f"is given by {where} too"
    more = len(clash.seen) - 1
    rest = f"; so {'is' if more == 1 else 'are'} {more} more" if more else ""
    text = f"{value} (entry {second.entry + 1}) {message}{rest}"
    return second.column.problem(second.entry, text)


def _is_own(column: Column, columns: Sequence[Column]) -> bool:
    """Whether the values are machines' own: by name, by a netmask beside it, or all differ."""
    if column.use is not Use.UNKNOWN:
        return column.use is Use.OWN
    given = [one for one in column.addresses if one is not None]
    if not given:
        return False
    masks = {one.group for one in columns if one.use in (Use.MASK, Use.GATEWAY)}
    distinct = len({(one.version, one.number) for one in given})
    return (bool(column.group) and column.group in masks) or 1 < distinct == len(given)


def _without_aliases(columns: Sequence[Column]) -> list[Column]:
    """Each column that does not say the same as one before, entry by entry."""
    kept: list[Column] = []
    for column in columns:
        if not any(list(one.values) == list(column.values) for one in kept):
            kept.append(column)
    return kept


def _gateway(column: Column, columns: Sequence[Column]) -> Column | None:
    found = [c for c in columns if c.use is Use.GATEWAY and c.group == column.group]
    return found[0] if found else None


def _values(column: Column) -> Iterator[_Value | None]:
    """The values in a form in which equal ones are equal; None for other text."""
    names = not any(column.addresses)
    for one, value in zip(column.addresses, column.values, strict=True):
        if one is not None:
            yield one.version, one.number
        elif is_mac(value):
            yield str(value).lower().replace("-", ":")
        else:
            yield value if names and isinstance(value, str) and value else None
