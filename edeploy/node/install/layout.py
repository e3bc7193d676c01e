"""From a wish and a disk's facts to a plan: what will be written where. Pure, but for new UUIDs."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from edeploy.errors import EdeployError
from edeploy.node.detect.disks import Disk

MIB = 1 << 20
GIB = 1 << 30
SMALLEST_ROOT = 256 * MIB
ESP_SIZE = 256 * MIB
LARGEST_PARTITION_LABEL = {"ext4": 16, "xfs": 12}

BIOS_BOOT = "21686148-6449-6E6F-744E-656564454649"
ESP = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
SWAP = "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F"
LINUX_ROOT = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"  # root of x86-64

_SIZE = re.compile(r"(\d+)([MGT])(?:i?B)?\Z")
_UNITS = {"M": MIB, "G": GIB, "T": 1 << 40}
_LABEL = re.compile(r"[A-Za-z0-9_-]*\Z")


class BadLayout(EdeployError):
    """A wish that makes no sense, or does not fit the disk."""


@dataclass(frozen=True)
class Wish:
    """What layout() was asked for; sizes as text such as `512M`, `root` also `rest`."""

    disk: str
    filesystem: str = "ext4"
    swap: str | None = None
    root: str = "rest"
    label: str = "root"

    def __post_init__(self) -> None:
        """Raises BadLayout at once, so that the script's line is known."""
        if self.filesystem not in _MAKE:
            raise BadLayout(
                f"layout: filesystem={self.filesystem!r}", f"Known are {', '.join(sorted(_MAKE))}."
            )
        longest = LARGEST_PARTITION_LABEL[self.filesystem]
        if not _LABEL.match(self.label) or len(self.label) > longest:
            raise BadLayout(
                f"layout: label={self.label!r}",
                f"Use at most {longest} letters, digits, _ and - with {self.filesystem}.",
            )
        if self.root != "rest":
            size_of(self.root)
        if self.swap is not None:
            size_of(self.swap)


@dataclass(frozen=True)
class Partition:
    """One partition: `start` and `size` in bytes; `format` is what is made in it (`none`,
    `vfat`, `swap`, `ext4`, `xfs`), `uuid` that of the format, `point` where it is mounted, `id`
    the partition's own UUID in the table."""

    number: int
    name: str
    kind: str
    start: int
    size: int
    format: str
    uuid: str
    id: str
    point: str = ""

    def device(self, disk: str) -> str:
        """Its path, by the kernel's rule: `p` after a name that ends in a digit."""
        return f"{disk}p{self.number}" if disk[-1].isdigit() else f"{disk}{self.number}"


@dataclass(frozen=True)
class Step:
    """One program to run; `stdin` is what it reads."""

    argv: tuple[str, ...]
    stdin: str = ""


@dataclass(frozen=True)
class Plan:
    """What will be written to one disk, which has this fingerprint now; `id` is the table's."""

    disk: Disk
    fingerprint: str
    partitions: tuple[Partition, ...]
    label: str
    id: str

    def at(self, point: str) -> Partition | None:
        """The partition that is mounted there in the new system."""
        return next((part for part in self.partitions if part.point == point), None)

    def text(self) -> list[str]:
        """The plan for people, a line each."""
        head = f"{self.disk.path} ({self.disk.by_id}, {self.disk.size / GIB:.1f} GiB): new GPT"
        return [head, *(_shown(part, self.disk.path) for part in self.partitions)]


def size_of(text: str) -> int:
    """Bytes of `512M`, `2G`, `1T` (powers of 1024). Raises BadLayout."""
    found = _SIZE.match(text.strip())
    if not found or not int(found[1]):
        raise BadLayout(f"layout: {text!r} is no size", "Write it as 512M, 8G or 1T.")
    return int(found[1]) * _UNITS[found[2]]


def make_plan(
    wish: Wish,
    disk: Disk,
    firmwares: Collection[str],
    fingerprint: str,
    new_uuid: Callable[[], str],
) -> Plan:
    """The plan for a GPT that boots with each of `firmwares` (`bios`, `uefi`).

    Partitions begin and end at whole MiB; the first and the last MiB are the table's, and the
    root is the last of them. Raises BadLayout when the wish does not fit.
    """
    parts = _Parts(start=MIB, end=disk.size // MIB * MIB - MIB, new_uuid=new_uuid)
    if "bios" in firmwares:
        parts.add("bios", BIOS_BOOT, MIB, "none")
    if "uefi" in firmwares:
        # FAT32 has a least number of clusters, which with 4 KiB sectors are larger.
        parts.add("efi", ESP, ESP_SIZE * (2 if disk.sector > 512 else 1), "vfat", "/boot/efi")
    if wish.swap is not None:
        parts.add("swap", SWAP, size_of(wish.swap), "swap")
    rest = parts.end - parts.start
    wanted = rest if wish.root == "rest" else size_of(wish.root)
    if wanted < SMALLEST_ROOT or wanted > rest:
        raise BadLayout(
            f"layout: {disk.path} has {disk.size / GIB:.1f} GiB, which leaves {max(rest, 0) // MIB}"
            f" MiB for the root; wanted are {wish.root}, and {SMALLEST_ROOT // MIB} MiB at least",
            "Choose a larger disk, or less swap.",
        )
    parts.add("root", LINUX_ROOT, wanted, wish.filesystem, "/")
    return Plan(disk, fingerprint, tuple(parts.made), wish.label, new_uuid())


class _Parts:
    """Partitions one after the other."""

    def __init__(self, *, start: int, end: int, new_uuid: Callable[[], str]) -> None:
        self.start = start
        self.end = end
        self.made: list[Partition] = []
        self._new_uuid = new_uuid

    def add(self, name: str, kind: str, size: int, made: str, point: str = "") -> None:
        number = len(self.made) + 1
        uuid = "" if made == "none" else self._new_uuid()
        if made == "vfat":
            # A FAT volume has 32 bits, shown as in ABCD-1234.
            uuid = f"{uuid[:4]}-{uuid[4:8]}".upper()
        own = self._new_uuid()
        self.made.append(Partition(number, name, kind, self.start, size, made, uuid, own, point))
        self.start += size


def table_step(plan: Plan) -> Step:
    """The step that writes the partition table and wipes what older ones left."""
    sector = plan.disk.sector
    lines = [
        f"start={part.start // sector}, size={part.size // sector}"
        f', type={part.kind}, uuid={part.id}, name="{part.name}"'
        for part in plan.partitions
    ]
    argv = (
        "sfdisk",
        "--quiet",
        "--wipe", "always",
        "--wipe-partitions", "always",
        plan.disk.path,
    )  # fmt: skip
    head = ["label: gpt", f"label-id: {plan.id}", "unit: sectors", ""]
    return Step(argv, "\n".join([*head, *lines, ""]))


def format_steps(plan: Plan) -> list[Step]:
    """The steps that make file systems and swap, in the order of the partitions."""
    return [
        Step(_MAKE_ANY[part.format](part.device(plan.disk.path), part.uuid, plan.label))
        for part in plan.partitions
        if part.format != "none"
    ]


def mount_words(plan: Plan, root: Path) -> Sequence[str]:
    """The words of mount(8) for the new root at `root`, for as long as it is installed."""
    part = plan.at("/")
    if part is None:
        raise BadLayout("the plan has no root")
    # The tables that mkfs left for later are written by the installed system, not meanwhile.
    options = "noatime,noinit_itable" if part.format == "ext4" else "noatime"
    return ("mount", "-t", part.format, "-o", options, part.device(plan.disk.path), str(root))


def fstab(plan: Plan) -> str:
    """The lines of /etc/fstab for the plan."""
    lines = []
    for part in plan.partitions:
        line = _FSTAB.get(part.format)
        if line is not None:
            lines.append(line.format(uuid=part.uuid))
    return "".join(f"{line}\n" for line in lines)


_FSTAB = {
    "ext4": "UUID={uuid} / ext4 errors=remount-ro 0 1",
    "xfs": "UUID={uuid} / xfs defaults 0 0",
    "swap": "UUID={uuid} none swap sw 0 0",
    # nofail: the firmware needs it, the system runs without.
    "vfat": "UUID={uuid} /boot/efi vfat umask=0077,nofail 0 0",
}


def _make_ext4(device: str, uuid: str, label: str) -> tuple[str, ...]:
    # Tables are left to the installed kernel, unused blocks to its fstrim.timer. The two features
    # are younger than the GRUB and kernel that an image may have.
    return (
        "mkfs.ext4",
        "-q", "-F",
        "-L", label,
        "-U", uuid,
        # What hashes the names in folders: as good a number as any, and no other for the same UUID.
        "-E", f"lazy_itable_init=1,lazy_journal_init=1,nodiscard,hash_seed={uuid}",
        "-O", "^metadata_csum_seed,^orphan_file",
        device,
    )  # fmt: skip


def _make_xfs(device: str, uuid: str, label: str) -> tuple[str, ...]:
    # Large extent counters are younger than the GRUB of Debian 12.
    return (
        "mkfs.xfs",
        "-q", "-f", "-K",
        "-L", label,
        "-m", f"uuid={uuid}",
        "-i", "nrext64=0",
        device,
    )  # fmt: skip


def _make_swap(device: str, uuid: str, _label: str) -> tuple[str, ...]:
    return ("mkswap", "-U", uuid, device)


def _make_vfat(device: str, uuid: str, _label: str) -> tuple[str, ...]:
    return ("mkfs.vfat", "-F", "32", "-n", "EFI", "-i", uuid.replace("-", ""), device)


_MAKE = {"ext4": _make_ext4, "xfs": _make_xfs}
_MAKE_ANY = {**_MAKE, "swap": _make_swap, "vfat": _make_vfat}


def _shown(part: Partition, disk: str) -> str:
    what = {"none": "for the boot loader"}.get(part.format, part.format)
    where = f" on {part.point}" if part.point else ""
    return f"{part.device(disk)}: {part.size / MIB:.0f} MiB {part.name}, {what}{where}"
