"""Which disks a person allows to be overwritten, and every reason not to do it."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edeploy.errors import EdeployError
from edeploy.node import timeouts
from edeploy.node.detect.disks import Disk, partitions
from edeploy.node.detect.sources.loose_json import Node, document
from edeploy.node.detect.tree import Tree
from edeploy.node.http import BadAnswer
from edeploy.node.install.disk import users
from edeploy.run import run

_SERIAL = re.compile(r"[!-~]([ -~]{0,126}[!-~])?\Z")
_SIGNATURE = re.compile(r"[A-Za-z0-9_.+-]{1,32}\Z")
_MOST_DISKS = 10_000
# GUIDs of the EFI system partition and GRUB's BIOS boot partition; the MBR's type of an ESP.
_BOOT_TYPES = frozenset(
    {
        "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
        "21686148-6449-6E6F-744E-656564454649",
        "EF",
    }
)


class Refused(EdeployError):
    """A disk that is not written to, with all that speaks against it."""


@dataclass(frozen=True)
class Allowed:
    """A disk, by its serial number, and the signatures (wipefs' words, such as `gpt` or `ext4`)
    that may be on it and be lost."""

    serial: str
    signatures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Campaign:
    """What a person wrote for this test: nothing else on earth lets a test write to a disk."""

    disks: tuple[Allowed, ...]

    @classmethod
    def from_answer(cls, value: object) -> Campaign | None:
        """The campaign in a server's order; None for a test that only reads. Raises BadAnswer."""
        if value is None:
            return None
        rows = value.get("disks") if isinstance(value, Mapping) else None
        if not isinstance(rows, list) or not 0 < len(rows) <= _MOST_DISKS:
            raise BadAnswer("the campaign names no disks")
        disks = tuple(map(_allowed, rows))
        if len({disk.serial for disk in disks}) != len(disks):
            raise BadAnswer("the campaign names a disk twice")
        return cls(disks)

    def allowed(self, disk: Disk) -> Allowed | None:
        """What the campaign says of a disk: its serial number must be the very same."""
        return next((one for one in self.disks if one.serial == disk.serial), None)


def _allowed(row: object) -> Allowed:
    if not isinstance(row, Mapping):
        raise BadAnswer("the campaign has a disk that is no object")
    serial, signatures = row.get("serial"), row.get("signatures", [])
    if not isinstance(serial, str) or not _SERIAL.match(serial):
        raise BadAnswer(f"the campaign has the serial number {serial!r}")
    if not isinstance(signatures, list) or not all(
        isinstance(one, str) and _SIGNATURE.match(one) for one in signatures
    ):
        raise BadAnswer(f"the campaign has signatures that are none, for the disk {serial}")
    return Allowed(serial, tuple(signatures))


@contextlib.contextmanager
def held(
    tree: Tree, disk: Disk, campaign: Campaign | None, others: Sequence[Disk]
) -> Iterator[None]:
    """The disk may be overwritten in the block, and belongs to nobody else meanwhile.

    Raises Refused with all that speaks against it. `others` are all disks of the machine.
    """
    _refuse(disk, _reasons(tree, disk, campaign, others))
    try:
        # The kernel gives a disk to one owner only: mounts, swap, RAID and LVM would be in the way.
        handle = os.open(disk.path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
    except OSError as error:
        raise Refused(f"{_named(disk)} is not written to: {error.strerror}") from error
    try:
        # Once more: nothing can take it from here on, and something may have before.
        _refuse(disk, _reasons(tree, disk, campaign, others))
        yield
    finally:
        os.close(handle)


def _refuse(disk: Disk, reasons: Iterator[str]) -> None:
    said = list(dict.fromkeys(reasons))
    if said:
        raise Refused(f"{_named(disk)} is not written to: {'; '.join(said)}")


def _named(disk: Disk) -> str:
    return f"{disk.name} (serial {disk.serial or 'none'})"


def _reasons(
    tree: Tree, disk: Disk, campaign: Campaign | None, others: Sequence[Disk]
) -> Iterator[str]:
    allowed = campaign.allowed(disk) if campaign else None
    if allowed is None or not disk.serial:
        yield "no campaign names its serial number"
        return
    for other in others:
        if other.name != disk.name and other.serial == disk.serial:
            yield f"{other.name} has the same serial number"
        if other.name != disk.name and disk.wwn and other.wwn == disk.wwn:
            yield f"{other.name} is another path to it"
    if tree.number(f"sys/block/{disk.name}/ro"):
        yield "it is read-only"
    yield from users(tree, disk)
    yield from _boot_marks(disk)
    for device, kind in _signatures(tree, disk):
        if kind not in allowed.signatures:
            yield f"{device} has the signature {kind}, which the campaign does not name"


def _signatures(tree: Tree, disk: Disk) -> Iterator[tuple[str, str]]:
    """(device, kind) of all that wipefs knows on the disk and its partitions."""
    for name in (disk.name, *partitions(tree, disk.name)):
        out = _output("wipefs", "--no-act", "--json", f"/dev/{name}")
        for signature in _document(out, "wipefs")["signatures"].members:
            yield f"/dev/{name}", signature["type"].text or "unknown"


def _boot_marks(disk: Disk) -> Iterator[str]:
    """What says that firmware starts a system from this disk."""
    done = run(
        ["sfdisk", "--json", disk.path], timeout=timeouts.PROGRAM, check=False
    )  # fmt: skip
    table = document(done.out)["partitiontable"]
    if done.code != 0 and "does not contain a recognized partition table" not in done.err:
        raise Refused(f"{_named(disk)} is not written to: its partition table can not be read")
    for part in table["partitions"].members:
        attributes = part["attrs"].text
        boots = part["bootable"].value is True or "LegacyBIOSBootable" in attributes
        if boots or part["type"].text.upper() in _BOOT_TYPES:
            yield f"it is a boot disk: {part['node'].text}"


def _output(*argv: str) -> str:
    return run(argv, timeout=timeouts.PROGRAM).out


def _document(text: str, program: str) -> Node:
    """Nothing printed is an empty document; anything else has to be JSON."""
    if not text.strip():
        return Node()
    try:
        return Node(json.loads(text))
    except ValueError as error:
        raise Refused(f"{program} prints no JSON: it is not known what is on the disk") from error
