"""What an operator does to a machine's records: retry, reinstall, settings."""

from sqlalchemy.orm import Session

from edeploy.machines import policy
from edeploy.machines.credentials import Kind, revoke
from edeploy.machines.records import find, live_lease, move, note
from edeploy.machines.refusal import BadRequest
from edeploy.machines.schema import Machine
from edeploy.machines.states import Verb


def retry(session: Session, name: str, *, now: float) -> Machine:
    """A failed machine is matched anew at its next report; NotAllowed in other states."""
    machine = find(session, name)
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


def configure(
    session: Session, name: str, *, on_success: str | None, on_failure: str | None, now: float
) -> Machine:
    """Set what the machine's agent does at the end; "" goes back to the profile's."""
    machine = find(session, name)
    _check("on_success", on_success, policy.ENDINGS_GOOD)
    _check("on_failure", on_failure, policy.ENDINGS_BAD)
    if on_success is not None:
        machine.on_success = on_success or None
    if on_failure is not None:
        machine.on_failure = on_failure or None
    text = f"on_success={machine.on_success or ''} on_failure={machine.on_failure or ''}"
    note(session, "settings", text, now=now, machine=machine)
    return machine


def _check(what: str, value: str | None, allowed: tuple[str, ...]) -> None:
    if value and value not in allowed:
        raise BadRequest(f"{what}: {value!r} is not one of {', '.join(allowed)}")
