"""Power of a machine by its BMC, for operators; also of one that never reported yet."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from edeploy.bmc.file import Bmc
from edeploy.bmc.power import Action, power
from edeploy.machines import attempts
from edeploy.machines.records import find, macs, note
from edeploy.machines.refusal import NotFound, Refusal
from edeploy.machines.schema import JsonObject, Machine
from edeploy.server.service import Service


def power_machine(service: Service, name: str, action: Action) -> JsonObject:
    """Do `action` to the machine or BMC of that name; its power state after it.

    Raises NotFound when there is no such machine or it has no BMC, and what pyghmi has to say.
    """
    with service.database.read() as session:
        bmc, machine = _target(session, service.bmcs, name)
    begun = service.now()
    state = power(bmc, action)
    if action is not Action.STATUS:
        _record(service, bmc, machine, action, state, begun)
    return {"name": machine or bmc.name, "bmc": bmc.name, "power": state}


def _record(
    service: Service, bmc: Bmc, machine: str | None, action: Action, state: str, begun: float
) -> None:
    with service.database.write() as session:
        row = find(session, machine) if machine else None
        if row is not None:
            row.power = state
        if action in (Action.ON, Action.CYCLE):
            attempts.power_given(
                session,
                bmc=bmc.name,
                serial=bmc.serial,
                mac=bmc.mac.lower() if bmc.mac else None,
                now=begun,
            )
        text = f"{action.value} by {bmc.name}, an operator's order: {state}"
        note(session, "powered", text, now=begun, machine=row)


def _target(session: Session, bmcs: Sequence[Bmc], name: str) -> tuple[Bmc, str | None]:
    named = next((bmc for bmc in bmcs if bmc.name == name), None)
    if named is not None:
        return named, _machine_of(session, named)
    machine = find(session, name)
    bmc = _bmc_of(session, bmcs, machine)
    if bmc is None:
        raise NotFound(
            f"no BMC is known of {machine.name}",
            "Add it to the file of [bmc] file, with the machine's serial or mac.",
        )
    return bmc, machine.name


def _machine_of(session: Session, bmc: Bmc) -> str | None:
    for value in (bmc.serial, bmc.mac):
        if value:
            try:
                return find(session, value).name
            except Refusal:
                continue
    return None


def _bmc_of(session: Session, bmcs: Sequence[Bmc], machine: Machine) -> Bmc | None:
    """By one of its MACs; else by its serial, which must be that of no other machine."""
    cards = set(macs(machine))
    by_mac = next((bmc for bmc in bmcs if bmc.mac and bmc.mac.lower() in cards), None)
    if by_mac is not None:
        return by_mac
    found = next((bmc for bmc in bmcs if bmc.serial and bmc.serial == machine.serial), None)
    if found is not None and _machine_of(session, found) != machine.name:
        raise Refusal(
            f"BMC {found.name} has the serial of more than one machine: {found.serial}",
            "Give the machine's mac in the file of [bmc] file, or use the name of the BMC.",
        )
    return found
