"""Counters of errors and throttling: read before and after every stage; what changes mean."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edeploy.errors import EdeployError
from edeploy.inventory.items import Item
from edeploy.node.bench.results import Change
from edeploy.node.detect.network import cards
from edeploy.node.detect.program import first_of, printed
from edeploy.node.detect.smart import smart
from edeploy.node.detect.tree import Tree

_EDAC = "sys/devices/system/edac/mc"
_CPUS = "sys/devices/system/cpu"
_PCI = "sys/bus/pci/devices"
_NET = "sys/class/net"
_AER = {
    "correctable": "TOTAL_ERR_COR",
    "nonfatal": "TOTAL_ERR_NONFATAL",
    "fatal": "TOTAL_ERR_FATAL",
}
_NET_FILES = ("rx_errors", "tx_errors", "rx_crc_errors", "rx_frame_errors")
# Of ATA: reallocated, reported uncorrectable, command timeouts, pending, offline uncorrectable,
# and CRC errors of the cable.
_ATA = re.compile(r"SMART/.+\((5|187|188|197|198|199)\)/raw\Z")
_SMART = (
    "SMART/media_data_integrity_errors",
    "SMART/grown_defects",
    "SMART/read_total_uncorrected_errors",
    "SMART/write_total_uncorrected_errors",
)
_UNCORRECTABLE = re.compile(r"uncorrectable|IERR|Machine Check", re.IGNORECASE)
Counters = Mapping[str, int]


@dataclass(frozen=True)
class Health:
    """What programs say of health: `failing` and `alarms` are sentences, `events` the lines of the
    BMC's log."""

    counters: Counters
    failing: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()
    events: tuple[str, ...] = ()


def kernel_counters(tree: Tree) -> dict[str, int]:
    """Counters that the kernel has in files: memory errors, throttling, PCIe, cards; by name."""
    return {
        **dict(_memory(tree)),
        **dict(_processors(tree)),
        **dict(_pcie(tree)),
        **dict(_network(tree)),
    }


def asked_health(tree: Tree) -> Health:
    """What smartctl and the BMC say; nothing where they are not there."""
    counters: dict[str, int] = {}
    failing: list[str] = []
    alarms: list[str] = []
    for item in smart(tree):
        if item.key == "error":
            alarms.append(f"disk: {item.id.replace('smart:', '')}: {item.value}")
        elif item.key == "SMART/health" and item.value.startswith("FAILED"):
            failing.append(f"disk: {item.id}: SMART says that it is failing")
        elif item.key == "SMART/critical_warning" and item.value != "0x00":
            failing.append(f"disk: {item.id}: critical warning {item.value}")
        elif item.key.endswith("/when_failed") and item.value == "FAILING_NOW":
            failing.append(f"disk: {item.id}: {item.key[6:-12]} is failing now")
        else:
            counters.update(_smart_counter(item))
    events = tuple(_events(tree))
    if events:
        counters["bmc/events"] = len(events)
    alarms += _sensors(tree)
    return Health(counters, tuple(failing), tuple(alarms), events)


def changes(before: Counters, after: Counters, stage: str = "", run: int = 0) -> list[Change]:
    """What changed, by name; a counter that was not there before counts from 0."""
    return [
        Change(name, before.get(name, 0), after[name], stage, run)
        for name in sorted(after)
        if after[name] != before.get(name, 0)
    ]


def meaning(change: Change) -> tuple[str, str]:
    """(error, warning) that a counter's change stands for; empty texts for none."""
    count = change.after - change.before
    part, _, rest = change.name.partition("/")
    where = f" during {change.stage}" if change.stage else " before the test"
    if count <= 0:
        return "", ""
    if part == "edac":
        kind = "uncorrected" if "ue" in rest else "corrected"
        text = f"memory: {count} {kind} errors ({rest}){where}"
        return (text, "") if kind == "uncorrected" else ("", text)
    if part == "aer":
        text = f"pcie: {count} {rest.rsplit('/', 1)[-1]} errors of {rest.rsplit('/', 1)[0]}{where}"
        return (text, "") if rest.endswith("/fatal") else ("", text)
    if part == "mce":
        return f"cpu: {count} machine check exceptions{where}", ""
    if part == "throttle":
        # What happened before is the history of the machine, not of this test.
        text = f"cpu: throttled by heat {count} times ({rest}){where}"
        return "", text if change.stage else ""
    if part == "bmc":
        return "", ""
    return "", f"{part}: {rest} went up by {count}{where}" if change.stage else ""


def new_events(before: Health, after: Health) -> tuple[list[str], list[str]]:
    """(errors, warnings) of what came into the BMC's log between two looks."""
    errors: list[str] = []
    warnings: list[str] = []
    for line in after.events:
        if line not in before.events:
            hard = _UNCORRECTABLE.search(line)
            (errors if hard else warnings).append(f"bmc: {line}")
    return errors, warnings


def _memory(tree: Tree) -> Iterator[tuple[str, int]]:
    for controller in tree.names(_EDAC):
        if not re.match(r"mc\d+\Z", controller):
            continue
        for kind in ("ce", "ue"):
            counts = (
                tree.number(f"{_EDAC}/{controller}/{kind}{form}")
                for form in ("_count", "_noinfo_count")
            )
            known = [count for count in counts if count is not None]
            if known:
                # The first has the second in it.
                yield f"edac/{controller}/{kind}", max(known)


def _processors(tree: Tree) -> Iterator[tuple[str, int]]:
    for kind in ("core", "package"):
        counts = [
            tree.number(f"{_CPUS}/{cpu}/thermal_throttle/{kind}_throttle_count")
            for cpu in tree.names(_CPUS)
            if re.match(r"cpu\d+\Z", cpu)
        ]
        known = [count for count in counts if count is not None]
        if known:
            yield f"throttle/{kind}", sum(known) if kind == "core" else max(known)
    found = re.search(r"^ *MCE:((?: +\d+)+)", tree.text("proc/interrupts"), re.MULTILINE)
    if found:
        yield "mce/exceptions", sum(map(int, found[1].split()))


def _pcie(tree: Tree) -> Iterator[tuple[str, int]]:
    for device in tree.names(_PCI):
        for kind, word in _AER.items():
            text = tree.text(f"{_PCI}/{device}/aer_dev_{kind}")
            found = re.search(rf"^{word} (\d+)", text, re.MULTILINE)
            if found:
                yield f"aer/{device}/{kind}", int(found[1])


def _network(tree: Tree) -> Iterator[tuple[str, int]]:
    for card in cards(tree):
        for name in _NET_FILES:
            count = tree.number(f"{_NET}/{card}/statistics/{name}")
            if count is not None:
                yield f"network/{card}/{name}", count
        changes_ = tree.number(f"{_NET}/{card}/carrier_changes")
        if changes_ is not None:
            yield f"network/{card}/carrier_changes", changes_


def _smart_counter(item: Item) -> dict[str, int]:
    if not (_ATA.match(item.key) or item.key in _SMART):
        return {}
    # A raw value may have words behind it: `0 (Min/Max 0/0)`.
    found = re.match(r"\d{1,18}", item.value)
    name = item.key.replace("SMART/", "").replace("/raw", "")
    return {f"disk/{item.id}/{name}": int(found[0])} if found else {}


def _events(tree: Tree) -> Iterator[str]:
    """The BMC's log: ipmitool's lines `id | date | time | sensor | what | Asserted`."""
    if not tree.exists("dev/ipmi0") or not first_of("ipmitool"):
        return
    try:
        lines = printed("ipmitool", "sel", "elist").splitlines()
    except EdeployError:
        return
    for line in lines:
        parts = [part.strip() for part in line.split("|")]
        if len(parts) >= 4 and re.match(r"[0-9a-f]{1,4}\Z", parts[0], re.IGNORECASE):
            yield " | ".join(parts)[:200]


def _sensors(tree: Tree) -> Iterator[str]:
    """Sensors that the BMC itself calls critical (`cr`) or beyond recovery (`nr`)."""
    if not tree.exists("dev/ipmi0") or not first_of("ipmitool"):
        return
    try:
        lines = printed("ipmitool", "sdr").splitlines()
    except EdeployError as error:
        yield f"bmc: {error.message}"
        return
    for line in lines:
        parts = [part.strip() for part in line.split("|")]
        if len(parts) == 3 and parts[2] in ("cr", "nr"):
            yield f"bmc: {parts[0]} is critical: {parts[1]}"
