"""The way out for a machine that is held: an operator says that it is another, or its own."""

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from edeploy.inventory.changes import changes, summary
from edeploy.inventory.identity import identify
from edeploy.machines import testing
from edeploy.machines.enrolment import remember
from edeploy.machines.holdings import end, of_machine
from edeploy.machines.records import find, live_lease, note
from edeploy.machines.refusal import BadRequest, Refusal
from edeploy.machines.reports import last_report
from edeploy.machines.schema import Attempt, Base, Credential, IdentityPart, Lease, Machine


def same(session: Session, name: str, other: str, *, now: float) -> Machine:
    """`name` is the machine `other` with other parts: one record is left, `other`'s.

    It keeps its name, state, lease and CMDB entry, and gets history and, when they are newer,
    marks and report of `name`. Raises Refusal when `name` holds a lease of its own.
    """
    gone, stays = find(session, name), find(session, other)
    if gone.id == stays.id:
        raise BadRequest(f"{name} and {other} are one machine already")
    lease = live_lease(session, gone)
    if lease is not None:
        raise Refusal(
            f"{gone.name} is {gone.state} and holds a lease of {lease.profile}",
            f"If {stays.name} has none: edeploy machine same {stays.name} {gone.name} --yes",
        )
    known, said = last_report(session, stays), last_report(session, gone)
    changed = changes(known, said) if known and said else ()
    if said is not None and gone.last_seen > stays.last_seen:
        # Its marks must be gone before they come again: they are the same rows to the index.
        session.execute(delete(IdentityPart).where(IdentityPart.machine_id == gone.id))
        remember(stays, identify(said), now=now)
        stays.last_seen, stays.address = gone.last_seen, gone.address
    testing.end_test(session, gone, f"its machine is {stays.name}", now=now)
    _hand_over(session, gone, stays, now)
    text = f"an operator says that {gone.name} is this machine; its record is part of this one"
    note(session, "same", text, now=now, machine=stays)
    if changed:
        note(session, "hardware-changed", summary(changed), now=now, machine=stays)
    return stays


def new(session: Session, name: str, *, now: float) -> Machine:
    """A held machine is none of those that it may be; from here on its marks are its own.

    Raises Refusal when it is not held.
    """
    machine = find(session, name)
    if machine.hold is None:
        raise Refusal(f"{machine.name} is not held", "Nothing is in doubt about it.")
    machine.hold = None
    text = "an operator says that it is a machine of its own"
    note(session, "told-apart", text, now=now, machine=machine)
    return machine


def _hand_over(session: Session, gone: Machine, stays: Machine, now: float) -> None:
    """All that points to a record points to the other one; then the record goes.

    But for its leases, which are over: what the other one was leased last stays its own, and
    so does its CMDB entry when it has one.
    """
    session.execute(update(Attempt).where(Attempt.machine_id == gone.id).values(lease_id=None))
    session.execute(delete(Credential).where(Credential.machine_id == gone.id))
    session.execute(delete(Lease).where(Lease.machine_id == gone.id))
    highest = session.scalar(select(func.max(Attempt.number)).where(Attempt.machine_id == stays.id))
    session.execute(
        update(Attempt)
        .where(Attempt.machine_id == gone.id)
        .values(number=Attempt.number + (highest or 0))
    )
    session.execute(delete(IdentityPart).where(IdentityPart.machine_id == gone.id))
    if of_machine(session, stays):
        for holding in of_machine(session, gone):
            end(session, holding, f"its machine is {stays.name}, which has its own", now=now)
    for table in Base.metadata.sorted_tables:
        if "machine_id" in table.c:
            session.execute(
                update(table).where(table.c.machine_id == gone.id).values(machine_id=stays.id)
            )
    session.execute(delete(Machine).where(Machine.id == gone.id))
    session.expire_all()
