"""Whether a machine is good enough for a role: a test that it passed, or an operator's word."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from edeploy.machines import policy
from edeploy.machines.reports import newest_number
from edeploy.machines.schema import Acceptance, HealthTest, Lease, Machine

PASSED = "passed"


def wanted_test(session: Session, machine: Machine, lease: Lease, *, now: float) -> str | None:
    """The test that stands between the machine and its role; None when nothing does.

    What a machine passed, or was accepted with, is of the hardware that it had then: parts that
    came since were never tested.
    """
    wanted = policy.health(machine, lease)
    if wanted == policy.NO_TEST or accepted(session, machine, now=now) is not None:
        return None
    passed = session.scalars(
        select(HealthTest.profile).where(
            HealthTest.machine_id == machine.id,
            HealthTest.state == PASSED,
            HealthTest.report == newest_number(session, machine),
        )
    )
    return None if any(policy.stands_for(one, wanted) for one in passed) else wanted


def accepted(session: Session, machine: Machine, *, now: float) -> Acceptance | None:
    """The operator's word that the machine is good enough as it is now, if it still holds."""
    word = last_word(session, machine)
    if word is None or (word.until is not None and word.until <= now):
        return None
    return word


def last_word(session: Session, machine: Machine) -> Acceptance | None:
    """The operator's last word on the machine as it is now, though its time may be over."""
    return session.scalar(
        select(Acceptance)
        .where(
            Acceptance.machine_id == machine.id,
            Acceptance.report.is_not_distinct_from(newest_number(session, machine)),
        )
        .order_by(Acceptance.id.desc())
        .limit(1)
    )
