"""Stages of network cards: throughput to and from a server, each card alone."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Sequence
from functools import partial

from edeploy.node import timeouts
from edeploy.node.bench import iperf
from edeploy.node.bench.order import Peer
from edeploy.node.bench.profiles import Profile
from edeploy.node.bench.programs import Bench
from edeploy.node.bench.results import Outcome, Part, Result
from edeploy.node.bench.stage import OVERHEAD, LeftOut, Stage
from edeploy.node.detect.network import cards
from edeploy.node.detect.tree import Tree
from edeploy.node.http import Retry

_UNIT = "Mbit/s"
_NET = "sys/class/net"
Endpoint = tuple[str, int]


def stages(
    tree: Tree, profile: Profile, peer: Peer | None, known: Endpoint
) -> tuple[list[Stage], list[LeftOut]]:
    """A stage for each card that reaches the server; `known` is the server's own (address, port),
    by which that is tried out, as the iperf3 server takes one client at a time."""
    if not profile.network:
        return [], []
    found: list[Stage] = []
    left: list[LeftOut] = []
    for card in cards(tree):
        name = f"network/{card}"
        reason = _why_not(tree, card, peer, known)
        if reason or peer is None:
            left.append(LeftOut(name, Part.NETWORK, reason))
            continue
        seconds = 2 * (profile.network + 1 + OVERHEAD)
        work = partial(_measure, card, peer, profile)
        # It may have to wait for others; the test's own deadline ends that.
        stage = Stage(name, Part.NETWORK, seconds, work, timeouts.BENCH_TURN, late=True)
        found.append(stage)
    return found, left


def _why_not(tree: Tree, card: str, peer: Peer | None, known: Endpoint) -> str:
    if peer is None:
        return "the server offers no iperf3 server"
    if tree.text(f"{_NET}/{card}/carrier") != "1":
        return "no link"
    return "" if reaches(card, known) else "the server is not reached by this card"


def reaches(card: str, endpoint: Endpoint) -> bool:
    """Whether a TCP connection through this card, and no other, comes about."""
    for family, kind, protocol, _, address in _addresses(endpoint):
        with contextlib.suppress(OSError), socket.socket(family, kind, protocol) as found:
            found.settimeout(timeouts.BENCH_REACH)
            found.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, card.encode())
            found.connect(address)
            return True
    return False


def _addresses(
    endpoint: Endpoint,
) -> Sequence[tuple[int, int, int, str, tuple[object, ...]]]:
    try:
        return socket.getaddrinfo(*endpoint, type=socket.SOCK_STREAM)
    except OSError:
        return []


def _measure(card: str, peer: Peer, profile: Profile, bench: Bench, _run: int) -> Outcome:
    results, tool = [], ""
    for direction in ("send", "receive"):
        found = _when_free(card, peer, profile, direction == "receive", bench)
        tool = found.tool
        results.append(Result(f"network/{card}/{direction}", _UNIT, found.value, found.samples))
    return Outcome(tuple(results), tool)


def _when_free(
    card: str, peer: Peer, profile: Profile, receive: bool, bench: Bench
) -> iperf.Throughput:
    """Measure as soon as the server has no other client."""
    argv = iperf.words(
        peer.address, peer.port, card, profile.network, profile.streams, receive=receive
    )
    pauses = Retry(first=0.5, longest=timeouts.BENCH_BUSY).pauses()
    while True:
        meter = _Meter(bench, card, receive)
        try:
            (printed,) = bench.run(argv, on_tick=meter.tick)
            return iperf.throughput(printed)
        except iperf.ServerBusy:
            bench.commands.pop()
            bench.check()
            threading.Event().wait(next(pauses))


class _Meter:
    """Mbit/s by the kernel's own count, for whoever watches."""

    def __init__(self, bench: Bench, card: str, receive: bool) -> None:
        self._bench = bench
        self._file = f"{_NET}/{card}/statistics/{'rx' if receive else 'tx'}_bytes"
        self._last = (time.monotonic(), self._count())

    def tick(self) -> None:
        now, count = time.monotonic(), self._count()
        then, before = self._last
        if now - then >= 0.5:
            self._last = (now, count)
            self._bench.tell(8 * (count - before) / (now - then) / 1e6, _UNIT)

    def _count(self) -> int:
        return self._bench.tree.number(self._file) or 0
