"""Which CMDB entries are taken, although an operator may edit the file between two machines."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Claim:
    """An entry in a machine's hands: its index when it was chosen, and what it said."""

    index: int
    text: str


def text_of(entry: Mapping[str, object]) -> str:
    """The entry as one line that is equal for equal entries."""
    return json.dumps(entry, sort_keys=True, default=str)


def taken(entries: Sequence[Mapping[str, object]], claims: Sequence[Claim]) -> set[int]:
    """The indices that `claims` stand for in `entries` as they are now.

    An entry is known by its content, since a line added above moves every index and one
    address would be given twice; only when the content is gone (an operator corrected the
    entry) its index decides.
    """
    texts = [text_of(entry) for entry in entries]
    found: set[int] = set()
    edited: list[Claim] = []
    for claim in claims:
        same = [i for i, text in enumerate(texts) if text == claim.text and i not in found]
        if not same:
            edited.append(claim)
            continue
        found.add(claim.index if claim.index in same else same[0])
    found.update(claim.index for claim in edited if claim.index < len(entries))
    return found


def owned(entries: Sequence[Mapping[str, object]], claim: Claim | None) -> int | None:
    """The index of a machine's own entry in `entries` as they are now; None without one."""
    return next(iter(taken(entries, [claim])), None) if claim else None
