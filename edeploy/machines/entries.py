"""By what a CMDB entry is known again, although its file is edited while machines hold it."""

import hashlib
import json
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

Entry = Mapping[str, object]

IN_LABEL = 2
"""Names of an entry that an operator reads: `web1 10.77.0.50`."""


@dataclass(frozen=True)
class Claim:
    """An entry in somebody's hands: what it said then, and which of several that said the same."""

    entry: Entry
    copy: int = 0

    @property
    def mark(self) -> str:
        """Equal for claims on the same entry of an unchanged file, and for no others."""
        return f"{hashlib.sha256(_whole(self.entry).encode()).hexdigest()[:24]}#{self.copy}"


class Pool:
    """The entries of a profile's file as it is now.

    An entry is known by its names: values in fields that most entries have and that differ in all
    of them, such as a hostname or an address. One name is enough, so an entry may be corrected,
    and the file sorted anew; an index would mean another entry after a line was added above.
    Entries without names are known by all that they say, and equal ones are counted.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = tuple(entries)
        self.names = _names(self.entries)
        self._by_name = {
            (key, _text(entry[key])): index
            for index, entry in enumerate(self.entries)
            for key in self.names
            if key in entry
        }
        self._by_whole: dict[str, list[int]] = {}
        for index, entry in enumerate(self.entries):
            self._by_whole.setdefault(_whole(entry), []).append(index)

    def claim(self, index: int) -> Claim:
        """The entry as somebody who takes it now remembers it."""
        entry = self.entries[index]
        return Claim(bare(entry), self._by_whole[_whole(entry)].index(index))

    def known(self, claim: Claim) -> list[int]:
        """The entries that this claim may mean, the likeliest first."""
        if not self.names:
            same = self._by_whole.get(_whole(claim.entry), [])
            return same[claim.copy :] + same[: claim.copy]
        found = (self._by_name.get((k, _text(v))) for k, v in claim.entry.items())
        shared = Counter(index for index in found if index is not None)
        return sorted(shared, key=lambda index: (-shared[index], index))

    def touched(self, claims: Sequence[Claim]) -> dict[int, list[int]]:
        """The entries that have something of these claims, each with the claims' numbers.

        All that share a name with a claim: an address must not be given twice, whatever was
        moved from entry to entry.
        """
        found: dict[int, list[int]] = {}
        for number, claim in enumerate(claims):
            known = self.known(claim)
            if not self.names:
                known = [index for index in known if index not in found][:1]
            for index in known:
                found.setdefault(index, []).append(number)
        return found

    def taken(self, claims: Sequence[Claim]) -> dict[int, int]:
        """The entries that nobody else may have, each with the number of a claim on it."""
        return {index: numbers[0] for index, numbers in self.touched(claims).items()}

    def own(self, claim: Claim, taken: Container[int]) -> int | None:
        """The entry that `claim` means, with what it says now; None when it is gone."""
        return next((index for index in self.known(claim) if index not in taken), None)

    def meet(self, one: Claim, other: Claim) -> bool:
        """Whether two claims share a name."""
        return any(
            name in one.entry
            and name in other.entry
            and _text(one.entry[name]) == _text(other.entry[name])
            for name in self.names
        )

    def label(self, entry: Entry) -> str:
        """A few words for an entry of this file, or for one that was in it."""
        return label(entry, self.names)


def label(entry: Entry, names: Sequence[str] = ()) -> str:
    """A few words for an entry: its hostname, and values in `names` before others."""
    keys = sorted(bare(entry), key=lambda key: (key != "hostname", key not in names))
    plain = [_text(entry[key]) for key in keys if isinstance(entry[key], str | int)]
    return " ".join(plain[:IN_LABEL]) or "without values"


def means(word: str, entry: Entry) -> bool:
    """Whether an operator's word means this entry: `KEY=VALUE`, or a value alone."""
    key, equals, value = word.partition("=")
    if equals and key in entry and _text(entry[key]) == value:
        return True
    return any(isinstance(one, str | int) and _text(one) == word for one in entry.values())


def bare(entry: Entry) -> dict[str, object]:
    """The entry without the word by which the old server marked used ones."""
    return {key: value for key, value in entry.items() if key != "used"}


def _names(entries: Sequence[Entry]) -> tuple[str, ...]:
    values: dict[str, list[str]] = {}
    for entry in entries:
        for key, value in bare(entry).items():
            values.setdefault(key, []).append(_text(value))
    return tuple(
        key
        for key, found in values.items()
        if len(found) * 2 > len(entries) and len(set(found)) == len(found)
    )


def _text(value: object) -> str:
    """Values are equal when they read the same: 1 and '1', ('a',) and ['a']."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def _whole(entry: Entry) -> str:
    return json.dumps(bare(entry), sort_keys=True, default=str)
