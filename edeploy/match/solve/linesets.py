"""Sets of lines (or rules) as the bits of an integer: bit n is line n, counted from 0."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def lineset(lines: Iterable[int]) -> int:
    """The set of these lines."""
    bits = 0
    for line in lines:
        bits |= 1 << line
    return bits


def united(sets: Iterable[int]) -> int:
    """All lines that are in any of the sets."""
    bits = 0
    for lines in sets:
        bits |= lines
    return bits


def each(bits: int) -> Iterator[int]:
    """The lines in a set, ascending."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


def earliest(bits: int) -> int:
    """The first line of a set that is not empty."""
    return (bits & -bits).bit_length() - 1


def is_one(bits: int) -> bool:
    """Whether there is exactly one line in a set."""
    return bits != 0 and bits & (bits - 1) == 0


def merged(sets: Iterable[int]) -> list[int]:
    """The sets with those united that have lines in common, by their first lines."""
    part_of: dict[int, int] = {}
    parts: dict[int, int] = {}
    for number, lines in enumerate(sets):
        met = {part_of[line] for line in each(lines) if line in part_of}
        # Into the largest: each line moves a few times only.
        into = max(met, key=lambda part: parts[part].bit_count(), default=number)
        added = lines | united(parts.pop(part) for part in met if part != into)
        known = parts.get(into, 0)
        part_of.update((line, into) for line in each(added & ~known))
        parts[into] = known | added
    return sorted(parts.values(), key=earliest)
