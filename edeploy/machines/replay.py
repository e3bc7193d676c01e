"""Which machine would get which profile: reports taken as the server takes them, to no records."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from edeploy.inventory.identity import Mark, identify
from edeploy.inventory.items import Report
from edeploy.machines import holdings
from edeploy.machines.enrolment import enrol
from edeploy.machines.holdings import Origin
from edeploy.machines.leases import Candidate, candidates, choose_lease, give_back
from edeploy.machines.recorded import Held, Recorded
from edeploy.machines.records import live_lease
from edeploy.machines.refusal import Refusal
from edeploy.machines.schema import Base, Holding, IdentityPart, Lease, Machine
from edeploy.machines.states import State
from edeploy.match.profiles import Profile

_NOW = 0.0


class Change(StrEnum):
    """How what a machine would get stands to what is recorded."""

    SAME = "same"
    NEW = "new"
    CHANGED = "changed"
    IN_DOUBT = "in doubt"
    NO_REPORT = "no report"
    LOST = "lost"


@dataclass(frozen=True)
class Outcome:
    """One machine: what is recorded of it, what it would get, and why, a line a profile.

    `report` None: it has none here; `doubt`: why nothing can be said of it.
    """

    machine: str
    report: str | None
    recorded: Recorded | None
    now: Recorded | None
    why: tuple[str, ...] = ()
    doubt: str = ""
    lost: bool = False

    @property
    def change(self) -> Change:
        """`lost`: it has no report, and its profile is not there any more."""
        if self.doubt:
            return Change.IN_DOUBT
        if self.now is None:
            return Change.LOST if self.lost else Change.NO_REPORT
        if self.recorded is None:
            return Change.NEW
        same = self.recorded.profile == self.now.profile and not self.values
        return Change.SAME if same else Change.CHANGED

    @property
    def values(self) -> list[tuple[str, object, object]]:
        """The values that differ: name, as recorded, now; None where there is none."""
        if self.now is None:
            return []
        before, after = self.recorded.vars if self.recorded else {}, self.now.vars
        return [
            (key, before.get(key), after.get(key))
            for key in sorted({*before, *after})
            if _plain(before.get(key)) != _plain(after.get(key))
        ]

    @property
    def kept(self) -> Recorded | None:
        """What is to be recorded of it from now on."""
        return self.recorded if self.doubt or self.now is None else self.now


@dataclass(frozen=True)
class _Heard:
    """A report that is of a known machine, or of a new one."""

    machine: Machine
    report: str
    offered: list[Candidate]


def replay(
    profiles: Sequence[Profile],
    recorded: Sequence[Recorded],
    reports: Sequence[tuple[str, Report]],
) -> list[Outcome]:
    """What each machine would get, were it installed again now. `reports` come with their names.

    Recorded machines come first, by name, so that new ones take nothing from them; then the
    others, in the order of their reports. One without a report here keeps what it has.
    """
    known = {machine.name: machine for machine in recorded}
    with _records(recorded) as session:
        heard, outcomes = _hear(session, profiles, known, reports)
        old = sorted((one for one in heard if one.machine.name in known), key=_name)
        for one in old:
            _let_go(session, one)
        for one in [*old, *(one for one in heard if one.machine.name not in known)]:
            outcomes.append(_outcome(session, one, known.get(one.machine.name)))
    told = {outcome.machine for outcome in outcomes}
    there = {profile.name for profile in profiles}
    outcomes += [_silent(one, there) for one in recorded if one.name not in told]
    return sorted(outcomes, key=lambda one: (one.machine, one.report or ""))


def _hear(
    session: Session,
    profiles: Sequence[Profile],
    known: Mapping[str, Recorded],
    reports: Sequence[tuple[str, Report]],
) -> tuple[list[_Heard], list[Outcome]]:
    """Whose reports they are, and those of which that cannot be said."""
    heard: dict[str, _Heard] = {}
    doubtful: list[Outcome] = []
    for name, report in reports:
        try:
            machine, _new = enrol(session, identify(report), report, address=name, now=_NOW)
        except Refusal as error:
            doubtful.append(Outcome(name, name, None, None, doubt=error.message))
            continue
        if machine.hold:
            was = known.get(machine.name)
            doubtful.append(Outcome(machine.name, name, was, None, doubt=_held(machine.hold)))
        elif machine.name in heard:
            told = f"it is of {machine.name}, and so is {heard[machine.name].report}: keep one"
            doubtful.append(Outcome(name, name, None, None, doubt=told))
        else:
            heard[machine.name] = _Heard(machine, name, candidates(profiles, report))
    return list(heard.values()), doubtful


def _let_go(session: Session, heard: _Heard) -> None:
    """A machine that its profile fits no more leaves its slot, before others ask for it."""
    lease = live_lease(session, heard.machine)
    fitting = {one.profile.name for one in heard.offered if one.fits is not None}
    if lease is not None and lease.profile not in fitting:
        give_back(session, lease, now=_NOW)


def _outcome(session: Session, heard: _Heard, recorded: Recorded | None) -> Outcome:
    machine = heard.machine
    choice = choose_lease(session, machine, heard.offered, now=_NOW)
    now = Recorded(
        machine.name,
        frozenset(Mark(part.kind, part.value) for part in machine.identities),
        choice.lease.profile if choice.lease else None,
        choice.lease.vars if choice.lease else {},
        tuple(
            Held(one.profile, holdings.claim_of(one), Origin(one.origin))
            for one in holdings.of_machine(session, machine)
        ),
    )
    return Outcome(machine.name, heard.report, recorded, now, choice.why)


def _silent(recorded: Recorded, there: Collection[str]) -> Outcome:
    lost = recorded.profile is not None and recorded.profile not in there
    told = f"there is no report of it, and no {recorded.profile} any more: add one, or forget it"
    return Outcome(recorded.name, None, recorded, None, (told,) if lost else (), lost=lost)


def _name(heard: _Heard) -> str:
    return heard.machine.name


def _held(hold: str) -> str:
    """Why it is in doubt; what an operator would say to a server has no place here."""
    lines = [line for line in hold.splitlines() if not line.startswith("if it is")]
    return "; ".join(lines)


@contextmanager
def _records(recorded: Sequence[Recorded]) -> Iterator[Session]:
    """Records of their own, in memory, that say what is recorded; gone at the end."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    try:
        Base.metadata.create_all(engine)
        with Session(engine, expire_on_commit=False) as session:
            for one in recorded:
                _enter(session, one)
            yield session
    finally:
        engine.dispose()


def _enter(session: Session, one: Recorded) -> None:
    """A recorded machine as one that was installed with what it has."""
    state = State.ACTIVE if one.profile else State.DISCOVERED
    machine = Machine(
        name=one.name, state=state, since=_NOW, created=_NOW, last_seen=_NOW, hold=one.hold
    )
    machine.identities = [
        IdentityPart(kind=mark.kind, value=mark.value, since=_NOW) for mark in sorted(one.marks)
    ]
    session.add(machine)
    session.flush()
    held = [_take(session, machine, had, number) for number, had in enumerate(one.holds)]
    if one.profile is not None:
        own = next((holding for holding in held if holding.profile == one.profile), None)
        session.add(
            Lease(
                machine_id=machine.id,
                profile=one.profile,
                state="kept",
                created=_NOW,
                holding_id=own.id if own else None,
                vars=one.vars,
                configure="",
                settings={},
            )
        )
    session.flush()


def _take(session: Session, machine: Machine, had: Held, number: int) -> Holding:
    since = _NOW - number  # the newest comes first
    found = holdings.take(
        session, had.profile, had.claim, machine, had.origin, "as recorded", now=since
    )
    found.lasting = True
    return found


def _plain(value: object) -> str:
    """Values are equal when they are in JSON."""
    return json.dumps(value, sort_keys=True, default=str)
