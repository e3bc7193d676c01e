"""Ranges in a CMDB model, expanded to entries: `web1-10`, `10.0.0-1.5-9`, `1-3:10-12`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, product

from edeploy.errors import EdeployError

MOST_ENTRIES = 100_000
MOST_KEYS = 500
MOST_VALUES = 250_000
"""Of all entries together: ten thousand machines with twenty-five keys each."""

_RANGES = re.compile(r"[0-9]+-[0-9]+(?::[0-9]+(?:-[0-9]+)?)*")
_DOTTED_PART = re.compile(r"[0-9]+(?:-[0-9]+)?(?::[0-9]+(?:-[0-9]+)?)*\Z")
_MOST_DIGITS = 18


class BadModel(EdeployError):
    """A model that is no dict, or that gives too many entries."""


@dataclass(frozen=True)
class _Ranges:
    """Text with ranges: texts that stay between parts that run; the last part runs fastest."""

    texts: tuple[str, ...]
    parts: tuple[tuple[tuple[str, str], ...], ...]

    @property
    def length(self) -> int:
        return math.prod(sum(_length(*one) for one in part) for part in self.parts)

    def first(self, count: int) -> Iterator[str]:
        # A run may be astronomical where another key's end comes soon: never list it whole.
        runs = [islice((n for one in part for n in _numbers(*one)), count) for part in self.parts]
        for numbers in islice(product(*runs), count):
            middle = (n + text for n, text in zip(numbers, self.texts[1:], strict=True))
            yield self.texts[0] + "".join(middle)


def expand(model: object) -> list[dict[str, object]]:
    """The entries of a model: one for each step of its ranges and lists, until the shortest ends.

    Constants and tuples repeat, dicts in it are expanded too; a model of constants is one entry.
    Raises BadModel.
    """
    checked = _checked(model)
    count = _count(checked)
    if count is None:
        return [dict(checked)]
    if count > MOST_ENTRIES:
        raise BadModel(f"the model gives {count} entries, more than {MOST_ENTRIES}")
    check_size(count, len(set(flat_keys(checked))))
    columns = {key: _column(value, count) for key, value in checked.items()}
    return [{key: column[row] for key, column in columns.items()} for row in range(count)]


def check_size(entries: int, keys: int) -> None:
    """Raise BadModel for entries that have too many values together."""
    if keys > MOST_KEYS:
        raise BadModel(f"{keys} different keys are more than {MOST_KEYS}")
    if entries * keys > MOST_VALUES:
        told = f"{entries} entries with {keys} keys are more than {MOST_VALUES} values"
        raise BadModel(told, "Make several profiles of it, each with its own file.")


def flat_keys(entry: Mapping[str, object]) -> Iterator[str]:
    """The keys of an entry; those of dicts in it as `outer.inner`."""
    for key, value in entry.items():
        if isinstance(value, dict):
            yield from (f"{key}.{inner}" for inner in flat_keys(value))
        else:
            yield key


def lengths(model: object) -> dict[str, int]:
    """How many values each range or list gives, by key (`outer.inner` in nested dicts).

    Raises BadModel.
    """
    found: dict[str, int] = {}
    for key, value in _checked(model).items():
        if isinstance(value, dict):
            found |= {f"{key}.{inner}": count for inner, count in lengths(value).items()}
        else:
            count = _steps(value)
            if count is not None:
                found[key] = count
    return found


def _checked(model: object) -> Mapping[str, object]:
    if not isinstance(model, dict):
        raise BadModel(f"generate() takes a dict, not a {type(model).__name__}")
    for key in model:
        if not isinstance(key, str):
            raise BadModel(f"the key {key!r} must be text")
    return model


def _count(model: Mapping[str, object]) -> int | None:
    return min(lengths(model).values(), default=None)


def _steps(value: object) -> int | None:
    """How many values; None for what repeats."""
    if isinstance(value, list):
        return len(value)
    if isinstance(value, str):
        ranges = _ranges(value)
        return ranges.length if ranges else None
    return None


def _column(value: object, count: int) -> list[object]:
    """The first `count` values."""
    if isinstance(value, dict):
        model = _checked(value)
        columns = {key: _column(inner, count) for key, inner in model.items()}
        return [{key: column[row] for key, column in columns.items()} for row in range(count)]
    if isinstance(value, list):
        return value[:count]
    ranges = _ranges(value) if isinstance(value, str) else None
    if ranges is None:
        return [value] * count
    return list(ranges.first(count))


def _ranges(text: str) -> _Ranges | None:
    """The ranges of a text: in all parts of four dotted ones, else the first one only."""
    if any(len(digits) > _MOST_DIGITS for digits in re.findall("[0-9]+", text)):
        return None
    dotted = text.split(".")
    if "-" in text and len(dotted) == 4 and all(_DOTTED_PART.match(part) for part in dotted):
        return _Ranges(("", ".", ".", ".", ""), tuple(_parts(part) for part in dotted))
    found = _RANGES.search(text)
    if found is None:
        return None
    return _Ranges((text[: found.start()], text[found.end() :]), (_parts(found[0]),))


def _parts(text: str) -> tuple[tuple[str, str], ...]:
    """`1-3:10` to (("1", "3"), ("10", "10"))."""
    ends = (part.partition("-") for part in text.split(":"))
    return tuple((first, last or first) for first, _, last in ends)


def _length(first: str, last: str) -> int:
    return abs(int(last) - int(first)) + 1


def _numbers(first: str, last: str) -> Iterator[str]:
    """From first to last, also downwards; as wide as the first when that begins with 0."""
    start, end = int(first), int(last)
    width = len(first) if first.startswith("0") else 0
    step = 1 if end >= start else -1
    return (f"{number:0{width}d}" for number in range(start, end + step, step))
