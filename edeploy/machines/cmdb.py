"""All CMDB entries as they are now: which are free, who holds the others, since when and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from edeploy.machines import holdings
from edeploy.machines.entries import Claim, Pool, means
from edeploy.machines.records import live_lease
from edeploy.machines.refusal import NotFound
from edeploy.machines.schema import Holding, JsonObject, Machine
from edeploy.match.profiles import Profile


class Status(StrEnum):
    """What an entry is to a machine that looks for one."""

    FREE = "free"
    HELD = "held"
    WAITING = "waiting"  # an old installation's machine has it and has not reported yet
    USED = "used"  # its file says so, and nobody knows by whom
    SHARED = "shared"  # it has a name of an entry that somebody holds


@dataclass(frozen=True)
class Row:
    """An entry; `number` counts from 1 in its file, None: it is held and not in the file.

    `sharing`: of a `shared` entry, the entries in other hands that it has something of.
    """

    profile: str
    number: int | None
    name: str
    claim: Claim
    status: Status
    holding: Holding | None = None
    sharing: tuple[Holding, ...] = ()

    @property
    def told(self) -> str:
        """The entry in a message."""
        return f"{self.name} of {self.profile}"

    def called(self, word: str) -> bool:
        """Whether an operator's word means it: KEY=VALUE, a value, or its number."""
        return means(word, self.claim.entry) or word == str(self.number)


def rows(session: Session, profiles: Sequence[Profile], only: str | None = None) -> list[Row]:
    """Every entry of the files, then what is held and in no file; of one profile, or of all.

    Raises NotFound for a profile that neither is there nor has anything held.
    """
    names = [profile.name for profile in profiles]
    found = [
        row
        for profile in profiles
        if only in (None, profile.name)
        for row in _of_profile(session, profile, names)
    ]
    placed = {row.holding.id for row in found if row.holding}
    lost = select(Holding).where(Holding.ended.is_(None), Holding.profile.not_in(names))
    found += [
        _gone(holding, Pool(()))
        for holding in session.scalars(lost.order_by(Holding.profile, Holding.id))
        if only in (None, holding.profile) and holding.id not in placed
    ]
    if only is not None and only not in names and not found:
        there = ", ".join(names) or "none"
        raise NotFound(f"there is no profile {only!r}", f"Profiles without an error: {there}.")
    return found


def listing(
    session: Session, profiles: Sequence[Profile], only: str | None = None
) -> list[JsonObject]:
    """The rows as operators see them."""
    return [shown(session, row) for row in rows(session, profiles, only)]


def shown(session: Session, row: Row) -> JsonObject:
    """One row; `lease` is the state of the lease that the entry is used by, if any."""
    holding = row.holding or next(iter(row.sharing), None)
    machine = _machine(session, holding)
    lease = live_lease(session, machine) if machine else None
    uses = lease is not None and holding is not None and lease.holding_id == holding.id
    return {
        "profile": row.profile,
        "number": row.number,
        "name": row.name,
        "entry": dict(row.claim.entry),
        "status": row.status,
        "machine": machine.name if machine else None,
        "state": machine.state if machine else None,
        "lease": lease.state if uses and lease else None,
        "since": holding.since if holding else None,
        "why": holding.why if holding else None,
        "lasting": holding.lasting if holding else None,
    }


def _of_profile(session: Session, profile: Profile, profiles: Sequence[str]) -> list[Row]:
    pool = Pool(profile.cmdb or ())
    held = holdings.of_profile(session, profile.name, profiles)
    claims = [holdings.claim_of(holding) for holding in held]
    touched = {i: [held[n] for n in numbers] for i, numbers in pool.touched(claims).items()}
    placed: dict[int, Holding] = {}
    gone: list[Holding] = []
    for holding, claim in zip(held, claims, strict=True):
        clear = (i for i in pool.known(claim) if i not in placed and _agree(touched[i], holding))
        index = next(clear, None)
        if index is not None:
            placed[index] = holding
        elif holding.profile == profile.name:
            gone.append(holding)
    return [
        *(
            _row(profile.name, pool, index, placed.get(index), touched.get(index, []))
            for index in range(len(pool.entries))
        ),
        *(_gone(holding, pool) for holding in gone),
    ]


def _agree(others: Sequence[Holding], holding: Holding) -> bool:
    """Whether nobody else has something of an entry that `holding` means."""
    return all(
        one is holding or (one.machine_id is not None and one.machine_id == holding.machine_id)
        for one in others
    )


def _row(
    profile: str, pool: Pool, index: int, holding: Holding | None, sharing: Sequence[Holding]
) -> Row:
    claim = pool.claim(index)
    said = profile, index + 1, pool.label(claim.entry), claim
    if holding is not None:
        return Row(*said, _held(holding), holding)
    if sharing:
        return Row(*said, Status.SHARED, sharing=tuple(sharing))
    return Row(*said, Status.USED if "used" in pool.entries[index] else Status.FREE)


def _gone(holding: Holding, pool: Pool) -> Row:
    claim = holdings.claim_of(holding)
    return Row(holding.profile, None, pool.label(claim.entry), claim, _held(holding), holding)


def _held(holding: Holding) -> Status:
    return Status.WAITING if holding.machine_id is None else Status.HELD


def _machine(session: Session, holding: Holding | None) -> Machine | None:
    if holding is None or holding.machine_id is None:
        return None
    return session.get(Machine, holding.machine_id)
