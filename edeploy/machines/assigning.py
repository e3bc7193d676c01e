"""What an operator does with CMDB entries: give one to a machine, make one free again."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from edeploy.machines import cmdb, holdings
from edeploy.machines.cmdb import Row, Status
from edeploy.machines.credentials import Kind, revoke
from edeploy.machines.entries import label
from edeploy.machines.holdings import Origin
from edeploy.machines.leases import close, give_back
from edeploy.machines.records import find, live_lease, move, note
from edeploy.machines.refusal import NotFound, Refusal
from edeploy.machines.schema import Holding, JsonObject, Lease, Machine
from edeploy.machines.states import State, Verb
from edeploy.match.profiles import Profile

LISTED = 5
"""Entries that a message names when a word means several."""


def assign(
    session: Session,
    profiles: Sequence[Profile],
    profile: str,
    word: str,
    name: str,
    *,
    now: float,
) -> Row:
    """The entry is the machine's from its next install on; its profile is tried first.

    What the machine runs with stays its own until then. Raises Refusal, NotFound.
    """
    machine = find(session, name)
    row = _in_file(cmdb.rows(session, profiles, profile), profile, word)
    _check_free(session, row, machine)
    _drop_plans(session, machine, row, now)
    holding = _into_hands(session, machine, row, now)
    if State(machine.state) is State.RESERVED:
        # Its agent reports again for a new token, and is matched anew.
        revoke(session, machine.id, {Kind.TOKEN}, now=now)
    note(session, "assigned", f"{row.told}, by an operator", now=now, machine=machine)
    session.flush()
    [now_held] = [r for r in cmdb.rows(session, profiles, profile) if r.holding is holding]
    return now_held


def release(
    session: Session,
    profiles: Sequence[Profile],
    word: str,
    *,
    profile: str | None,
    sure: bool,
    now: float,
) -> JsonObject:
    """Others may have the entries of a machine and its quota slot, or one entry.

    `word` is a machine or an entry; `profile` says of which profile. What a running machine
    uses is given up only when the operator is `sure`. Raises Refusal, NotFound.
    """
    what = _meant(session, profiles, word, profile)
    _check_release(what, word, sure)
    told = [f"{label(one.entry)} of {one.profile}" for one in what.holdings]
    if what.lease is not None:
        told.append(f"a place of {what.lease.profile}")
    for holding in what.holdings:
        holdings.end(session, holding, holdings.RELEASED, now=now)
    if what.machine is not None and what.lease is not None:
        _end_lease(session, what.machine, what.lease, now)
    text = f"by an operator: {', '.join(told)}"
    note(session, "entry-released", text, now=now, machine=what.machine)
    return {
        "machine": what.machine.name if what.machine else None,
        "place": what.lease.profile if what.lease else None,
        "entries": [
            {"profile": one.profile, "name": label(one.entry), "entry": one.entry}
            for one in what.holdings
        ],
    }


def _drop_plans(session: Session, machine: Machine, row: Row, now: float) -> None:
    """Of several assignments the last one counts."""
    lease = live_lease(session, machine)
    for holding in holdings.of_machine(session, machine):
        used = lease is not None and lease.holding_id == holding.id
        if holding.origin == Origin.OPERATOR and not used and holding is not row.holding:
            holdings.end(session, holding, f"assigned {row.told} instead", now=now)


def _into_hands(session: Session, machine: Machine, row: Row, now: float) -> Holding:
    if row.status is Status.HELD and row.holding is not None:
        row.holding.profile, row.holding.origin = row.profile, Origin.OPERATOR
        row.holding.lasting, row.holding.why = True, "assigned"
        return row.holding
    if row.holding is not None:
        holdings.end(session, row.holding, f"assigned to {machine.name}", now=now)
    return holdings.take(
        session, row.profile, row.claim, machine, Origin.OPERATOR, "assigned", now=now
    )


@dataclass(frozen=True)
class _Meant:
    """What a release gives up. `lease` None: nothing that is leased now."""

    machine: Machine | None
    holdings: tuple[Holding, ...]
    lease: Lease | None


def _in_file(rows: Sequence[Row], profile: str, word: str) -> Row:
    found = [row for row in rows if row.number is not None and row.called(word)]
    if not found:
        raise NotFound(
            f"{profile} has no entry {word!r} in its file", f"`edeploy cmdb ls {profile}` has all."
        )
    if len(found) > 1:
        raise _several(word, found)
    return found[0]


def _several(word: str, rows: Sequence[Row]) -> Refusal:
    names = ", ".join(row.told for row in rows[:LISTED])
    return Refusal(
        f"{word!r} means {len(rows)} entries: {names}", "Say KEY=VALUE, or --profile NAME."
    )


def _check_free(session: Session, row: Row, machine: Machine) -> None:
    for holding in row.sharing:
        if holding.machine_id != machine.id:
            who = holdings.holder(session, holding)
            raise Refusal(
                f"{row.told} has a value in it that is {who}'s, of {label(holding.entry)}",
                "Nothing is given twice: correct the file, or release the other entry.",
            )
    if row.holding is not None and row.holding.machine_id not in (None, machine.id):
        who = holdings.holder(session, row.holding)
        raise Refusal(f"{row.told} is held by {who}", f"First: edeploy cmdb release {who}")


def _meant(session: Session, profiles: Sequence[Profile], word: str, profile: str | None) -> _Meant:
    rows = cmdb.rows(session, profiles, profile)
    called = [row for row in rows if row.called(word)]
    held = [row for row in called if row.holding is not None]
    machine = _machine(session, word)
    if machine is not None:
        if any(row.holding and row.holding.machine_id != machine.id for row in held):
            raise Refusal(
                f"{word!r} means the machine {machine.name}, and an entry of another one",
                f"Say {machine.name}, or KEY=VALUE of the entry.",
            )
        return _of_machine(session, machine, profile)
    if len(held) > 1:
        raise _several(word, held)
    if not held and called:
        raise Refusal(f"{called[0].told} is not held by anybody", "")
    if not held or held[0].holding is None:
        raise NotFound(f"no machine and no held entry is called {word!r}", "See `edeploy cmdb ls`.")
    return _of_entry(session, held[0].holding)


def _machine(session: Session, word: str) -> Machine | None:
    try:
        return find(session, word)
    except NotFound:
        return None


def _of_machine(session: Session, machine: Machine, profile: str | None) -> _Meant:
    own = [h for h in holdings.of_machine(session, machine) if profile in (None, h.profile)]
    lease = live_lease(session, machine)
    if lease is not None and profile not in (None, lease.profile):
        lease = None
    if not own and lease is None:
        of = f" of {profile}" if profile else ""
        raise Refusal(f"{machine.name} holds no entry and no place{of}")
    return _Meant(machine, tuple(own), lease)


def _of_entry(session: Session, holding: Holding) -> _Meant:
    machine = session.get(Machine, holding.machine_id) if holding.machine_id else None
    lease = live_lease(session, machine) if machine else None
    used = lease is not None and lease.holding_id == holding.id
    return _Meant(machine, (holding,), lease if used else None)


def _check_release(what: _Meant, word: str, sure: bool) -> None:
    machine, lease = what.machine, what.lease
    again = f"add --yes to: edeploy cmdb release {word}"
    if machine is None:
        if not sure:
            raise Refusal(
                f"{label(what.holdings[0].entry)} is a machine's of the old installation, which"
                " has not reported yet",
                f"If that machine is gone, {again}",
            )
        return
    if lease is None:
        return
    if State(machine.state) in (State.INSTALLING, State.UPGRADING):
        raise Refusal(
            f"{machine.name} is {machine.state} with it",
            f"Wait for the end of it: edeploy machine show {machine.name}",
        )
    if lease.state in ("spent", "kept") and not sure:
        runs = "runs with it" if lease.state == "spent" else "may still run with it"
        raise Refusal(
            f"{machine.name} {runs}: another machine could get its address",
            f"If it is gone or wiped, {again}",
        )


def _end_lease(session: Session, machine: Machine, lease: Lease, now: float) -> None:
    if State(machine.state) is State.RESERVED:
        give_back(session, lease, now=now)
        move(session, machine, Verb.UNMATCH, "released by an operator", now=now)
    else:
        # An active machine goes on calling home: its secrets stay good.
        close(session, lease, now=now)
