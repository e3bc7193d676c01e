"""Attempts and their phases: what happened between power-on and the first boot, and when."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from edeploy.inventory.identity import Identity
from edeploy.machines.records import note
from edeploy.machines.schema import Attempt, BootScript, LogLine, Machine, Phase, PowerOn

INSTALL_PHASES = ("discover", "configure", "fetch", "verify", "bootloader", "finish")
"""What the agent reports; the server itself adds `firmware`, `ramdisk` and `first-boot`."""

ALL_PHASES = ("firmware", "ramdisk", *INSTALL_PHASES, "first-boot")

MAX_LOG_LINES = 5000
MAX_LOG_LINE = 1000
"""What one attempt may store: an agent gone mad must not fill the disk."""

KEPT_BOOT_SCRIPTS = 10_000
"""Boots of strangers that are remembered; anybody on the network can make one."""

BOOT_TO_REPORT = 1800.0
"""Seconds after which a report is not taken for the outcome of a boot script any more."""


@dataclass(frozen=True)
class BootRequest:
    """What firmware says of itself when it asks for its script."""

    mac: str
    uuid: str
    serial: str
    platform: str


def script_served(
    session: Session, request: BootRequest, machine: Machine | None, answer: str, *, now: float
) -> None:
    """Remember that firmware asked, and what it was told; `machine` None: it is a stranger."""
    for old in session.scalars(select(BootScript).where(BootScript.mac == request.mac)):
        session.delete(old)
    row = BootScript(
        at=now,
        mac=request.mac,
        uuid=request.uuid,
        serial=request.serial,
        platform=request.platform,
        answer=answer,
    )
    session.add(row)
    session.flush()
    surplus = row.id - KEPT_BOOT_SCRIPTS
    for old in session.scalars(select(BootScript).where(BootScript.id <= surplus)):
        session.delete(old)
    if machine is not None:
        text = f"{request.platform or 'firmware'} asked, from {request.mac}: {answer}"
        note(session, "boot-script", text, now=now, machine=machine)


def power_given(
    session: Session, *, bmc: str, serial: str | None, mac: str | None, now: float
) -> None:
    """Remember that a BMC was told to power its machine on."""
    for old in session.scalars(select(PowerOn).where(PowerOn.bmc == bmc)):
        session.delete(old)
    session.add(PowerOn(at=now, bmc=bmc, serial=serial, mac=mac))


def arrive(session: Session, machine: Machine, identity: Identity, *, now: float) -> Attempt:
    """The attempt that this report belongs to: a new one when the machine booted before it."""
    script = _script(session, identity, now)
    current = latest(session, machine)
    if script is None:
        return current or begin(session, machine, now=now)
    script.used = True
    power = _power(session, identity, script.at)
    attempt = begin(session, machine, now=power.at if power else script.at)
    if power is not None:
        power.used = True
    _stamp(session, attempt, "firmware", power.at if power else script.at, script.at)
    _stamp(session, attempt, "ramdisk", script.at, now)
    return attempt


def begin(session: Session, machine: Machine, *, now: float) -> Attempt:
    """A new attempt; the one before is over."""
    before = latest(session, machine)
    if before is not None:
        end(before, now=now)
    highest = session.scalar(
        select(func.max(Attempt.number)).where(Attempt.machine_id == machine.id)
    )
    attempt = Attempt(machine_id=machine.id, number=(highest or 0) + 1, started=now, log_lines=0)
    session.add(attempt)
    session.flush()
    return attempt


def end(attempt: Attempt, *, now: float) -> None:
    """The attempt is over."""
    attempt.ended = attempt.ended or now


def latest(session: Session, machine: Machine) -> Attempt | None:
    """The machine's current or last attempt."""
    return session.scalar(
        select(Attempt).where(Attempt.machine_id == machine.id).order_by(Attempt.id.desc()).limit(1)
    )


def phases(session: Session, attempt: Attempt) -> list[Phase]:
    """The phases of an attempt, in the order of the way."""
    rows = session.scalars(select(Phase).where(Phase.attempt_id == attempt.id)).all()
    return sorted(rows, key=lambda phase: ALL_PHASES.index(phase.name))


def phase(session: Session, attempt: Attempt, name: str, *, now: float) -> Phase:
    """The phase of that name, begun now when it was not; `now` is its last sign of life."""
    row = session.scalar(
        select(Phase).where(Phase.attempt_id == attempt.id, Phase.name == name)
    ) or _stamp(session, attempt, name, now, None)
    row.last = now
    return row


def add_log(
    session: Session, attempt: Attempt, name: str, lines: Sequence[str], *, now: float
) -> None:
    """Store the lines, as many as an attempt may have; the first line too many says so."""
    room = MAX_LOG_LINES - attempt.log_lines
    kept = [line[:MAX_LOG_LINE] for line in lines[: max(room, 0)]]
    if 0 < room < len(lines):
        kept[-1] = f"(only {MAX_LOG_LINES} lines of an attempt are kept)"
    attempt.log_lines += len(kept)
    session.add_all(LogLine(attempt_id=attempt.id, phase=name, at=now, text=line) for line in kept)


def done_before(session: Session, lease_id: int) -> list[str]:
    """The phases that any attempt of this lease ended well, in their order."""
    names = set(
        session.scalars(
            select(Phase.name)
            .join(Attempt, Attempt.id == Phase.attempt_id)
            .where(Attempt.lease_id == lease_id, Phase.ended.is_not(None), Phase.failed.is_(False))
        )
    )
    return [name for name in INSTALL_PHASES if name in names]


def _stamp(
    session: Session, attempt: Attempt, name: str, started: float, ended: float | None
) -> Phase:
    row = Phase(
        attempt_id=attempt.id,
        name=name,
        started=started,
        last=ended or started,
        ended=ended,
        failed=False,
    )
    session.add(row)
    session.flush()
    return row


def _script(session: Session, identity: Identity, now: float) -> BootScript | None:
    known: list[ColumnElement[bool]] = [BootScript.mac.in_(identity.macs)]
    if identity.uuid:
        known.append(BootScript.uuid == identity.uuid)
    return session.scalar(
        select(BootScript)
        .where(
            or_(*known),
            BootScript.used.is_(False),
            BootScript.at <= now,
            BootScript.at > now - BOOT_TO_REPORT,
        )
        # By its card before its UUID: boards of a batch may share that.
        .order_by(BootScript.mac.in_(identity.macs).desc(), BootScript.at.desc())
        .limit(1)
    )


def _power(session: Session, identity: Identity, before: float) -> PowerOn | None:
    known: list[ColumnElement[bool]] = [PowerOn.mac.in_(identity.macs)]
    if identity.serial:
        known.append(PowerOn.serial == identity.serial)
    return session.scalar(
        select(PowerOn)
        .where(
            or_(*known),
            PowerOn.used.is_(False),
            PowerOn.at <= before,
            PowerOn.at > before - BOOT_TO_REPORT,
        )
        .order_by(PowerOn.at.desc())
        .limit(1)
    )
