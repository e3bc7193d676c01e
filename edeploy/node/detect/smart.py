"""The probe of disks' health: SMART, also of disks behind RAID controllers."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from edeploy.errors import EdeployError
from edeploy.inventory.items import Item
from edeploy.node.detect.disks import Disk, all_disks
from edeploy.node.detect.program import first_of, output, printed, why
from edeploy.node.detect.tree import Tree

# Disks that a hypervisor made, or that have no SMART by their nature.
_WITHOUT = re.compile(r"(vd|xvd|mmcblk|pmem|nbd|rbd|fd|sr|dasd)")
_AT_ONCE = 16
# The most that an HP controller's numbering of disks had in eDeploy.
_CCISS_DISKS = 24

# Parsers are imported where they are needed; see `neighbours`.


@dataclass(frozen=True)
class _Question:
    """A disk to ask for: its name in the report, smartctl's arguments for it."""

    name: str
    arguments: tuple[str, ...]
    # Whether there may be none: then silence is no error.
    may_be_none: bool = False


def smart(tree: Tree) -> Iterator[Item]:
    """Items of type `disk`, keys `SMART/…`; ('probe', 'smart:sda', 'error', …) for a disk that does
    not answer, while the others do."""
    disks = [disk for disk in all_disks(tree) if disk.real and not _WITHOUT.match(disk.name)]
    if not disks:
        return
    if first_of("smartctl"):
        questions = [*_own(disks), *_behind_megaraid(tree, disks), *_behind_cciss(tree, disks)]
        yield from _ask_all(questions)
    elif first_of("nvme"):
        for disk in disks:
            if disk.name.startswith("nvme"):
                yield from _ask_nvme(disk)


def _ask_nvme(disk: Disk) -> list[Item]:
    from edeploy.node.detect.sources.nvme import parse_nvme

    try:
        return list(parse_nvme(output("nvme", "smart-log", "-o", "json", disk.path), disk.name))
    except EdeployError as error:
        return [_silent(disk.name, error)]


def _silent(name: str, error: EdeployError) -> Item:
    return Item("probe", f"smart:{name}", "error", why(error))


def _own(disks: list[Disk]) -> list[_Question]:
    return [_Question(disk.name, (disk.path,)) for disk in disks]


def _behind_megaraid(tree: Tree, disks: list[Disk]) -> list[_Question]:
    """Physical disks of LSI's controllers, which smartctl finds itself: `sda{megaraid,3}`, where
    sda is the first disk that the same controller shows."""
    if not any(_vendor(tree, disk) in ("DELL", "LSI", "AVAGO", "BROADCOM") for disk in disks):
        return []
    from edeploy.node.detect.sources.smartctl import scan

    found = []
    for device, kind in scan(printed("smartctl", "--scan", "-j")):
        if kind.startswith(("megaraid,", "sat+megaraid,")):
            host = device.rsplit("/", 1)[-1]
            first = next((disk.name for disk in disks if _host(tree, disk) == host), device[5:])
            name = f"{first}{{{kind.replace('sat+', '')}}}"
            found.append(_Question(name, (device, "-d", kind)))
    return found


def _behind_cciss(tree: Tree, disks: list[Disk]) -> list[_Question]:
    """Physical disks of HP's controllers, which nobody counts: `sda{cciss,0}` and so on."""
    first: dict[str, Disk] = {}
    for disk in disks:
        model = tree.text(f"sys/block/{disk.name}/device/model")
        if _vendor(tree, disk) in ("HP", "HPE") and model.startswith("LOGICAL VOLUME"):
            first.setdefault(_host(tree, disk), disk)
    return [
        _Question(f"{disk.name}{{cciss,{number}}}", (disk.path, "-d", f"cciss,{number}"), True)
        for disk in first.values()
        for number in range(_CCISS_DISKS)
    ]


def _vendor(tree: Tree, disk: Disk) -> str:
    return tree.text(f"sys/block/{disk.name}/device/vendor").upper()


def _host(tree: Tree, disk: Disk) -> str:
    """The number of the SCSI host, of `0:2:1:0` that a disk's device leads to."""
    return tree.target(f"sys/block/{disk.name}/device").partition(":")[0]


def _ask_all(questions: list[_Question]) -> Iterator[Item]:
    answers: dict[int, list[Item]] = {}
    waiting = list(reversed(list(enumerate(questions))))

    def work() -> None:
        while waiting:
            try:
                number, question = waiting.pop()
            except IndexError:
                return
            answers[number] = _ask(question)

    count = min(len(questions), _AT_ONCE)
    threads = [threading.Thread(target=work, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in sorted(answers):
        yield from answers[number]


def _ask(question: _Question) -> list[Item]:
    from edeploy.node.detect.sources import smartctl

    try:
        text = printed("smartctl", "-j", "-a", *question.arguments)
        if smartctl.is_usage_error(text):
            text = printed("smartctl", "-a", *question.arguments)
    except EdeployError as error:
        return [_silent(question.name, error)]
    complaint = smartctl.complaint(text)
    found = list(smartctl.parse_smartctl(text, question.name))
    if complaint and not found and not question.may_be_none:
        return [Item("probe", f"smart:{question.name}", "error", complaint)]
    return found
