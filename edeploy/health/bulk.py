"""Lines of a table by the million: where their fields are, and which of them are equal.

Works on the bytes of many lines at once, for a row of Python strings costs a hundred times as much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edeploy.health.evidence import MAX_NAME
from edeploy.health.measurements import Flags, Floats, Ints

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]

_NEWLINE = ord("\n")
_WORD = 8
# An odd number without a pattern (2^64 divided by the golden ratio).
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Lines:
    """Whole lines; field `f` of line `n` is `text[start[n, f]:end[n, f]]`."""

    text: bytes
    start: Ints
    end: Ints

    def __len__(self) -> int:
        return len(self.start)

    def field(self, line: int, column: int) -> str:
        """One field's text."""
        cut = self.text[self.start[line, column] : self.end[line, column]]
        return cut.decode("utf-8", "replace")

    def numbers(self, column: int) -> Floats:
        """A column as numbers. Raises ValueError when one is none."""
        text = self.text
        ends = zip(self.start[:, column].tolist(), self.end[:, column].tolist(), strict=True)
        return np.array([float(text[start:end]) for start, end in ends])

    def distinct(self, columns: Sequence[int]) -> tuple[Ints, Ints]:
        """Which lines are equal in these columns: a line of each kind, and each line's kind."""
        keys = [self._words(column) for column in columns]
        changed = np.ones(len(self), dtype=np.bool_)
        changed[1:] = _differ(keys, slice(1, None), slice(None, -1))
        firsts = np.flatnonzero(changed)
        _, first, kind = np.unique(_mixed(keys, firsts), return_index=True, return_inverse=True)
        if bool(_differ(keys, firsts, firsts[first[kind]]).any()):
            # Different fields with the same mix of bits: told apart the long way.
            rows = np.concatenate([key[firsts] for key in keys], axis=1)
            _, first, kind = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        return firsts[first], kind.reshape(-1)[np.cumsum(changed) - 1]

    def _words(self, column: int) -> Words:
        """A column's fields as rows of 8-byte words, the field's length last."""
        start, length = self.start[:, column], self.end[:, column] - self.start[:, column]
        count = -(-int(length.max()) // _WORD)
        padded = self.text + bytes(_WORD * (count + 1))
        at_any_byte: Words = np.ndarray((len(padded) - _WORD,), "<u8", padded, strides=(1,))
        found = np.empty((len(start), count + 1), dtype=np.uint64)
        for place in range(count):
            left = np.clip(length - _WORD * place, 0, _WORD).astype(np.uint64)
            # A shift by 64 is undefined: a whole word is cut in two steps.
            unused = (np.uint64(_WORD) - left) * np.uint64(4)
            word = at_any_byte[start + _WORD * place] << unused << unused
            found[:, place] = word
        found[:, count] = length
        return found


def split(text: bytes, delimiter: str, width: int) -> Lines | None:
    """The fields of whole lines; None when any line has not `width` of them, or a long one."""
    data = np.frombuffer(text, dtype=np.uint8)
    newline = data == _NEWLINE
    marks = np.flatnonzero(newline | (data == ord(delimiter)))
    count = len(marks) // width
    if len(marks) != count * width or not count:
        return None
    end = marks.reshape(count, width)
    is_end: Flags = newline[end]
    if not bool(is_end[:, -1].all()) or bool(is_end[:, :-1].any()):
        return None
    start = np.empty_like(end)
    start[:, 1:] = end[:, :-1] + 1
    start[0, 0] = 0
    start[1:, 0] = end[:-1, -1] + 1
    return None if int((end - start).max()) > MAX_NAME else Lines(text, start, end)


def _differ(keys: Sequence[Words], some: slice | Ints, others: slice | Ints) -> Flags:
    found: Flags = np.any([(key[some] != key[others]).any(axis=1) for key in keys], axis=0)
    return found


def _mixed(keys: Sequence[Words], lines: Ints) -> Words:
    mix: Words = np.zeros(len(lines), dtype=np.uint64)
    for key in keys:
        for place in range(key.shape[1]):
            mix = (mix ^ key[lines, place]) * _MIX
            mix ^= mix >> np.uint64(32)
    return mix
