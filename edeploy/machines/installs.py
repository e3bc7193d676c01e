"""An install as the records see it: redeemed, planned, phase by phase, finished, called home."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy.orm import Session

from edeploy.inventory.items import Report
from edeploy.machines import attempts, policy
from edeploy.machines.credentials import Bearer, Kind, bearer, mint
from edeploy.machines.failures import fail
from edeploy.machines.leases import spend
from edeploy.machines.plans import strangers
from edeploy.machines.policy import Policy
from edeploy.machines.records import move, note, standing
from edeploy.machines.refusal import BadRequest, Refusal
from edeploy.machines.reports import last_report, store
from edeploy.machines.schema import JsonObject
from edeploy.machines.states import State, Verb, may_write


class PhaseEvent(StrEnum):
    """What the agent says of a phase."""

    START = "start"
    PROGRESS = "progress"
    LOG = "log"
    END = "end"
    FAIL = "fail"


@dataclass(frozen=True)
class PhaseNews:
    """One message of the agent; `seconds` by the node's own clock, at `end` and `fail`."""

    phase: str
    event: PhaseEvent
    done: int | None = None
    total: int | None = None
    unit: str | None = None
    log: Sequence[str] = ()
    reason: str = ""
    seconds: float | None = None


@dataclass(frozen=True)
class Install:
    """All that the agent needs to install; `deadline` in unix seconds.

    `boot_label` is for the ESP: a new one for each lease, so that of several disks with an ESP
    the boot script means the one that this install wrote.
    """

    session: str
    machine: str
    profile: str
    vars: JsonObject
    configure: str
    fetch: str
    on_success: str
    on_failure: str
    kernel_arguments: str
    deadline: float
    done: list[str]
    boot_label: str


@dataclass(frozen=True)
class Go:
    """Whether the agent may go on; else why the server ended its install."""

    go: bool
    why: str


@dataclass(frozen=True)
class Home:
    """What the installed system says when it is up."""

    role: str
    version: str
    boot_id: str
    kernel: str
    uptime_seconds: float


def redeem(session: Session, token: str, rules: Policy, *, now: float) -> Install:
    """Begin to install. A token is good once: the second time is refused and recorded.

    An agent whose answer got lost reports again and gets another token.
    """
    holder = bearer(session, token, Kind.TOKEN)
    machine, lease, attempt = holder.machine, holder.lease, holder.attempt
    if holder.credential.used is not None:
        note(session, "token-reused", "a token was redeemed twice", now=now, machine=machine)
        raise Refusal("this token was redeemed before", "Report again for a new one.")
    if holder.credential.revoked is not None or State(machine.state) not in (
        State.RESERVED,
        State.INSTALLING,
    ):
        note(session, "token-late", "a token came too late", now=now, machine=machine)
        raise Refusal(
            f"this token is no longer good: {machine.name} is {machine.state}",
            "Report again: the answer says what to do now.",
        )
    if machine.hold is not None:
        raise Refusal(f"{machine.name} is held", f"`edeploy machine show {machine.name}` says why.")
    holder.credential.used = now
    if attempt.redeemed is not None or attempt.ended is not None:
        attempt = attempts.begin(session, machine, now=now)
        attempt.lease_id = lease.id
    attempt.redeemed = now
    first = State(machine.state) is State.RESERVED
    deadline = now + policy.install_seconds(lease, rules) if first else machine.deadline
    if first:
        machine.disk_touched = False
    move(session, machine, Verb.REDEEM, f"attempt {attempt.number}", now=now, deadline=deadline)
    return Install(
        session=mint(session, Kind.SESSION, lease, attempt, now=now),
        machine=machine.name,
        profile=lease.profile,
        vars=lease.vars,
        configure=lease.configure,
        fetch=policy.fetch(lease),
        on_success=policy.on_success(machine, lease),
        on_failure=policy.on_failure(machine, lease),
        kernel_arguments=policy.kernel_arguments(lease),
        deadline=machine.deadline or now,
        done=attempts.done_before(session, lease.id),
        boot_label=lease.boot_label or "",
    )


def agent(session: Session, secret: str, *, now: float) -> Bearer:
    """The install that `secret` is the session of; Refusal when the server ended it."""
    holder = bearer(session, secret, Kind.SESSION)
    why = _ended(holder)
    if why is not None:
        raise Refusal(f"this install is over: {why}", "Report again: the answer says what to do.")
    holder.machine.last_seen = now
    return holder


def take_plan(
    session: Session, secret: str, disks: list[JsonObject], text: str, *, now: float
) -> None:
    """Record what will be written; from here on the machine's disk counts as touched."""
    holder = agent(session, secret, now=now)
    machine = holder.machine
    if not may_write(standing(session, machine)):
        raise Refusal(f"{machine.name} may not write: its install is finished")
    report = last_report(session, machine)
    problems = strangers(disks, report) if report else ["there is no report"]
    if not disks:
        raise BadRequest("the plan names no disk")
    if problems:
        note(session, "plan-refused", "\n".join(problems), now=now, machine=machine)
        raise Refusal(
            "the plan writes to a disk that is not this machine's: " + "; ".join(problems),
            "Report again after hardware was changed.",
        )
    holder.lease.plan = {"disks": disks, "text": text}
    machine.disk_touched = True
    note(session, "plan", text, now=now, machine=machine)


def take_phase(session: Session, secret: str, news: PhaseNews, rules: Policy, *, now: float) -> Go:
    """Record news of a phase. The same news twice changes nothing but the sign of life."""
    if news.phase not in attempts.INSTALL_PHASES:
        raise BadRequest(
            f"{news.phase!r} is no phase", f"Phases: {', '.join(attempts.INSTALL_PHASES)}."
        )
    holder = bearer(session, secret, Kind.SESSION)
    why = _ended(holder)
    if why is not None:
        return Go(False, why)
    machine, attempt = holder.machine, holder.attempt
    machine.last_seen = now
    row = attempts.phase(session, attempt, news.phase, now=now)
    attempts.add_log(session, attempt, news.phase, news.log, now=now)
    if row.ended is not None and news.event is not PhaseEvent.FAIL:
        return Go(True, "")
    row.done = row.done if news.done is None else news.done
    row.total = row.total if news.total is None else news.total
    row.unit = row.unit or news.unit
    if news.event in (PhaseEvent.END, PhaseEvent.FAIL):
        row.ended, row.seconds = now, news.seconds
    if news.event is PhaseEvent.FAIL:
        fail(session, machine, news.reason or "no reason given", phase=news.phase, now=now)
        return Go(False, news.reason)
    if news.event is PhaseEvent.END and news.phase == attempts.INSTALL_PHASES[-1]:
        _finished(session, holder, rules, now)
    return Go(True, "")


def take_facts(session: Session, secret: str, report: Report, *, now: float) -> None:
    """Keep what the agent has found out since its report; the install goes on as it does."""
    store(session, agent(session, secret, now=now).machine, report, now=now)


def arm_call_home(session: Session, secret: str, *, now: float) -> str:
    """The secret by which the installed system will say that it is up."""
    holder = agent(session, secret, now=now)
    return mint(session, Kind.CALL_HOME, holder.lease, holder.attempt, now=now)


def log_place(session: Session, secret: str) -> tuple[str, int]:
    """The machine and the attempt that an agent's whole log is of.

    Good for an install that the server has ended: then the log is wanted most.
    """
    holder = bearer(session, secret, Kind.SESSION)
    return holder.machine.name, holder.attempt.number


def take_call_home(session: Session, secret: str, home: Home, *, address: str, now: float) -> str:
    """The installed system is up: active, the lease is spent. Again while active: noted.

    The secret by which that system speaks from now on.
    """
    holder = bearer(session, secret, Kind.CALL_HOME)
    machine, lease = holder.machine, holder.lease
    late = holder.credential.revoked is not None
    if late or State(machine.state) not in (State.INSTALLING, State.ACTIVE, State.UPGRADING):
        note(
            session,
            "called-home-late",
            f"{home.role} {home.version} called home from {address}, not expected",
            now=now,
            machine=machine,
        )
        raise Refusal(
            f"{machine.name} is {machine.state} and not expected to call home",
            f"`edeploy machine show {machine.name}` says why.",
        )
    machine.last_seen = now
    machine.address = address
    machine.role, machine.version = home.role, home.version
    machine.kernel, machine.boot_id = home.kernel, home.boot_id
    system = mint(session, Kind.SYSTEM, lease, holder.attempt, now=now)
    if State(machine.state) is not State.INSTALLING:
        return system
    spend(session, lease, now=now)
    row = attempts.phase(session, holder.attempt, "first-boot", now=now)
    row.ended = now
    attempts.end(holder.attempt, now=now)
    text = f"{home.role} {home.version} is up, {home.uptime_seconds:.0f} s after its kernel"
    move(session, machine, Verb.CALL_HOME, text, now=now)
    return system


def _ended(holder: Bearer) -> str | None:
    """Why the server ended this install; None while it goes on."""
    machine = holder.machine
    if holder.credential.revoked is not None or State(machine.state) is not State.INSTALLING:
        if machine.failed_reason:
            return machine.failed_reason
        return f"the machine is {machine.state}" + (
            ", and began again" if State(machine.state) is State.INSTALLING else ""
        )
    return None


def _finished(session: Session, holder: Bearer, rules: Policy, now: float) -> None:
    holder.lease.finished = now
    holder.machine.deadline = now + rules.first_boot_minutes * 60
    attempts.phase(session, holder.attempt, "first-boot", now=now)
    note(session, "finished", "the disk is written; first boot", now=now, machine=holder.machine)
