"""What the server wants to be measured: the `test` of its answer to a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edeploy.node.bench.campaign import Campaign
from edeploy.node.bench.profiles import PROFILES, Profile
from edeploy.node.http import BadAnswer

# A run of `burn` is hours long; nobody wants a thousand of them.
_MOST_RUNS = 1000
_LONGEST = 7 * 24 * 3600.0


@dataclass(frozen=True)
class Peer:
    """An iperf3 server to measure against."""

    address: str
    port: int


@dataclass(frozen=True)
class TestOrder:
    """One test. `runs` are the numbers of its runs; `seconds` is how long it may take, from now;
    `only` names the stages that are wanted, all when empty."""

    # pytest takes classes of such a name for tests.
    __test__ = False

    profile: Profile
    runs: tuple[int, ...]
    seed: int
    seconds: float
    only: tuple[str, ...] = ()
    network: Peer | None = None
    campaign: Campaign | None = None

    @classmethod
    def from_answer(cls, test: object) -> TestOrder:
        """The order in a server's answer. Raises BadAnswer."""
        if not isinstance(test, Mapping):
            raise BadAnswer("the server ordered a test and did not say which")
        name = str(test.get("profile") or "")
        if name not in PROFILES:
            known = ", ".join(PROFILES)
            raise BadAnswer(
                f"the server ordered the test {name!r}, and this ramdisk knows {known}",
                "Ramdisk and server differ in age: run `edeploy ramdisk build`.",
            )
        profile = PROFILES[name]
        first = _whole(test, "first_run", 1, 10**6) or 1
        count = _whole(test, "runs", 0, _MOST_RUNS) or profile.runs
        return cls(
            profile=profile,
            runs=tuple(range(first, first + count)),
            seed=_whole(test, "seed", 0, 1 << 64) or 0,
            seconds=_seconds(test),
            only=_texts(test, "only"),
            network=_peer(test.get("network")),
            campaign=Campaign.from_answer(test.get("campaign")),
        )

    def wants(self, stage: str) -> bool:
        """Whether a stage is one of those that the order names."""
        return not self.only or stage in self.only


def _whole(test: Mapping[str, object], key: str, low: int, high: int) -> int | None:
    value = test.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise BadAnswer(f"the test's {key} is {value!r}, not a number from {low} to {high}")
    return value


def _seconds(test: Mapping[str, object]) -> float:
    value = test.get("seconds")
    if value is None:
        return _LONGEST
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise BadAnswer(f"the test's seconds are {value!r}")
    return min(float(value), _LONGEST)


def _texts(test: Mapping[str, object], key: str) -> tuple[str, ...]:
    value = test.get(key) or []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise BadAnswer(f"the test's {key} is no list of texts")
    return tuple(value)


def _peer(value: object) -> Peer | None:
    if value is None:
        return None
    address = value.get("address") if isinstance(value, Mapping) else None
    port = value.get("port") if isinstance(value, Mapping) else None
    if not isinstance(address, str) or not isinstance(port, int) or not 0 < port < 1 << 16:
        raise BadAnswer(f"the test's network is {value!r}, not an address and a port")
    return Peer(address, port)
