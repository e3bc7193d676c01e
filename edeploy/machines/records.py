"""Machines and events in the records: find, note, move from state to state."""

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from edeploy.inventory.identity import DISK, MAC, SERIAL, UUID
from edeploy.machines.refusal import NotFound, Refusal
from edeploy.machines.schema import Event, IdentityPart, Lease, Machine
from edeploy.machines.states import Standing, State, Verb, after


def note(
    session: Session, kind: str, text: str, *, now: float, machine: Machine | None = None
) -> None:
    """Add an event. `text` never holds a secret."""
    session.add(
        Event(
            at=now,
            machine_id=machine.id if machine else None,
            kind=kind,
            state=machine.state if machine else None,
            text=text,
        )
    )


def move(
    session: Session,
    machine: Machine,
    verb: Verb,
    text: str,
    *,
    now: float,
    deadline: float | None = None,
) -> None:
    """Take the way `verb`: state, deadline and event at once; NotAllowed when there is none."""
    target = after(State(machine.state), verb)
    if machine.state != target:
        machine.since = now
    machine.state = target
    machine.deadline = deadline
    if target is not State.FAILED:
        machine.failed_from = machine.failed_phase = machine.failed_reason = None
    note(session, verb, text, now=now, machine=machine)


def standing(session: Session, machine: Machine) -> Standing:
    """What decides the machine's network boot."""
    lease = live_lease(session, machine)
    return Standing(
        State(machine.state),
        finished=lease is not None and lease.finished is not None,
        failed_from=State(machine.failed_from) if machine.failed_from else None,
        held=machine.hold is not None,
    )


def live_lease(session: Session, machine: Machine) -> Lease | None:
    """The lease that the machine has now: held, spent or kept."""
    return session.scalar(
        select(Lease).where(Lease.machine_id == machine.id, Lease.state != "returned")
    )


def macs(machine: Machine) -> list[str]:
    """The network cards by which the machine is known, sorted."""
    return sorted(part.value for part in machine.identities if part.kind == MAC)


def boot_label(session: Session, machine: Machine) -> str:
    """Of the ESP that the machine's last install made; empty: none made one.

    Also of a lease that was given back: the disk knows nothing of that.
    """
    newest = select(Lease.boot_label).where(Lease.machine_id == machine.id)
    return session.scalar(newest.order_by(Lease.id.desc()).limit(1)) or ""


def find(session: Session, wanted: str) -> Machine:
    """The machine of that name, hostname, serial, UUID, MAC or disk; NotFound or Refusal."""
    parts = select(IdentityPart.machine_id).where(
        IdentityPart.kind.in_((SERIAL, UUID, MAC, DISK)),
        IdentityPart.value == "".join(wanted.split()).lower(),
    )
    rows = session.scalars(
        select(Machine).where(
            or_(Machine.name == wanted, Machine.hostname == wanted, Machine.id.in_(parts))
        )
    ).all()
    exact = [machine for machine in rows if machine.name == wanted] or list(rows)
    if not exact:
        raise NotFound(f"no machine is called {wanted!r}", "`edeploy machine ls` lists them.")
    if len(exact) > 1:
        names = ", ".join(sorted(machine.name for machine in exact))
        raise Refusal(f"{wanted!r} means more than one machine: {names}", "Use the name.")
    return exact[0]
