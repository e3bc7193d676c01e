"""Which CMDB entry a machine gets of a profile: its own, or one that is free; or why none."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from edeploy.errors import EdeployError
from edeploy.machines import holdings
from edeploy.machines.entries import Claim, Pool
from edeploy.machines.schema import Holding, Machine
from edeploy.match.cmdb import NoEntry, choose, merged
from edeploy.match.profiles import Profile
from edeploy.match.solver import Match

NAMED = 5
"""Machines named as the holders of what another one wants."""


class Exhausted(EdeployError):
    """The profile matches and has nothing left for this machine."""


@dataclass(frozen=True)
class Hand:
    """What a machine gets: the entry that it holds already, or the one that it takes now.

    `claim` None: it gets none, or its own stays as it was when it was taken.
    """

    held: Holding | None
    claim: Claim | None
    values: dict[str, object]
    told: str = ""


def entry_for(
    session: Session, machine: Machine, profile: Profile, fits: Match, profiles: Collection[str]
) -> Hand:
    """What the machine would get of `profile` now; `profiles`: the names of all that there are.

    Raises Exhausted.
    """
    held = holdings.of_profile(session, profile.name, profiles)
    own = _own(held, machine, profile)
    if profile.cmdb is None and own is None:
        return Hand(None, None, dict(fits.vars))
    pool = Pool(profile.cmdb or ())
    others = [holding for holding in held if holding.machine_id != machine.id]
    taken = pool.taken([holdings.claim_of(holding) for holding in others])
    index = pool.own(holdings.claim_of(own), taken) if own else None
    if own is not None and own.profile == profile.name and index is None:
        return _as_it_was(pool, own, fits)
    keeps = own if index is not None else None
    if keeps is None:
        last = holdings.last(session, machine, profile.name)
        index = pool.own(holdings.claim_of(last), taken) if last else None
    try:
        index, values = choose(pool.entries, fits.vars, fits.keys, taken=taken, owned=index)
    except NoEntry as error:
        holders = [holdings.holder(session, others[taken[n]]) for n in error.full if n in taken]
        raise Exhausted(_no_entry(error, holders)) from error
    return Hand(keeps, pool.claim(index), values, f"CMDB entry {pool.label(pool.entries[index])}")


def named(machines: Sequence[str]) -> str:
    """The names of some of them, and how many more there are."""
    more = len(machines) - NAMED
    return ", ".join(machines[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _own(held: Sequence[Holding], machine: Machine, profile: Profile) -> Holding | None:
    """What the machine holds of this profile, the newest; else what it holds of a lost one."""
    own = [holding for holding in held if holding.machine_id == machine.id]
    if profile.cmdb is None:
        own = [holding for holding in own if holding.profile == profile.name]
    return max(own, key=lambda one: (one.profile == profile.name, one.since, one.id), default=None)


def _as_it_was(pool: Pool, own: Holding, fits: Match) -> Hand:
    """A machine keeps its entry when the file has lost it, or mixes it with another's."""
    mixed = pool.known(holdings.claim_of(own))
    why = "the file gives a part of it to others" if mixed else "it is no longer in the file"
    told = f"CMDB entry {pool.label(own.entry)} as it was: {why}"
    return Hand(own, None, merged(own.entry, fits.vars), told)


def _no_entry(error: NoEntry, holders: Sequence[str]) -> str:
    """Why there is no entry; `holders` have those of `error.full` that are held."""
    if error.keys and not error.full:
        return f"it has no CMDB entry with {error.keys}"
    names = named(list(dict.fromkeys(holders)))
    if error.keys:
        return f"its CMDB entry with {error.keys} is held by {names}"
    used = len(error.full) - len(holders)
    who = [f"held by {names}"] if names else []
    who += [f"{used} marked `used` in its file"] if used else []
    count = len(error.full)
    return f"it has no CMDB entries left ({count} of {count} {', '.join(who)})"
