"""Leases: a quota slot and a CMDB entry, taken together at the match, spent or given back."""

import secrets
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from edeploy.inventory.items import Report
from edeploy.machines import holdings
from edeploy.machines.credentials import Kind, revoke
from edeploy.machines.hands import Exhausted, Hand, entry_for, named
from edeploy.machines.holdings import Origin
from edeploy.machines.records import live_lease
from edeploy.machines.schema import Holding, Lease, Machine
from edeploy.match.profiles import Profile, ProfileSettings
from edeploy.match.solver import Match


@dataclass(frozen=True)
class Candidate:
    """A profile and how it fits a report; `fits` None: it does not, for this reason."""

    profile: Profile
    fits: Match | None
    reason: str = ""


@dataclass(frozen=True)
class Choice:
    """The lease that came of the candidates, if any, and why, a line a profile.

    `exhausted`: the lines of profiles that match and have no place or no entry left.
    """

    lease: Lease | None
    why: tuple[str, ...]
    exhausted: tuple[str, ...]


def candidates(profiles: Sequence[Profile], report: Report) -> list[Candidate]:
    """How every profile fits the report, in the order of `state`. May take a while.

    Pure, but for profiles with an `accept` of their own, which is asked.
    """
    found = []
    for profile in profiles:
        result = profile.fit(report)
        if isinstance(result, Match):
            found.append(Candidate(profile, result))
        else:
            found.append(Candidate(profile, None, result.reason))
    return found


def choose_lease(
    session: Session, machine: Machine, offered: Sequence[Candidate], *, now: float
) -> Choice:
    """Lease the first candidate that fits and has a slot and an entry left.

    First comes the profile of which an operator gave the machine an entry, then the one that it
    holds a lease of already, so that reports that come twice lease once, then `state`'s order.
    A machine gets the entry that it holds, whatever was renamed. What it had of another profile
    is given back.
    """
    _recognise(session, machine, offered, now)
    own = live_lease(session, machine)
    for candidate in _in_order(session, machine, offered, own):
        hand = _offer(session, machine, candidate, offered)
        if isinstance(hand, Hand):
            before = offered[: offered.index(candidate)]
            why, exhausted = _explained(session, machine, before, offered, candidate)
            why.append(f"{candidate.profile.name}: yes" + (f", {hand.told}" if hand.told else ""))
            names = {one.profile.name for one in offered}
            _let_go(session, machine, candidate.profile, hand, names, now)
            lease = _lease(session, machine, candidate.profile, hand, own, now)
            return Choice(lease, tuple(why), tuple(exhausted))
    if own is not None and own.state == "held":
        give_back(session, own, now=now)
    why, exhausted = _explained(session, machine, offered, offered, None)
    return Choice(None, tuple(why) or ("there is no profile",), tuple(exhausted))


def spend(session: Session, lease: Lease, *, now: float) -> None:
    """The machine is active: the slot is used up, and the entry its own for ever."""
    lease.state = "spent"
    lease.finished = lease.finished or now
    holding = session.get(Holding, lease.holding_id) if lease.holding_id else None
    if holding is not None:
        holding.lasting = True


def give_back(session: Session, lease: Lease, *, now: float) -> None:
    """End the lease: the slot is free for others, all its secrets are dead.

    So is the entry, unless the machine has been active with it or an operator gave it.
    """
    close(session, lease, now=now)
    revoke(session, lease.machine_id, set(Kind), now=now)
    holding = session.get(Holding, lease.holding_id) if lease.holding_id else None
    if holding is not None and holding.ended is None and not holding.lasting:
        holdings.end(session, holding, "the lease ended", now=now)


def close(session: Session, lease: Lease, *, now: float) -> None:
    """End the lease alone: the slot is free, and the machine's secrets stay good."""
    lease.state = "returned"
    lease.ended = now
    session.flush()  # before a new one: one live lease a machine


def _recognise(
    session: Session, machine: Machine, offered: Sequence[Candidate], now: float
) -> None:
    fits = {c.profile.name: (c.fits.vars, c.fits.keys) for c in offered if c.fits is not None}
    holdings.recognise(session, machine, fits, now=now)


def _in_order(
    session: Session, machine: Machine, offered: Sequence[Candidate], own: Lease | None
) -> list[Candidate]:
    given = [h.profile for h in holdings.of_machine(session, machine) if h.origin != Origin.MATCH]
    held = own.profile if own is not None and own.state == "held" else None
    return sorted(offered, key=lambda c: (c.profile.name not in given[:1], c.profile.name != held))


def _offer(
    session: Session, machine: Machine, candidate: Candidate, offered: Sequence[Candidate]
) -> Hand | Exhausted | None:
    """What the machine would get of this profile; None: it does not match."""
    if candidate.fits is None:
        return None
    profiles = [one.profile.name for one in offered]
    try:
        _check_quota(session, machine, candidate.profile)
        return entry_for(session, machine, candidate.profile, candidate.fits, profiles)
    except Exhausted as error:
        return error


def _explained(
    session: Session,
    machine: Machine,
    passed: Sequence[Candidate],
    offered: Sequence[Candidate],
    taken: Candidate | None,
) -> tuple[list[str], list[str]]:
    """Why `passed` were not taken, a line each, and those of the lines that tell of nothing left.

    Also of profiles that were not tried, because the machine has another one already.
    """
    why: list[str] = []
    exhausted: list[str] = []
    for candidate in passed:
        name = candidate.profile.name
        hand = _offer(session, machine, candidate, offered)
        if hand is None:
            why.append(f"{name}: no: {candidate.reason}")
        elif isinstance(hand, Exhausted):
            why.append(f"{name} matches, but {hand.message}")
            exhausted.append(why[-1])
        elif taken is not None:
            why.append(f"{name} matches, but it has {taken.profile.name} already")
    return why, exhausted


def _check_quota(session: Session, machine: Machine, profile: Profile) -> None:
    others = session.execute(
        select(Machine.name)
        .join(Lease, Lease.machine_id == Machine.id)
        .where(
            Lease.profile == profile.name,
            Lease.state != "returned",
            Lease.machine_id != machine.id,
        )
        .order_by(Lease.id)
    ).all()
    if profile.quota is None or len(others) < profile.quota:
        return
    if profile.quota == 0:
        raise Exhausted("its quota is 0")
    names = named([name for (name,) in others])
    raise Exhausted(f"its quota of {profile.quota} is spent: {names}")


def _lease(
    session: Session, machine: Machine, profile: Profile, hand: Hand, own: Lease | None, now: float
) -> Lease:
    """Write it down: the lease, and the entry in its hands."""
    if own is not None and own.profile != profile.name:
        close(session, own, now=now)
        revoke(session, machine.id, set(Kind), now=now)
        own = None
    holding = _holding(session, machine, profile, hand, now)
    lease = own or Lease(machine_id=machine.id, profile=profile.name, created=now)
    lease.state = "held"
    lease.holding_id = holding.id if holding else None
    lease.vars = hand.values
    lease.configure = profile.configure
    lease.settings = _own_settings(profile)
    lease.finished = None
    lease.plan = None
    lease.boot_label = f"ED{secrets.token_hex(4).upper()}"
    session.add(lease)
    session.flush()
    return lease


def _let_go(
    session: Session,
    machine: Machine,
    profile: Profile,
    hand: Hand,
    profiles: Collection[str],
    now: float,
) -> None:
    """End what the machine holds besides, but for what it was given of another profile.

    And but for entries of a profile that is not in `profiles`: its files have an error just now,
    which must not cost the machine its address.
    """
    for other in holdings.of_machine(session, machine):
        given = other.profile != profile.name and other.origin != Origin.MATCH
        lost = other.lasting and other.profile not in profiles
        if other is not hand.held and not given and not lost:
            holdings.end(session, other, f"it has an entry of {profile.name} now", now=now)


def _holding(
    session: Session, machine: Machine, profile: Profile, hand: Hand, now: float
) -> Holding | None:
    if hand.held is not None:
        if hand.claim is not None:
            holdings.renew(session, hand.held, profile.name, hand.claim)
        return hand.held
    if hand.claim is None:
        return None
    return holdings.take(
        session, profile.name, hand.claim, machine, Origin.MATCH, "matched", now=now
    )


def _own_settings(profile: Profile) -> dict[str, object]:
    """What the profile itself says: for the rest the server's settings decide."""
    defaults = asdict(ProfileSettings())
    return {key: value for key, value in asdict(profile.settings).items() if value != defaults[key]}
