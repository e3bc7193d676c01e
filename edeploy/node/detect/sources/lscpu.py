"""`lscpu`, `lscpu -x` and `lscpu -J`: it has names for processors that the kernel only numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from edeploy.inventory.items import Item
from edeploy.node.detect.sources.cpulist import range_list
from edeploy.node.detect.sources.loose_json import Node, document

_FIELDS = (
    ("vendor", "Vendor ID"),
    ("product", "Model name"),
    ("cores", "Core(s) per socket"),
    ("family", "CPU family"),
    ("model", "Model"),
    ("stepping", "Stepping"),
    ("architecture", "Architecture"),
    ("l1d cache", "L1d cache"),
    ("l1i cache", "L1i cache"),
    ("l2 cache", "L2 cache"),
    ("l3 cache", "L3 cache"),
    ("min_Mhz", "CPU min MHz"),
    ("max_Mhz", "CPU max MHz"),
    ("flags", "Flags"),
    ("threads_per_core", "Thread(s) per core"),
)
_NODE = re.compile(r"NUMA node(\d{1,9}) CPU\(s\)\Z")
_MOST_SOCKETS = 64


def parse_lscpu(text: str) -> Iterator[Item]:
    """Items of types `cpu` and `numa`; every socket has the same, as lscpu tells of one only."""
    found = _fields(text)
    sockets = _number(found.get("Socket(s)", ""))
    if sockets:
        yield Item("cpu", "physical", "number", str(sockets))
    for number in range(min(sockets or 1, _MOST_SOCKETS)):
        yield from _socket(f"physical_{number}", found)
    if found.get("CPU(s)"):
        yield Item("cpu", "logical", "number", found["CPU(s)"])
    if found.get("NUMA node(s)"):
        yield Item("numa", "nodes", "count", found["NUMA node(s)"])
    for name, cpus in found.items():
        node = _NODE.match(name)
        if node:
            yield from _node(f"node_{int(node[1])}", cpus, is_mask="On-line CPU(s) mask" in found)


def _fields(text: str) -> dict[str, str]:
    if text.lstrip().startswith("{"):
        found: dict[str, str] = {}
        _collect(document(text)["lscpu"], found, depth=0)
        return found
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, colon, value in pairs if colon}


def _collect(fields: Node, found: dict[str, str], *, depth: int) -> None:
    """The fields of JSON, which newer versions nest."""
    for field in fields.members:
        name = field["field"].text.rstrip(":")
        if name:
            found.setdefault(name, field["data"].text)
        if depth < 4:
            _collect(field["children"], found, depth=depth + 1)


def _socket(name: str, found: dict[str, str]) -> Iterator[Item]:
    for key, field in _FIELDS:
        if found.get(field):
            yield Item("cpu", name, key, _plain(key, found[field]))
    cores, per_core = (_number(found.get(it, "")) for it in (_FIELDS[2][1], _FIELDS[-1][1]))
    if cores and per_core:
        yield Item("cpu", name, "threads", str(cores * per_core))


def _plain(key: str, value: str) -> str:
    """Numbers as the other reports have them: `2300.0000` as 2300.0, `0x1` as 1."""
    if key.endswith("_Mhz") and re.match(r"\d{1,9}\.\d{1,9}\Z", value):
        return str(float(value))
    if key in ("model", "stepping") and re.match(r"0x[0-9a-fA-F]{1,8}\Z", value):
        return str(int(value, 16))
    return value


def _node(name: str, cpus: str, *, is_mask: bool) -> Iterator[Item]:
    if is_mask:
        mask = int(cpus, 16) if re.match(r"(0x)?[0-9a-fA-F]+\Z", cpus) else 0
    else:
        mask = sum(1 << number for number in set(range_list(cpus)))
    yield Item("numa", name, "cpu_count", str(bin(mask).count("1")))
    yield Item("numa", name, "cpu_mask", hex(mask))


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else None
