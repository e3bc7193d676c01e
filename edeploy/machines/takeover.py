"""Takes over who had which entry from the CMDB files of an old installation."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from edeploy.machines import holdings
from edeploy.machines.entries import Claim, Entry, Pool, bare
from edeploy.machines.holdings import Origin
from edeploy.machines.records import note
from edeploy.machines.schema import Holding, JsonObject
from edeploy.match.profiles import Profile

_TELLING_VALUE = re.compile(
    r"(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}|[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-"
)
_TELLING_KEY = re.compile("serial|uuid|mac|wwn", re.IGNORECASE)


@dataclass(frozen=True)
class _Old:
    """A used entry: the old server wrote the machine's variables into it, over its own values."""

    claim: Claim
    hardware: Entry


def take_over(
    session: Session,
    profiles: Sequence[Profile],
    profile: str,
    source: str,
    entries: Sequence[Entry],
    *,
    now: float,
) -> JsonObject:
    """Keep the used ones of `entries` for the machines that they name.

    A machine that reports with a serial, UUID, MAC or disk that stands in one, or with the keys
    of the profile's specs, gets it. `taken` and `refused` say what became of each; the same
    file again changes nothing.
    """
    known = {one.name: one for one in profiles}
    used = [entry for entry in entries if "used" in entry]
    if profile not in known:
        why = "there is no such profile, or it has an error"
        return {"taken": [], "refused": [_told(profile, Pool(()), bare(one), why) for one in used]}
    taken, refused = [], []
    pool = Pool(known[profile].cmdb or ())
    for entry in used:
        held = holdings.of_profile(session, profile, known.keys())
        old = _old(pool, bare(entry))
        other = _holder(pool, old.claim, held)
        if other is not None:
            who = holdings.holder(session, other)
            refused.append(_told(profile, pool, old.claim.entry, f"is held by {who} already"))
            continue
        holdings.take(
            session,
            profile,
            old.claim,
            None,
            Origin.IMPORT,
            f"used in {source}",
            now=now,
            hardware=dict(old.hardware),
        )
        by = _known_by(old, known[profile].specs.keys)
        taken.append(_told(profile, pool, old.claim.entry, by))
    if taken:
        note(session, "imported", f"{len(taken)} used entries of {source}", now=now)
    return {"taken": taken, "refused": refused}


def _old(pool: Pool, content: dict[str, object]) -> _Old:
    """Its entry in the file of now, if that still has it, and what it says besides."""
    index = pool.own(Claim(content), {})
    if index is None:
        return _Old(Claim(content), content)
    claim = pool.claim(index)
    said = {k: v for k, v in content.items() if k not in claim.entry or claim.entry[k] != v}
    return _Old(claim, said or content)  # nothing: the file of now is the old one


def _holder(pool: Pool, claim: Claim, held: Sequence[Holding]) -> Holding | None:
    same = (h for h in held if h.mark == claim.mark or pool.meet(holdings.claim_of(h), claim))
    return next(same, None)


def _known_by(old: _Old, keys: frozenset[str]) -> str:
    telling = [
        f"{key}={value}"
        for key, value in {**old.claim.entry, **old.hardware}.items()
        if key in keys
        or (key in old.hardware and (_TELLING_KEY.search(key) or _TELLING_VALUE.match(str(value))))
    ]
    if not telling:
        return "kept, but nothing in it tells its machine: `edeploy cmdb assign` it"
    return f"kept for the machine with {', '.join(telling)}"


def _told(profile: str, pool: Pool, entry: Entry, why: str) -> JsonObject:
    return {"profile": profile, "name": pool.label(entry), "entry": dict(entry), "why": why}
