"""Sizes and rates as people write them: 8G, 200M, 1G."""

import re

_NUMBER = re.compile(r"([0-9]+)([KMGT]?)\Z")
_POWER = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def byte_size(value: str) -> int:
    """Bytes: `8G` is 8 × 2^30. Raises ValueError."""
    return _count(value, 1024, "a size such as 512M or 8G")


def rate(value: str) -> int:
    """Bits per second: `1G` is 10^9. Raises ValueError."""
    return _count(value, 1000, "a rate in bits per second such as 100M or 1G")


def _count(value: str, base: int, what: str) -> int:
    found = _NUMBER.match(value)
    count = int(found[1]) * base ** _POWER[found[2]] if found else 0
    if not count:
        raise ValueError(f"{value!r} is not {what}")
    return count
