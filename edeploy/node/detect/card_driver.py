"""What the driver of a network card tells: settings of its link, firmware, flow control.

The numbers and structures are those of Linux's <linux/ethtool.h>.
"""

from __future__ import annotations

import array
import fcntl
import socket
import struct
from collections.abc import Iterator

_SIOCETHTOOL = 0x8946
_GDRVINFO, _GPAUSEPARAM, _GLINKSETTINGS = 0x03, 0x12, 0x4C
_FIRMWARE = slice(68, 100)  # in struct ethtool_drvinfo
_AUTONEG, _WORDS, _MASKS = 11, 15, 48  # in struct ethtool_link_settings
# Mbit/s, and the first and last bit of the modes that have it.
_MODES = (
    (10, 0, 1), (100, 2, 3), (1000, 4, 5), (10000, 12, 12), (2500, 15, 15), (1000, 17, 17),
    (10000, 18, 20), (20000, 21, 22), (40000, 23, 26), (56000, 27, 30), (25000, 31, 33),
    (50000, 34, 35), (100000, 36, 39), (50000, 40, 40), (1000, 41, 41), (10000, 42, 46),
    (2500, 47, 47), (5000, 48, 48), (50000, 52, 56), (100000, 57, 61), (200000, 62, 66),
    (100, 67, 67), (1000, 68, 68), (400000, 69, 73), (100000, 75, 79), (200000, 80, 84),
    (400000, 85, 89), (100, 90, 91), (10, 92, 92), (800000, 93, 98),
)  # fmt: skip


def driver_facts(name: str) -> Iterator[tuple[str, str]]:
    """Keys and values of items: `autonegotiation`, `capacity` (the fastest that the card can do,
    bit/s), `partner_capacity` (the same of the other end, as far as it says so), `firmware`, and
    `Autonegotiate`, `RX`, `TX` as `ethtool -a` calls flow control."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        settings = _link_settings(handle, name)
        if settings:
            yield "autonegotiation", "on" if settings[_AUTONEG] else "off"
            supported, _, heard = _thirds(settings[_MASKS:])
            for key, modes in (("capacity", supported), ("partner_capacity", heard)):
                megabits = fastest(modes)
                yield key, str(megabits * 10**6) if megabits else ""
        about = _ask(handle, name, struct.pack("I192x", _GDRVINFO))
        firmware = about[_FIRMWARE].partition(b"\0")[0].decode("ascii", "replace").strip()
        yield "firmware", "" if firmware in ("N/A", "n/a") else firmware
        pause = _ask(handle, name, struct.pack("4I", _GPAUSEPARAM, 0, 0, 0))
        if pause:
            values = struct.unpack("4I", pause)[1:]
            for key, value in zip(("Autonegotiate", "RX", "TX"), values):
                yield key, "on" if value else "off"


def fastest(modes: bytes) -> int:
    """The fastest, in Mbit/s, of the modes in a mask of bits, in the machine's own words of 32
    bits. 0 for none."""
    size = len(modes) // 4
    words = struct.unpack(f"={size}I", modes[: size * 4])
    bits = sum(word << 32 * place for place, word in enumerate(words))
    return max(
        (speed for speed, first, last in _MODES if bits >> first & (1 << last - first + 1) - 1),
        default=0,
    )


def _thirds(masks: bytes) -> tuple[bytes, bytes, bytes]:
    """The modes that the card supports, that it offers, and that the other end offers."""
    size = len(masks) // 3
    return masks[:size], masks[size : 2 * size], masks[2 * size : 3 * size]


def _link_settings(handle: socket.socket, name: str) -> bytes:
    """struct ethtool_link_settings with its masks; the kernel first tells how long these are."""
    head = _ask(handle, name, struct.pack("I44x", _GLINKSETTINGS))
    if not head:
        return b""
    words = -struct.unpack_from("b", head, _WORDS)[0]
    if not 0 < words < 128:
        return head
    question = bytearray(_MASKS + 3 * 4 * words)
    struct.pack_into("I", question, 0, _GLINKSETTINGS)
    struct.pack_into("b", question, _WORDS, words)
    return _ask(handle, name, bytes(question))


def _ask(handle: socket.socket, name: str, question: bytes) -> bytes:
    """The driver's answer, in the question's place; empty when it has none."""
    answer = array.array("B", question)
    try:
        request = struct.pack("16sP", name.encode()[:15], answer.buffer_info()[0])
        fcntl.ioctl(handle, _SIOCETHTOOL, request)
    except OSError:
        return b""
    return answer.tobytes()
