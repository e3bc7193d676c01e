"""What a machine consists of, out of its report: parts by kind, and everything that may differ."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from edeploy.health.measurements import Component
from edeploy.inventory.items import Item, Report

Bag = tuple[tuple[str, int], ...]
"""Parts of one component: (kind, count), sorted. Two machines with equal bags have equal parts."""

# What is another on every machine, or changes by itself: no cause of anything.
_OWN = re.compile(
    r"serial|uuid|ipv4|ipv6|wwn|scsi-id|^id$|guid|asset|address|netmask|gateway|latency|temp|rpm"
    r"|bogomips|power_on|hours|mask|^link$|uptime|date_time",
    re.IGNORECASE,
)
_OWN_TYPES = frozenset({"lldp", "ipmi", "probe", "status", "smart", "health"})
_MEASURED = re.compile(r"bandwidth|loops_per_sec|_KBps$|_IOps$")
# Keys that a disk has once.
_ONCE = frozenset({"type", "slot", "size", "model"})
_EMPTY_LOCATION = ("", "")
_GIB = 1 << 30


@dataclass(frozen=True)
class Facts:
    """The facts of one machine. All empty for a machine that only a CSV names.

    `parts` are the hard facts; `soft` maps `type.id.key` to each other value; `disks` maps a device
    to its kind; `slots` maps a memory slot to whether a module is in it; `location` is (switch,
    port).
    """

    system: str = ""
    serial: str = ""
    location: tuple[str, str] = _EMPTY_LOCATION
    parts: Mapping[Component, Bag] = field(default_factory=dict)
    soft: Mapping[str, str] = field(default_factory=dict)
    disks: Mapping[str, str] = field(default_factory=dict)
    slots: Mapping[str, bool] = field(default_factory=dict)


def facts_of(report: Report, serial: str) -> Facts:
    """The facts in a report. `serial` is the machine's, without junk, or empty."""
    by_part = _by_part(report)
    disks = [(name, kind) for name, about in _disks(report) if (kind := _disk(about))]
    return Facts(
        system=_system(report),
        serial=serial,
        location=_location(report),
        parts={
            Component.CPU: _bag(_cpus(by_part["cpu"])),
            Component.MEMORY: _bag(_modules(by_part["memory"])),
            Component.DISK: _bag(kind for _, kind in disks),
            Component.NETWORK: _bag(_cards(by_part["network"])),
        },
        soft=_soft(report, by_part["memory"]),
        disks=dict(disks),
        slots=_slots(by_part["memory"]),
    )


def _by_part(report: Report) -> dict[str, dict[str, dict[str, str]]]:
    """type → id → key → first value, for the types that have parts."""
    found: dict[str, dict[str, dict[str, str]]] = {
        "cpu": {},
        "memory": {},
        "network": {},
    }
    for item in report.items:
        if item.type in found:
            found[item.type].setdefault(item.id, {}).setdefault(item.key, item.value)
    return found


def _bag(kinds: Iterable[str]) -> Bag:
    return tuple(sorted(Counter(kinds).items()))


def _system(report: Report) -> str:
    vendor = report.value("system", "product", "vendor") or ""
    name = report.value("system", "product", "name") or ""
    return name if name.lower().startswith(vendor.lower()) else f"{vendor} {name}".strip()


def _cpus(cpus: dict[str, dict[str, str]]) -> list[str]:
    sockets = [about for name, about in cpus.items() if name.startswith("physical_")]
    return [_cpu(about) for about in sockets]


def _cpu(about: dict[str, str]) -> str:
    name = " ".join((about.get("product") or about.get("vendor") or "CPU").split())
    cores = about.get("enabled_cores") or about.get("cores")
    threads = about.get("threads")
    sizes = [f"{cores} cores" if cores else "", f"{threads} threads" if threads else ""]
    return ", ".join(part for part in (name, *sizes) if part)


def _modules(memory: dict[str, dict[str, str]]) -> list[str]:
    banks = [about for name, about in memory.items() if name.startswith("bank:")]
    if not banks:
        size = _number(memory.get("total", {}).get("size", ""))
        return [f"{max(1, round(size / _GIB))} GiB in all"] if size else []
    return [_module(about) for about in banks if _filled(about)]


def _module(about: dict[str, str]) -> str:
    size, clock = _number(about["size"]), _number(about.get("clock", ""))
    speed = f" {clock / 1e6:.0f} MHz" if clock else ""
    return f"{size / _GIB:g} GiB{speed}"


def _slots(memory: dict[str, dict[str, str]]) -> dict[str, bool]:
    return {
        " ".join(about.get("slot", name).split()): _filled(about)
        for name, about in memory.items()
        if name.startswith("bank:")
    }


def _filled(about: dict[str, str]) -> bool:
    return _number(about.get("size", "")) > 0


def _disks(report: Report) -> list[tuple[str, dict[str, str]]]:
    """(id, its keys) of each disk. Two controllers may both have a disk 1I:1:1: a key that comes
    again starts another disk."""
    found: list[tuple[str, dict[str, str]]] = []
    latest: dict[str, dict[str, str]] = {}
    for item in report.all("disk"):
        about = latest.get(item.id)
        if about is None or (item.key in _ONCE and item.key in about):
            about = latest[item.id] = {}
            found.append((item.id, about))
        about.setdefault(item.key, item.value)
    return found


def _disk(about: dict[str, str]) -> str:
    size = about.get("size")
    if not size:
        return ""
    model = about.get("model") or about.get("type") or "disk"
    return " ".join(f"{about.get('vendor', '')} {model} {size} GB".split())


def _cards(network: dict[str, dict[str, str]]) -> list[str]:
    cards = (about for about in network.values() if "serial" in about)
    return [" ".join(f"{about.get('vendor', '')} {_card(about)}".split()) for about in cards]


def _card(about: dict[str, str]) -> str:
    return about.get("product") or about.get("driver") or "network card"


def _location(report: Report) -> tuple[str, str]:
    """The switch and port of the first network card that heard one by LLDP.

    Keys are those of eDeploy's probe: the name of the TLV, then `/` and the sort of identifier.
    """
    heard: dict[str, dict[str, str]] = {}
    for item in report.all("lldp"):
        key = re.sub(r"[^a-z]", "", item.key.lower())
        heard.setdefault(item.id, {}).setdefault(key, item.value)
    for _, about in sorted(heard.items()):
        switch = _first(about, ("systemname", "sysname", "switch", "chassis"))
        port = _first(about, ("portid", "ifname", "portdescription", "port"))
        if switch or port:
            return switch, port
    return _EMPTY_LOCATION


def _first(about: Mapping[str, str], beginnings: tuple[str, ...]) -> str:
    for beginning in beginnings:
        for key in sorted(about):
            if key.startswith(beginning):
                return about[key]
    return ""


def _soft(report: Report, memory: dict[str, dict[str, str]]) -> dict[str, str]:
    found = {
        sys.intern(f"{item.type}.{item.id}.{item.key}"): sys.intern(item.value)
        for item in report.items
        if _is_soft(item, memory)
    }
    filled = [slot for slot, module in _slots(memory).items() if module]
    return {**found, "memory.slots.filled": sys.intern(", ".join(filled))} if filled else found


def _is_soft(item: Item, memory: dict[str, dict[str, str]]) -> bool:
    if item.type in _OWN_TYPES or _OWN.search(item.key) or _MEASURED.search(item.key):
        return False
    if item.type == "memory" and item.id.startswith("bank:"):
        # Sizes and clocks are hard facts, and which slots are filled is one fact.
        return item.key in ("vendor", "product") and _filled(memory[item.id])
    return not (item.type == "system" and item.key in ("name", "vendor"))


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        return 0.0
    return number if 0 < number < float("inf") else 0.0
