"""How much two sets of marks speak for one machine, and which known machine a report is of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from edeploy.inventory.identity import BOARD, CHASSIS, DISK, KINDS, MAC, SERIAL, UUID, Mark

SAME = 40
"""Points from which two are one machine."""

OTHER = -20
"""Points up to which they are two. Between the two nobody can know."""

MARGIN = 40
"""Points by which a machine must lead the next one that the report may be of as well."""

WORTH_A_DOUBT = 40
"""Points that must speak for it, before a machine is one that the report may be of."""


@dataclass(frozen=True)
class Weight:
    """What it counts when a kind of mark agrees (by the share that does), or wholly differs."""

    agrees: int
    differs: int
    word: str


# A technician types the serial number into a new board and its UUID stays new; a batch of boards
# may share both. Network cards and disks are unique, but are carried from machine to machine.
# So two of these must agree, or one where nothing contradicts. Blades share their chassis.
WEIGHTS = {
    SERIAL: Weight(50, 30, "serial"),
    UUID: Weight(50, 40, "UUID"),
    BOARD: Weight(40, 20, "board serial"),
    CHASSIS: Weight(10, 0, "chassis serial"),
    MAC: Weight(100, 40, "network cards"),
    DISK: Weight(100, 40, "disks"),
}

# A kind by which a whole machine may be claimed: see `_claims`.
_CLAIMING = (SERIAL, UUID, MAC, DISK)


@dataclass(frozen=True)
class Evidence:
    """What one kind of mark says: `serial CZ33`, `2 of 4 network cards`, `other disks`."""

    kind: str
    points: int
    text: str


@dataclass(frozen=True)
class Likeness:
    """The points of all kinds that both sides have."""

    points: int
    evidence: tuple[Evidence, ...]

    @property
    def agreeing(self) -> int:
        """The points of what agrees alone."""
        return sum(one.points for one in self.evidence if one.points > 0)

    def __str__(self) -> str:
        said = ", ".join(f"{one.text} {one.points:+d}" for one in self.evidence)
        return f"{self.points} points: {said}" if said else "nothing to compare"


@dataclass(frozen=True)
class Known:
    """A machine of the records. `held`: it is itself one of which nobody knows whose it is."""

    id: int
    name: str
    marks: frozenset[Mark]
    held: bool = False


@dataclass(frozen=True)
class Scored:
    """A known machine, and what speaks for and against the report being of it."""

    known: Known
    likeness: Likeness


@dataclass(frozen=True)
class Verdict:
    """Whose report it is: `same` one's; or in doubt between `doubts`; else a new machine's.

    `others` are the machines that have a mark of it too and are not it, the nearest first.
    """

    same: Scored | None
    doubts: tuple[Scored, ...]
    others: tuple[Scored, ...]


def likeness(a: frozenset[Mark], b: frozenset[Mark]) -> Likeness:
    """The points of two sets of marks; symmetric. What only one side has counts nothing."""
    found = (_evidence(kind, _of(a, kind), _of(b, kind)) for kind in KINDS)
    evidence = tuple(one for one in found if one is not None and one.points)
    return Likeness(sum(one.points for one in evidence), evidence)


def decide(said: frozenset[Mark], known: Sequence[Known]) -> Verdict:
    """Whose the marks are; pure, and the same whatever the order of `known`.

    A mark that two machines carry, who were told apart before, tells nothing any more.
    """
    telling = said - _shared(said, known)
    scored = [Scored(one, _score(said, telling, one)) for one in known]
    near = sorted((one for one in scored if one.likeness.agreeing), key=_order)
    exact = next((one for one in near if one.known.marks == said), None)
    best = exact or next((one for one in near if one.likeness.points >= SAME), None)
    if best is None:
        return _verdict(None, [one for one in near if _doubtful(telling, one)], near)
    if best is exact or best.known.held:
        return _verdict(best, [], near)
    rivals = [
        one
        for one in near
        if one is not best
        and not one.known.held
        and (_rivals(best, one) or _claims(telling, one.known, best.known))
    ]
    return _verdict(None, [best, *rivals], near) if rivals else _verdict(best, [], near)


def booting(asked: frozenset[Mark], known: Sequence[Known]) -> Known | None:
    """The machine whose firmware asks; None when it is not clear: then its report will tell.

    Firmware names only the card that it boots by, so a machine is asked for that card alone.
    """
    cards = _of(asked, MAC)
    partial = [
        replace(one, marks=_without(one.marks, MAC) | {Mark(MAC, mac) for mac in cards})
        if cards & _of(one.marks, MAC)
        else one
        for one in known
    ]
    verdict = decide(asked, partial)
    return verdict.same.known if verdict.same else None


def _score(said: frozenset[Mark], telling: frozenset[Mark], one: Known) -> Likeness:
    if one.marks == said:
        return likeness(said, said)
    return likeness(telling, one.marks - (said - telling))


def _order(one: Scored) -> tuple[int, bool, int]:
    return -one.likeness.points, not one.known.held, one.known.id


def _evidence(kind: str, a: frozenset[str], b: frozenset[str]) -> Evidence | None:
    if not a or not b:
        return None
    weight = WEIGHTS[kind]
    both, total = len(a & b), max(len(a), len(b))
    if not both:
        return Evidence(kind, -weight.differs, f"other {weight.word}")
    # The share of both sides together (Dice): a card more and a card less count alike.
    points = weight.agrees * 2 * both // (len(a) + len(b))
    if kind in (MAC, DISK):
        return Evidence(kind, points, f"{both} of {total} {weight.word}")
    return Evidence(kind, points, f"{weight.word} {next(iter(a))}")


def _shared(said: frozenset[Mark], known: Iterable[Known]) -> frozenset[Mark]:
    once: set[Mark] = set()
    twice: set[Mark] = set()
    for one in known:
        if not one.held:
            twice |= once & one.marks
            once |= one.marks
    return said & frozenset(twice)


def _rivals(best: Scored, other: Scored) -> bool:
    lead = best.likeness.points - other.likeness.points
    return other.likeness.points >= SAME and lead < MARGIN


def _claims(telling: frozenset[Mark], other: Known, best: Known) -> bool:
    """Whether all that the report has of a kind is another machine's, and nothing `best`'s.

    The serial of one machine with the disks of another: cards or disks were carried over, or a
    board was. Which one it is now is for people to say; the disks may hold what is still wanted.
    """
    for kind in _CLAIMING:
        values = _of(telling, kind)
        if values and values <= _of(other.marks, kind) and not values & _of(best.marks, kind):
            return True
    return False


def _doubtful(telling: frozenset[Mark], one: Scored) -> bool:
    if one.known.held:
        return False
    # A stranger with all the disks of a known machine: to install it would destroy them.
    disks = _of(telling, DISK)
    if disks and disks <= _of(one.known.marks, DISK):
        return True
    return one.likeness.points > OTHER and one.likeness.agreeing >= WORTH_A_DOUBT


def _verdict(same: Scored | None, doubts: Sequence[Scored], near: Sequence[Scored]) -> Verdict:
    involved = {one.known.id for one in (*doubts, *([same] if same else []))}
    others = tuple(one for one in near if one.known.id not in involved)
    return Verdict(same, tuple(doubts), others)


def _of(marks: Iterable[Mark], kind: str) -> frozenset[str]:
    return frozenset(mark.value for mark in marks if mark.kind == kind)


def _without(marks: frozenset[Mark], kind: str) -> frozenset[Mark]:
    return frozenset(mark for mark in marks if mark.kind != kind)
