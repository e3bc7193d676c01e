"""Lists of processors as the kernel writes them, such as `0-3,8`."""

from __future__ import annotations

# More than any machine has: a list beyond it is damaged, not long.
_MOST = 1 << 16


def range_list(text: str) -> list[int]:
    """The numbers in a kernel list such as `0-3,8,10-11`; [] for an empty one."""
    numbers: list[int] = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if _is_number(first) and _is_number(last or first):
            numbers.extend(range(int(first), int(last or first) + 1))
    return numbers


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 6 and int(text) < _MOST
