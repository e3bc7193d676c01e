"""The states of a machine, the ways between them, and what a network boot gives in each."""

from dataclasses import dataclass
from enum import StrEnum

from edeploy.errors import EdeployError


class State(StrEnum):
    """Where a machine is; failures are data of `failed`, not states of their own."""

    DISCOVERED = "discovered"
    TESTING = "testing"
    REJECTED = "rejected"
    RESERVED = "reserved"
    INSTALLING = "installing"
    ACTIVE = "active"
    UPGRADING = "upgrading"
    FAILED = "failed"


class Verb(StrEnum):
    """What can happen to a machine."""

    MATCH = "match"  # a profile fits and its lease is held
    UNMATCH = "unmatch"  # the hardware or the profile changed before the install began
    EXPIRE = "expire"  # the agent never redeemed its token
    REDEEM = "redeem"  # the agent begins to install, or begins again after a new boot
    CALL_HOME = "call-home"  # the installed system is up
    FAIL = "fail"  # an error or the deadline of a leased state
    TEST = "test"
    PASS = "pass"  # noqa: S105 - the verdict of a health check, no password
    REJECT = "reject"
    ACCEPT = "accept"
    RETURN = "return"  # from a test to the system that ran before it, whatever the verdict
    UPGRADE = "upgrade"
    UPGRADED = "upgraded"  # to the new version, or back to the old one; what the disk has runs
    RETRY = "retry"
    REINSTALL = "reinstall"


class Boot(StrEnum):
    """What a network boot gives."""

    RAMDISK = "ramdisk"
    HOLD = "hold"  # the ramdisk, told never to write
    DISK = "disk"


WAYS: dict[tuple[State, Verb], State] = {
    (State.DISCOVERED, Verb.MATCH): State.RESERVED,
    (State.DISCOVERED, Verb.TEST): State.TESTING,
    (State.TESTING, Verb.PASS): State.DISCOVERED,
    (State.TESTING, Verb.REJECT): State.REJECTED,
    (State.TESTING, Verb.ACCEPT): State.DISCOVERED,
    (State.TESTING, Verb.RETURN): State.ACTIVE,
    (State.TESTING, Verb.FAIL): State.FAILED,
    (State.REJECTED, Verb.ACCEPT): State.DISCOVERED,
    (State.REJECTED, Verb.TEST): State.TESTING,
    (State.RESERVED, Verb.TEST): State.TESTING,
    (State.RESERVED, Verb.UNMATCH): State.DISCOVERED,
    (State.RESERVED, Verb.EXPIRE): State.DISCOVERED,
    (State.RESERVED, Verb.REDEEM): State.INSTALLING,
    (State.INSTALLING, Verb.REDEEM): State.INSTALLING,
    (State.INSTALLING, Verb.CALL_HOME): State.ACTIVE,
    (State.INSTALLING, Verb.FAIL): State.FAILED,
    (State.ACTIVE, Verb.TEST): State.TESTING,
    (State.ACTIVE, Verb.UPGRADE): State.UPGRADING,
    (State.ACTIVE, Verb.REINSTALL): State.DISCOVERED,
    (State.UPGRADING, Verb.UPGRADED): State.ACTIVE,
    (State.UPGRADING, Verb.FAIL): State.FAILED,
    (State.FAILED, Verb.RETRY): State.DISCOVERED,
    # Of a failed upgrade: the machine was only silent, or is tried again.
    (State.FAILED, Verb.UPGRADE): State.UPGRADING,
    (State.FAILED, Verb.UPGRADED): State.ACTIVE,
}

LEASED = frozenset({State.TESTING, State.RESERVED, State.INSTALLING, State.UPGRADING})
"""States that the server ends by a deadline when the machine falls silent."""


class NotAllowed(EdeployError):
    """The machine's state has no way for this."""


@dataclass(frozen=True)
class Standing:
    """All that decides what a network boot gives: nothing else does.

    `finished`: the install is whole on the disk and waits for its first boot.
    `failed_from`: the state in which a failed machine failed.
    `held`: nothing may be installed on it, whatever its state (see `Machine.hold`).
    """

    state: State
    finished: bool = False
    failed_from: State | None = None
    held: bool = False


def after(state: State, verb: Verb) -> State:
    """The state that `verb` leads to; NotAllowed when there is no such way."""
    try:
        return WAYS[state, verb]
    except KeyError:
        can = sorted(v for s, v in WAYS if s is state)
        raise NotAllowed(
            f"a machine that is {state} can not {verb}", f"From {state}: {', '.join(can)}."
        ) from None


def boot(standing: Standing) -> Boot:
    """What a network boot gives, whatever the machine asks for.

    An install that is whole boots from its disk, as the active system will: the machine may
    come by the network first. An upgrade that failed leaves a disk that still boots.
    """
    match standing.state:
        case State.ACTIVE | State.UPGRADING:
            return Boot.DISK
        case State.INSTALLING:
            if standing.finished:
                return Boot.DISK
            return Boot.HOLD if standing.held else Boot.RAMDISK
        case State.FAILED:
            return Boot.DISK if standing.failed_from is State.UPGRADING else Boot.HOLD
        case State.REJECTED:
            return Boot.HOLD
        case _:
            return Boot.HOLD if standing.held else Boot.RAMDISK


def may_write(standing: Standing) -> bool:
    """Whether the ramdisk may write to a disk now."""
    return standing.state is State.INSTALLING and not (standing.finished or standing.held)
