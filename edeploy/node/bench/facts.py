"""What is wrong with how a machine is put together: links, memory modules, network cards."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from edeploy.inventory.items import Report
from edeploy.node.bench.results import Link, Part
from edeploy.node.bench.topology import Topology
from edeploy.node.detect import pci
from edeploy.node.detect.tree import Tree

_SOCKET = re.compile(r"(?:CPU|PROC(?:ESSOR)?|NODE|SOCKET|P)[ _-]?(\d)(?!\d)", re.IGNORECASE)
_CHANNEL = re.compile(r"(?:CHANNEL|CHAN|CH)[ _-]?([A-Z0-9])\b|DIMM[ _-]?([A-Z])\d", re.IGNORECASE)
# What firmware keeps for itself makes equal nodes a little different.
_NODES_DIFFER = 0.10
# PCI classes that carry loads: storage, network, display, processing accelerators.
_CLASSES = {
    "0x01": Part.DISK,
    "0x02": Part.NETWORK,
    "0x03": Part.OTHER,
    "0x12": Part.OTHER,
}


def memory_warnings(report: Report, found: Topology) -> Iterator[str]:
    """Modules below their rated speed, and slots that are filled unevenly."""
    banks = _banks(report)
    slow = [
        (about["clock"], about["configured_clock"])
        for about in banks
        if "clock" in about and int(about.get("configured_clock", "0")) < int(about["clock"])
        and "configured_clock" in about
    ]  # fmt: skip
    for (rated, runs), count in sorted(Counter(slow).items()):
        yield (
            f"memory: {count} modules run at {int(runs) // 10**6} MHz, "
            f"they are rated for {int(rated) // 10**6}"
        )
    yield from _uneven(banks)
    sizes = [node.memory for node in found.nodes]
    if len(sizes) > 1 and min(sizes) < (1 - _NODES_DIFFER) * max(sizes):
        shown = ", ".join(f"node {n.number}: {n.memory / (1 << 30):.0f} GiB" for n in found.nodes)
        yield f"memory: NUMA nodes have different amounts ({shown})"


def network_links(report: Report) -> Iterator[Link]:
    """The cards that have a link, at which speed, and what they and the other end can do."""
    for card in _ids(report, "network", "capacity"):
        size = report.value("network", card, "size")
        most = report.value("network", card, "capacity") or ""
        if not size or not size.isdigit() or not most.isdigit():
            continue
        partner = report.value("network", card, "partner_capacity") or ""
        both = partner.isdigit()
        # What a partner does not offer it may do all the same: modes of its own making.
        can = max(min(int(most), int(partner)) if both else int(most), int(size))
        duplex = report.value("network", card, "duplex") or "full"
        yield Link(
            f"network {card}", Part.NETWORK, f"{_rate(size)} {duplex}", f"{_rate(str(can))} full",
            both,
        )  # fmt: skip


class PcieLinks:
    """The PCIe links of what carries loads; a link may rest, so the best of many looks counts."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._parts = {
            tree.path(f"{pci.DEVICES}/{name}").resolve(): part
            for name in tree.names(pci.DEVICES)
            if (part := _CLASSES.get(tree.text(f"{pci.DEVICES}/{name}/class")[:4]))
        }
        self._best: dict[Path, dict[str, float]] = {}

    def look(self) -> None:
        """Read what the links run at now."""
        for device in self._parts:
            best = self._best.setdefault(device, {})
            for key, value in pci.link_facts(self._tree, device):
                best[key] = max(best.get(key, 0.0), float(value))

    def links(self) -> list[Link]:
        """Each link with what it ran at, at its best, and what both ends can do."""
        return [
            _pcie(device.name, self._parts[device], best)
            for device, best in sorted(self._best.items())
            if "pcie_width" in best and "pcie_speed" in best
        ]


def _pcie(name: str, part: Part, best: dict[str, float]) -> Link:
    now, can = (f"x{best[f'pcie_width{end}']:.0f}" for end in ("", "_max"))
    # Nothing here works a GPU, and one that rests takes its link down to the lowest speed.
    if part is not Part.OTHER:
        now, can = (
            f"{best[f'pcie_speed{end}']:.1f} GT/s {width}"
            for end, width in (("", now), ("_max", can))
        )
    return Link(f"pcie {name}", part, now, can)


def _banks(report: Report) -> list[dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for item in report.all("memory"):
        if item.id.startswith("bank:"):
            found.setdefault(item.id, {})[item.key] = item.value
    filled = {name: about for name, about in found.items() if about.get("size", "0") != "0"}
    numbers = ("size", "clock", "configured_clock")
    return [
        {**about, "id": name}
        for name, about in filled.items()
        if all(about.get(key, "0").isdigit() for key in numbers)
    ]


def _uneven(banks: Sequence[dict[str, str]]) -> Iterator[str]:
    sockets: dict[str, list[str]] = {}
    channels: dict[str, list[str]] = {}
    for about in banks:
        place = f"{about.get('locator', '')} {about.get('slot', '')}"
        socket, channel = _SOCKET.search(place), _CHANNEL.search(place)
        array = about["id"].split(":")[1] if about["id"].count(":") > 1 else ""
        name = socket[1] if socket else array
        sockets.setdefault(name, []).append(about["size"])
        if channel:
            channels.setdefault(f"{name}{channel[1] or channel[2]}", []).append(about["size"])
    if len(sockets) > 1 and len({tuple(sorted(sizes)) for sizes in sockets.values()}) > 1:
        shown = ", ".join(f"{len(sizes)} on {name}" for name, sizes in sorted(sockets.items()))
        yield f"memory: modules are unequal over the sockets ({shown})"
    elif len({tuple(sorted(sizes)) for sizes in channels.values()}) > 1:
        shown = ", ".join(f"{len(sizes)} on {name}" for name, sizes in sorted(channels.items()))
        yield f"memory: modules are unequal over the channels ({shown})"


def _ids(report: Report, kind: str, key: str) -> list[str]:
    return list(dict.fromkeys(item.id for item in report.all(kind, key=key)))


def _rate(bits: str) -> str:
    megabits = int(bits) / 1e6
    return f"{megabits / 1000:g} Gbit/s" if megabits >= 1000 else f"{megabits:g} Mbit/s"
