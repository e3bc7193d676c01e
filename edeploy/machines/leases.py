"""Leases: a quota slot and a CMDB entry, taken together at the match, spent or given back."""

import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from edeploy.inventory.items import Report
from edeploy.machines import entries
from edeploy.machines.credentials import Kind, revoke
from edeploy.machines.records import live_lease
from edeploy.machines.schema import Lease, Machine
from edeploy.match.cmdb import NoEntry, choose
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
    """The lease that came of the candidates, if any, and why, a line a profile."""

    lease: Lease | None
    why: tuple[str, ...]


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

    A machine that holds a lease keeps it while its profile still fits: reports that come
    twice lease once. One that comes for a reinstall gets its own entry again when the same
    profile is chosen. What it had before is given back when another
    profile is chosen.
    """
    own = live_lease(session, machine)
    why: list[str] = []
    for candidate in _own_first(offered, own):
        lease = _try(session, machine, candidate, own, why, now)
        if lease is not None:
            return Choice(lease, tuple(why))
    if own is not None and own.state == "held":
        give_back(session, own, now=now)
    return Choice(None, tuple(why) or ("there is no profile",))


def give_back(session: Session, lease: Lease, *, now: float) -> None:
    """End the lease: slot and entry are free for others, all its secrets are dead."""
    lease.state = "returned"
    lease.ended = now
    revoke(session, lease.machine_id, set(Kind), now=now)
    session.flush()  # before a new one: one live lease a machine


def _own_first(offered: Sequence[Candidate], own: Lease | None) -> list[Candidate]:
    held = own.profile if own is not None and own.state == "held" else None
    return sorted(offered, key=lambda candidate: candidate.profile.name != held)


def _try(
    session: Session,
    machine: Machine,
    candidate: Candidate,
    own: Lease | None,
    why: list[str],
    now: float,
) -> Lease | None:
    profile = candidate.profile
    if candidate.fits is None:
        why.append(f"{profile.name}: no: {candidate.reason}")
        return None
    others = _others(session, machine, profile)
    if profile.quota is not None and len(others) >= profile.quota:
        why.append(f"{profile.name}: fits, but its quota of {profile.quota} is used up")
        return None
    try:
        index, values = _entry(session, machine, candidate.fits, profile, others)
    except NoEntry as error:
        why.append(f"{profile.name}: fits, but no CMDB entry is left for it: {error.message}")
        return None
    why.append(f"{profile.name}: yes" + (f", CMDB entry {index + 1}" if index is not None else ""))
    if own is not None and own.profile == profile.name:
        lease = own
    else:
        if own is not None:
            give_back(session, own, now=now)
        lease = Lease(machine_id=machine.id, profile=profile.name, created=now)
        session.add(lease)
    lease.state = "held"
    lease.entry = index
    lease.entry_text = entries.text_of((profile.cmdb or ())[index]) if index is not None else None
    lease.vars = values
    lease.configure = profile.configure
    lease.settings = _own_settings(profile)
    lease.finished = None
    lease.plan = None
    lease.boot_label = f"ED{secrets.token_hex(4).upper()}"
    session.flush()
    return lease


def _own_settings(profile: Profile) -> dict[str, object]:
    """What the profile itself says: for the rest the server's settings decide."""
    defaults = asdict(ProfileSettings())
    return {key: value for key, value in asdict(profile.settings).items() if value != defaults[key]}


def _entry(
    session: Session, machine: Machine, fits: Match, profile: Profile, others: Sequence[Lease]
) -> tuple[int | None, dict[str, object]]:
    if profile.cmdb is None:
        return None, dict(fits.vars)
    taken = entries.taken(profile.cmdb, [c for c in map(_claim, others) if c is not None])
    owned = entries.owned(profile.cmdb, _last_claim(session, machine, profile))
    index, values = choose(
        profile.cmdb,
        fits.vars,
        fits.keys,
        taken=taken,
        owned=None if owned in taken else owned,
    )
    return index, values


def _others(session: Session, machine: Machine, profile: Profile) -> Sequence[Lease]:
    return session.scalars(
        select(Lease).where(
            Lease.profile == profile.name,
            Lease.state != "returned",
            Lease.machine_id != machine.id,
        )
    ).all()


def _last_claim(session: Session, machine: Machine, profile: Profile) -> entries.Claim | None:
    newest = session.scalar(
        select(func.max(Lease.id)).where(
            Lease.machine_id == machine.id, Lease.profile == profile.name
        )
    )
    lease = session.get(Lease, newest) if newest is not None else None
    return _claim(lease) if lease else None


def _claim(lease: Lease) -> entries.Claim | None:
    if lease.entry is None or lease.entry_text is None:
        return None
    return entries.Claim(lease.entry, lease.entry_text)
