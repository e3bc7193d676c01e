"""Listens for the switches at the other end of a machine's cables (LLDP), beside all other work.

A switch speaks every 30 s, so nothing waits for it: what was heard is in the next report. We speak
too: a switch that hears somebody new answers within a second (IEEE 802.1AB-2009, fast start), and
its operator sees which machine is at which port.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time
from pathlib import Path

from edeploy.inventory.items import Item
from edeploy.node import timeouts
from edeploy.node.detect.sources.lldp import Neighbour, parse_frame

_PROTOCOL = 0x88CC
_GROUP = bytes.fromhex("0180c200000e")  # a bridge passes nothing on that is sent to it
_SOL_PACKET, _ADD_MEMBERSHIP, _MULTICAST = 263, 1, 0
_OUTGOING = 4
_SYS_NET = Path("/sys/class/net")
_MOST_LINKS = 256


class Listener:
    """Hears from its making to `close`; `items` are those of the neighbours heard until then."""

    def __init__(self, *, sys_net: Path = _SYS_NET) -> None:
        self._sys_net = sys_net
        self._heard: dict[str, Neighbour] = {}
        self._lock = threading.Lock()
        self._spoke: dict[str, float] = {}
        self._joined: set[int] = set()
        self._end = threading.Event()
        threading.Thread(target=self._work, name="listener", daemon=True).start()

    def items(self) -> list[Item]:
        """Items of type `lldp`, in the order of links."""
        with self._lock:
            heard = sorted(self._heard.items())
        return [item for link, neighbour in heard for item in neighbour.items(link)]

    def close(self) -> None:
        """Stop listening, within a second; that is not waited for."""
        self._end.set()

    def _work(self) -> None:
        kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
        try:
            ear = socket.socket(socket.AF_PACKET, kind, socket.htons(_PROTOCOL))
        except OSError:
            # Not root, or a kernel without packet sockets: there is nothing to hear.
            return
        with ear:
            while not self._end.is_set():
                self._look_at_links(ear)
                if select.select([ear], [], [], timeouts.TICK)[0]:
                    self._hear(ear)

    def _hear(self, ear: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                data, (link, _, direction, *_) = ear.recvfrom(2048)
                neighbour = parse_frame(data) if direction != _OUTGOING else None
                with self._lock:
                    if neighbour is not None and len(self._heard) < _MOST_LINKS:
                        self._heard[link] = neighbour

    def _look_at_links(self, ear: socket.socket) -> None:
        """Join and speak on links that came, or came up, since the last look."""
        for folder in sorted(self._sys_net.iterdir()):
            if not (folder / "device").exists():
                continue
            # A link may go, or get its name from udev, at any moment of this.
            with contextlib.suppress(OSError, ValueError):
                index = int((folder / "ifindex").read_text())
                if index not in self._joined:
                    request = struct.pack("iHH8s", index, _MULTICAST, len(_GROUP), _GROUP)
                    ear.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, request)
                    self._joined.add(index)
                self._speak(ear, folder)

    def _speak(self, ear: socket.socket, folder: Path) -> None:
        now = time.monotonic()
        due = self._spoke.get(folder.name, 0.0) <= now
        if due and (folder / "carrier").read_text().strip() == "1":
            address = bytes.fromhex((folder / "address").read_text().strip().replace(":", ""))
            # IPoIB's addresses have 20 bytes, and no LLDP.
            if len(address) == 6:
                place = (folder.name, _PROTOCOL, 0, 0, _GROUP)
                ear.sendto(announcement(folder.name, address), place)
            self._spoke[folder.name] = now + timeouts.ANNOUNCE_EVERY


def announcement(link: str, address: bytes) -> bytes:
    """What we say of ourselves: the card as chassis and port, the link's name, a name."""
    parts = (
        (1, b"\x04" + address),
        (2, b"\x03" + address),
        (3, struct.pack(">H", timeouts.ANNOUNCED_FOR)),
        (4, link.encode()),
        (5, b"edeploy"),
        (0, b""),
    )
    return b"".join(struct.pack(">H", kind << 9 | len(value)) + value for kind, value in parts)
