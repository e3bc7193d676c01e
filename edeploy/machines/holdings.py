"""Who holds which CMDB entry: taken, known again by whoever reports, ended."""

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from edeploy.machines.entries import Claim, Entry, label
from edeploy.machines.records import note
from edeploy.machines.schema import Holding, JsonObject, Machine


class Origin(StrEnum):
    """Who said that the machine has the entry."""

    MATCH = "match"
    OPERATOR = "operator"
    IMPORT = "import"


RELEASED = "released"
"""How a holding ends when its machine is not to prefer the entry the next time."""


def take(
    session: Session,
    profile: str,
    claim: Claim,
    machine: Machine | None,
    origin: Origin,
    why: str,
    *,
    now: float,
    hardware: JsonObject | None = None,
) -> Holding:
    """Put the entry into the machine's hands; for ever, unless a match alone says so."""
    holding = Holding(
        profile=profile,
        entry=dict(claim.entry),
        copy=claim.copy,
        mark=claim.mark,
        machine_id=machine.id if machine else None,
        origin=origin,
        lasting=origin is not Origin.MATCH,
        since=now,
        why=why,
        hardware=hardware,
    )
    session.add(holding)
    session.flush()
    return holding


def renew(session: Session, holding: Holding, profile: str, claim: Claim) -> None:
    """The same entry as the file has it now, perhaps under the profile's new name."""
    holding.profile = profile
    holding.entry, holding.copy, holding.mark = dict(claim.entry), claim.copy, claim.mark
    session.flush()


def end(session: Session, holding: Holding, why: str, *, now: float) -> None:
    """The entry is free for others."""
    holding.ended, holding.end = now, why
    session.flush()


def claim_of(holding: Holding) -> Claim:
    """What is held, to be known again in the file of now."""
    return Claim(holding.entry, holding.copy)


def of_profile(session: Session, profile: str, profiles: Collection[str]) -> Sequence[Holding]:
    """What is held of this profile's entries, the oldest first.

    Also what was held under a profile that is not in `profiles` any more: it may have got
    another name, and its machines still have their addresses.
    """
    return session.scalars(
        select(Holding)
        .where(
            Holding.ended.is_(None),
            or_(Holding.profile == profile, Holding.profile.not_in(profiles)),
        )
        .order_by(Holding.id)
    ).all()


def of_machine(session: Session, machine: Machine) -> list[Holding]:
    """What the machine holds, the newest first: that is what its next install gets."""
    return list(
        session.scalars(
            select(Holding)
            .where(Holding.machine_id == machine.id, Holding.ended.is_(None))
            .order_by(Holding.since.desc(), Holding.id.desc())
        )
    )


def last(session: Session, machine: Machine, profile: str) -> Holding | None:
    """What the machine held last of this profile and gave back; it gets it again if it can."""
    holding = session.scalar(
        select(Holding)
        .where(
            Holding.machine_id == machine.id,
            Holding.profile == profile,
            Holding.ended.is_not(None),
        )
        .order_by(Holding.ended.desc(), Holding.id.desc())
        .limit(1)
    )
    return holding if holding is not None and holding.end != RELEASED else None


def holder(session: Session, holding: Holding) -> str:
    """Who holds it, for an operator."""
    machine = session.get(Machine, holding.machine_id) if holding.machine_id else None
    return machine.name if machine else "a machine of the old installation"


def recognise(
    session: Session,
    machine: Machine,
    fits: Mapping[str, tuple[Mapping[str, str], Mapping[str, str]]],
    *,
    now: float,
) -> None:
    """Give the machine what an old installation's files say that it has.

    It is known by a serial number, UUID, MAC or disk that stands in the entry, or by the keys of
    a profile's specs. `fits`: variables and keys for each profile that it matches.
    """
    unclaimed = session.scalars(
        select(Holding).where(Holding.ended.is_(None), Holding.machine_id.is_(None))
    ).all()
    if not unclaimed:
        return
    marks = {_plain(part.value) for part in machine.identities}
    own = {holding.profile for holding in of_machine(session, machine)}
    for profile in {holding.profile for holding in unclaimed} - own:
        variables, keys = fits.get(profile, ({}, {}))
        scored = [
            (_likeness(holding, marks, variables, keys), -holding.id, holding)
            for holding in unclaimed
            if holding.profile == profile
        ]
        (likeness, _, best) = max(scored)
        if likeness > (0, 0, 0):
            best.machine_id = machine.id
            session.flush()
            text = f"it is known by its entry of {profile}, {label(best.entry)}: {best.why}"
            note(session, "recognised", text, now=now, machine=machine)


def _likeness(
    holding: Holding, marks: set[str], variables: Mapping[str, str], keys: Mapping[str, str]
) -> tuple[int, int, int]:
    """How sure it is that the entry was this machine's; all 0: not at all."""
    said = holding.hardware or {}
    known = len(marks & {_plain(value) for value in said.values()})
    whole: Entry = {**holding.entry, **said}
    keyed = bool(keys) and all(str(whole.get(key)) == value for key, value in keys.items())
    if not known and not keyed:
        return (0, 0, 0)
    return (known, int(keyed), sum(str(whole.get(k)) == v for k, v in variables.items()))


def _plain(value: object) -> str:
    return "".join(str(value).split()).lower()
