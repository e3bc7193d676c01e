"""How long leased states last and what happens at an install's end: settings, profile, machine."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from edeploy.machines.schema import Lease, Machine

ENDINGS_GOOD = ("reboot", "kexec", "halt", "console")
ENDINGS_BAD = ("halt", "console", "reboot")


NO_TEST = "none"

_LAB, _QUICK, _FULL, _BURN = "lab", "quick", "full", "burn"
RUNS = {_LAB: 1, _QUICK: 1, _FULL: 3, _BURN: 1}
"""The health tests, the lightest first, and how often each measures at first."""

# What is as good as what: a machine that passed a full test needs no quick one.
_WEIGHT = {NO_TEST: 0, _LAB: 1, _QUICK: 1, _FULL: 2, _BURN: 3}


@dataclass(frozen=True)
class Peer:
    """An iperf3 server for tests of network cards."""

    address: str
    port: int


@dataclass(frozen=True)
class HealthPolicy:
    """How machines are tested. `minutes`: of one run of each test; `at_once`: machines that may
    measure at the same time, 0 for any number."""

    minutes: Mapping[str, int] = field(
        default_factory=lambda: {_LAB: 20, _QUICK: 20, _FULL: 45, _BURN: 1500}
    )
    network: Peer | None = None
    at_once: int = 0

    def seconds(self, test: str, runs: int) -> float:
        """How long so many runs of a test may take."""
        return 60.0 * self.minutes[test] * runs


@dataclass(frozen=True)
class Policy:
    """The server's own part, in minutes."""

    reserve_minutes: int
    deadline_minutes: int  # for profiles that say nothing
    first_boot_minutes: int
    upgrade_minutes: int = 60
    health: HealthPolicy = field(default_factory=HealthPolicy)


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


def health(machine: Machine, lease: Lease) -> str:
    """The test that the machine has to pass first: its own setting, else the profile's."""
    return machine.health or _of(lease, "health", NO_TEST)


def stands_for(passed: str, wanted: str) -> bool:
    """Whether who passed the one test needs not do the other."""
    return _WEIGHT.get(passed, 0) >= _WEIGHT.get(wanted, 0)


def _of(lease: Lease | None, key: str, default: str) -> str:
    value = lease.settings.get(key) if lease else None
    return value if isinstance(value, str) else default
