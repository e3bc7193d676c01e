"""How long leased states last and what happens at an install's end: settings, profile, machine."""

from dataclasses import dataclass

from edeploy.machines.schema import Lease, Machine

ENDINGS_GOOD = ("reboot", "kexec", "halt", "console")
ENDINGS_BAD = ("halt", "console", "reboot")


@dataclass(frozen=True)
class Policy:
    """The server's own part, in minutes."""

    reserve_minutes: int
    deadline_minutes: int  # for profiles that say nothing
    first_boot_minutes: int


def install_seconds(lease: Lease, policy: Policy) -> float:
    """How long an install by this lease may take."""
    minutes = lease.settings.get("deadline_minutes")
    return 60.0 * (minutes if isinstance(minutes, int) else policy.deadline_minutes)


def ending(lease: Lease | None, good: bool) -> str:
    """What the profile of this lease, if any, wants at a good or a bad end."""
    if good:
        return _of(lease, "on_success", ENDINGS_GOOD[0])
    return _of(lease, "on_failure", ENDINGS_BAD[0])


def on_success(machine: Machine, lease: Lease | None) -> str:
    """What the agent does after an install: the machine's setting, else the profile's."""
    return machine.on_success or ending(lease, True)


def on_failure(machine: Machine, lease: Lease | None) -> str:
    """What the agent does when it can not go on: the machine's setting, else the profile's."""
    return machine.on_failure or ending(lease, False)


def fetch(lease: Lease) -> str:
    """How the image travels: `http` or `rsync`."""
    return _of(lease, "fetch", "http")


def kernel_arguments(lease: Lease) -> str:
    """What the profile adds to the installed system's kernel line."""
    return _of(lease, "kernel_arguments", "")


def _of(lease: Lease | None, key: str, default: str) -> str:
    value = lease.settings.get(key) if lease else None
    return value if isinstance(value, str) else default
