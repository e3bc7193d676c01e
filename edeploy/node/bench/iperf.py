"""iperf3: its arguments, and the JSON that it prints."""

from __future__ import annotations

from dataclasses import dataclass

from edeploy.node.bench.programs import Printed, StageFailed
from edeploy.node.detect.sources.loose_json import Node, document

_CONNECT_MILLISECONDS = 5000
_MEGABIT = 1e6
_BUSY = "server is busy"


class ServerBusy(StageFailed):
    """The server measures with another machine now."""


@dataclass(frozen=True)
class Throughput:
    """What arrived, in Mbit/s: over the whole time, and in each second of it."""

    value: float
    samples: tuple[float, ...]
    tool: str


def words(
    address: str, port: int, card: str, seconds: float, streams: int, *, receive: bool
) -> list[str]:
    """Send to the server, or receive from it, through this card, after a second to get going."""
    common = [
        "iperf3",
        "--client", address,
        "--port", str(port),
        "--bind-dev", card,
        "--time", f"{seconds:.0f}",
        "--omit", "1",
        "--parallel", str(streams),
        "--connect-timeout", str(_CONNECT_MILLISECONDS),
        "--json",
    ]  # fmt: skip
    return [*common, "--reverse"] if receive else common


def throughput(printed: Printed) -> Throughput:
    """What was measured. Raises ServerBusy, StageFailed."""
    found = document(printed.text)
    error = found["error"].text
    if _BUSY in error:
        raise ServerBusy(f"iperf3: {error}")
    if error or printed.code != 0:
        raise StageFailed(f"iperf3 ended with {printed.code}: {error or printed.last}")
    value = _rate(found["end"]["sum_received"])
    if value <= 0:
        raise StageFailed("iperf3 measured nothing")
    samples = [
        _rate(interval["sum"])
        for interval in found["intervals"].members
        if interval["sum"]["omitted"].value is not True
    ]
    return Throughput(value, tuple(samples), found["start"]["version"].text or "iperf3")


def _rate(node: Node) -> float:
    value = node["bits_per_second"].value
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) / _MEGABIT if good and isinstance(value, (int, float)) else 0.0
