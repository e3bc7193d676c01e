"""What an operator does to a machine's records: retry, reinstall, test, accept, settings."""

from sqlalchemy.orm import Session

from edeploy.machines import policy, testing
from edeploy.machines.credentials import Kind, revoke
from edeploy.machines.policy import Policy
from edeploy.machines.records import find, live_lease, move, note
from edeploy.machines.refusal import BadRequest
from edeploy.machines.reports import newest_number
from edeploy.machines.schema import Acceptance, JsonObject, Machine
from edeploy.machines.states import State, Verb


def retry(session: Session, name: str, *, now: float) -> Machine:
    """A failed machine is matched anew at its next report; NotAllowed in other states.

    When it failed in an upgrade, its disk has a system with all its data: that counts as active.
    """
    machine = find(session, name)
    if machine.state == State.FAILED and machine.failed_from == State.UPGRADING:
        text = "by an operator: what its disk has runs"
        move(session, machine, Verb.UPGRADED, text, now=now)
        return machine
    move(session, machine, Verb.RETRY, "by an operator", now=now)
    return machine


def reinstall(session: Session, name: str, *, now: float) -> Machine:
    """An active machine is installed again at its next network boot.

    Nothing but an operator's explicit order comes here. The machine keeps its slot and its
    CMDB entry meanwhile.
    """
    machine = find(session, name)
    move(session, machine, Verb.REINSTALL, "by an operator", now=now)
    lease = live_lease(session, machine)
    if lease is not None:
        lease.state = "kept"
        lease.finished = None
    revoke(session, machine.id, set(Kind), now=now)
    return machine


def test(
    session: Session,
    name: str,
    profile: str | None,
    rules: Policy,
    *,
    now: float,
    campaign: JsonObject | None = None,
) -> Machine:
    """Test a machine; `profile` None: as it was tested last, else quick.

    Of an active machine this is a test of what runs: it goes back to its system afterwards.
    """
    machine = find(session, name)
    before = testing.latest(session, machine)
    wanted = profile or (before.profile if before else "quick")
    testing.begin(session, machine, wanted, "by an operator", rules, now=now, campaign=campaign)
    return machine


def accept(
    session: Session,
    name: str,
    rules: Policy,
    *,
    reason: str,
    by: str,
    until: float | None,
    now: float,
) -> Machine:
    """Take a machine as it is, whatever its tests say; its evidence is kept.

    The word holds for the hardware of now, and until then. A machine that is rejected or tested
    is let go; one that is not is taken without a test when its profile wants one.
    """
    machine = find(session, name)
    if not reason.strip():
        raise BadRequest("there is no reason", "Say why: it is kept with the evidence.")
    if until is not None and until <= now:
        raise BadRequest("that time is over", "Name a later date.")
    row = Acceptance(
        machine_id=machine.id,
        at=now,
        until=until,
        by=by,
        reason=reason,
        report=newest_number(session, machine),
    )
    session.add(row)
    text = f"accepted by {by or 'an operator'}: {reason}"
    if State(machine.state) in (State.REJECTED, State.TESTING):
        testing.accept(session, machine, text, rules, now=now)
    else:
        note(session, "accepted", text, now=now, machine=machine)
    return machine


def configure(
    session: Session,
    name: str,
    *,
    on_success: str | None,
    on_failure: str | None,
    now: float,
    health: str | None = None,
) -> Machine:
    """Set what the machine's agent does at the end, and the test that it has to pass first.

    "" goes back to the profile's.
    """
    machine = find(session, name)
    _check("on_success", on_success, policy.ENDINGS_GOOD)
    _check("on_failure", on_failure, policy.ENDINGS_BAD)
    _check("health", health, (policy.NO_TEST, *policy.RUNS))
    if on_success is not None:
        machine.on_success = on_success or None
    if on_failure is not None:
        machine.on_failure = on_failure or None
    if health is not None:
        machine.health = health or None
    text = (
        f"on_success={machine.on_success or ''} on_failure={machine.on_failure or ''} "
        f"health={machine.health or ''}"
    )
    note(session, "settings", text, now=now, machine=machine)
    return machine


def _check(what: str, value: str | None, allowed: tuple[str, ...]) -> None:
    if value and value not in allowed:
        raise BadRequest(f"{what}: {value!r} is not one of {', '.join(allowed)}")
