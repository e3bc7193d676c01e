"""The lab's own network: a namespace with a bridge, and an interface for each card.

Nothing leaves it: the namespace has no link to the host's network.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from edeploy.lab.rack import Rack
from edeploy.run import run

BRIDGE = "br0"
LINK_LOCAL = "fe80::1/64"
NAMESPACES = Path("/run/netns")

_TBF_LATENCY = "50ms"
_LEAST_BURST = 16 * 1024


def tap_name(machine: int, nic: int) -> str:
    """The interface of a machine's card, both by their place in the rack file."""
    return f"m{machine}n{nic}"


def inside(namespace: str, argv: Sequence[str]) -> list[str]:
    """The words that run a program in the namespace."""
    return ["ip", "netns", "exec", namespace, *argv]


def exists(namespace: str) -> bool:
    return (NAMESPACES / namespace).exists()


def processes(namespace: str) -> list[int]:
    """Ids of all processes whose network is this namespace, whoever started them."""
    if not exists(namespace):
        return []
    return [int(word) for word in run(["ip", "netns", "pids", namespace]).out.split()]


def create(namespace: str) -> None:
    """A namespace with nothing in it but the loopback. Raises ProgramFailed: it is there."""
    run(["ip", "netns", "add", namespace])
    _link(namespace, "set", "lo", "up")


def delete(namespace: str) -> None:
    """With its interfaces. Its processes should have ended: they keep it alive, without a name."""
    if exists(namespace):
        run(["ip", "netns", "del", namespace])


def connect(namespace: str, rack: Rack) -> None:
    """Bridge, addresses (the BMCs' too) and one tap a card, all up."""
    _add_bridge(namespace)
    _add_carrier(namespace)
    network = rack.network
    _address(namespace, str(network.address))
    if network.ipv6 is not None:
        _address(namespace, str(network.ipv6), "nodad")
    for index, machine in enumerate(rack.machines):
        _address(namespace, f"{machine.bmc.address}/32")
        for number, nic in enumerate(machine.nics):
            _add_tap(namespace, tap_name(index, number), nic.rate)


def _add_bridge(namespace: str) -> None:
    # A fixed address: a bridge takes its ports' lowest one, and peers would lose it when it goes.
    digest = hashlib.sha256(namespace.encode()).hexdigest()
    mac = f"52:54:01:{digest[0:2]}:{digest[2:4]}:{digest[4:6]}"
    # No spanning tree and no forward delay: firmware gives up before a port would forward.
    # No snooping: without a querier it drops what IPv6 needs to find neighbours and routers.
    words = ["type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0"]
    _link(namespace, "add", BRIDGE, "address", mac, *words)
    _link(namespace, "set", BRIDGE, "addrgenmode", "none", "up")
    # Our own link-local address: the kernel's would be in duplicate detection for seconds, and
    # router advertisements come from it.
    _address(namespace, LINK_LOCAL, "nodad")


def _add_carrier(namespace: str) -> None:
    # A port that is always up: with all machines off the bridge would have no carrier, and
    # services could not use its IPv6 addresses.
    _link(namespace, "add", "carrier0", "type", "veth", "peer", "name", "carrier1")
    _link(namespace, "set", "carrier0", "master", BRIDGE)
    for name in ("carrier0", "carrier1"):
        _link(namespace, "set", name, "addrgenmode", "none", "up")


def _add_tap(namespace: str, name: str, rate: int | None) -> None:
    run(["ip", "-n", namespace, "tuntap", "add", name, "mode", "tap"])
    master = BRIDGE if rate is None else _add_limited_port(namespace, name, rate)
    _link(namespace, "set", name, "master", master, "addrgenmode", "none", "up")
    if rate is not None:
        _limit(namespace, name, rate)


def _add_limited_port(namespace: str, name: str, rate: int) -> str:
    """A bridge for this card alone, with a cable to the rack's that carries so many bits a second
    from the card: the kernel limits only what leaves an interface."""
    own, near, far = f"{name}b", f"{name}i", f"{name}o"
    words = ["type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0"]
    _link(namespace, "add", own, *words)
    # Without ARP: it would answer for the rack's addresses, which are this host's too, and what the
    # card sends would not go by the cable.
    _link(namespace, "set", own, "addrgenmode", "none", "arp", "off", "up")
    _link(namespace, "add", near, "type", "veth", "peer", "name", far)
    for end, master in ((near, own), (far, BRIDGE)):
        _link(namespace, "set", end, "master", master, "addrgenmode", "none", "up")
    _limit(namespace, near, rate)
    return own


def _limit(namespace: str, name: str, rate: int) -> None:
    # The bucket holds what comes between two ticks of the kernel's clock, else it is slower.
    burst = max(_LEAST_BURST, rate // 8 // 100)
    shape = ["rate", f"{rate}bit", "burst", str(burst), "latency", _TBF_LATENCY]
    run(["tc", "-n", namespace, "qdisc", "add", "dev", name, "root", "tbf", *shape])


def _address(namespace: str, address: str, *flags: str) -> None:
    run(["ip", "-n", namespace, "address", "add", address, "dev", BRIDGE, *flags])


def _link(namespace: str, *words: str) -> None:
    run(["ip", "-n", namespace, "link", *words])
