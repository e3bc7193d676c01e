"""What happens when a machine reports: enrolled, matched, leased, and told what to do."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sqlalchemy.orm import Session

from edeploy import timeouts
from edeploy.inventory.identity import identify
from edeploy.inventory.items import Report
from edeploy.machines import attempts, testing
from edeploy.machines.clearance import wanted_test
from edeploy.machines.credentials import Kind, mint, revoke
from edeploy.machines.database import Database
from edeploy.machines.enrolment import enrol
from edeploy.machines.leases import Candidate, Choice, choose_lease
from edeploy.machines.policy import Policy, on_failure, on_success
from edeploy.machines.records import live_lease, move, note, standing
from edeploy.machines.schema import Attempt, Lease, Machine
from edeploy.machines.states import Boot, State, Verb, boot
from edeploy.machines.testing import TestOrder

Order = Literal["install", "test", "wait", "hold", "local"]


@dataclass(frozen=True)
class Answer:
    """What the agent is to do. `token` only with `install` and `test`."""

    machine: str
    state: str
    do: Order
    why: str
    token: str | None
    retry_seconds: int
    on_success: str
    on_failure: str
    test: TestOrder | None = None


def take_report(
    database: Database,
    report: Report,
    offered: Sequence[Candidate],
    policy: Policy,
    *,
    address: str,
    now: float,
) -> Answer:
    """Store the report and decide, in one transaction: nothing is leased twice.

    `offered` says how each profile fits this report (leases.candidates).
    """
    identity = identify(report)
    with database.write() as session:
        machine, _new = enrol(session, identity, report, address=address, now=now)
        attempt = attempts.arrive(session, machine, identity, now=now)
        if machine.hold is not None:
            return _stay_away(session, machine, now)
        match State(machine.state):
            case State.DISCOVERED | State.RESERVED:
                return _match(session, machine, attempt, offered, policy, now)
            case State.INSTALLING if boot(standing(session, machine)) is Boot.RAMDISK:
                return _again(session, machine, attempt, now)
            case State.TESTING:
                return _test(session, machine, attempt, policy, now)
            case _:
                return _stay_away(session, machine, now)


def _match(
    session: Session,
    machine: Machine,
    attempt: Attempt,
    offered: Sequence[Candidate],
    policy: Policy,
    now: float,
) -> Answer:
    choice = choose_lease(session, machine, offered, now=now)
    why = "\n".join(choice.why)
    _tell_exhausted(session, machine, choice, now)
    if choice.lease is None:
        if State(machine.state) is State.RESERVED:
            move(session, machine, Verb.UNMATCH, f"no profile fits any more\n{why}", now=now)
        elif machine.why != why and not choice.exhausted:
            note(session, "no-match", why, now=now, machine=machine)
        machine.why = why
        machine.profile = None
        return _answer(machine, None, "wait", why)
    lease = choice.lease
    deadline = now + policy.reserve_minutes * 60
    machine.why = why
    machine.profile = lease.profile
    hostname = lease.vars.get("hostname")
    machine.hostname = hostname if isinstance(hostname, str) else None
    wanted = wanted_test(session, machine, lease, now=now)
    if wanted is not None:
        text = f"{lease.profile} wants it to pass a {wanted} test first"
        testing.begin(session, machine, wanted, text, policy, now=now)
        return _test(session, machine, attempt, policy, now)
    if State(machine.state) is State.DISCOVERED:
        move(session, machine, Verb.MATCH, why, now=now, deadline=deadline)
    else:
        machine.deadline = deadline
    attempt.lease_id = lease.id
    token = mint(session, Kind.TOKEN, lease, attempt, now=now)
    return _answer(machine, lease, "install", why, token)


def _test(
    session: Session, machine: Machine, attempt: Attempt, policy: Policy, now: float
) -> Answer:
    """Measure, or wait for the judgement of what was measured; the lease is held meanwhile."""
    lease = live_lease(session, machine)
    attempt.lease_id = lease.id if lease else None
    handed = testing.hand_out(session, machine, policy, now=now)
    test = testing.latest(session, machine)
    if handed is None:
        return _answer(machine, lease, "wait", test.reason if test else "")
    order, secret = handed
    why = test.why if test else ""
    return replace(_answer(machine, lease, "test", why, secret), test=order)


def _tell_exhausted(session: Session, machine: Machine, choice: Choice, now: float) -> None:
    """An event for each profile that matches and has nothing left, once and not every report."""
    told = (machine.exhausted or "").splitlines()
    for line in choice.exhausted:
        if line not in told:
            note(session, "exhausted", line, now=now, machine=machine)
    machine.exhausted = "\n".join(choice.exhausted) or None


def _again(session: Session, machine: Machine, attempt: Attempt, now: float) -> Answer:
    """The ramdisk came up again in an install: a new token, within the old deadline."""
    lease = live_lease(session, machine)
    if lease is None:
        move(session, machine, Verb.FAIL, "its lease is gone", now=now)
        return _stay_away(session, machine, now)
    revoke(session, machine.id, {Kind.SESSION, Kind.CALL_HOME}, now=now)
    attempt.lease_id = lease.id
    why = "its install was interrupted and begins again"
    note(session, "interrupted", why, now=now, machine=machine)
    token = mint(session, Kind.TOKEN, lease, attempt, now=now)
    return _answer(machine, lease, "install", why, token)


def _stay_away(session: Session, machine: Machine, now: float) -> Answer:
    """Never write: the machine boots its disk, or waits for an operator."""
    if boot(standing(session, machine)) is Boot.DISK:
        note(session, "ramdisk", "in the ramdisk, sent to its own disk", now=now, machine=machine)
        return _answer(machine, live_lease(session, machine), "local", machine.state)
    why = machine.hold or f"it is {machine.state}"
    if machine.failed_reason and not machine.hold:
        why = f"it failed in {machine.failed_phase or machine.failed_from}: {machine.failed_reason}"
    elif State(machine.state) is State.REJECTED and not machine.hold:
        test = testing.latest(session, machine)
        why = f"it is rejected: {test.reason}" if test else why
    return _answer(machine, None, "hold", why)


def _answer(
    machine: Machine,
    lease: Lease | None,
    do: Order,
    why: str,
    token: str | None = None,
) -> Answer:
    return Answer(
        machine=machine.name,
        state=machine.state,
        do=do,
        why=why,
        token=token,
        retry_seconds=timeouts.HOLD_AGAIN if do == "hold" else timeouts.REPORT_AGAIN,
        on_success=on_success(machine, lease),
        on_failure=on_failure(machine, lease),
    )
