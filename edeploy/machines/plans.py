"""Whether the disks of an agent's plan are disks of its machine."""

from collections.abc import Mapping, Sequence

from edeploy.inventory.items import Report

GIGABYTE = 10**9
STABLE = ("serial", "id", "wwn-id", "scsi-id")
"""Items of a disk that are the same after a boot and in another slot."""

ROUNDING = 1.0
"""Reports give whole gigabytes; probes round up or down."""


def strangers(disks: Sequence[Mapping[str, object]], report: Report) -> list[str]:
    """What is wrong with the plan's disks, a line each; empty when all are in the report.

    A disk is known by its serial, WWN or by-id name; by its path when it has none of them. Its
    size must fit as well.
    """
    return [problem for disk in disks if (problem := _stranger(disk, report)) is not None]


def _stranger(disk: Mapping[str, object], report: Report) -> str | None:
    path = _text(disk, "path")
    names = {_plain(_text(disk, key)) for key in ("serial", "wwn", "by_id")} - {""}
    matches = [name for name, known in _disks(report).items() if _fits(names, path, name, known)]
    if not matches:
        shown = _text(disk, "serial") or _text(disk, "wwn") or _text(disk, "by_id") or path
        return f"{path}: no disk with {shown} is in this machine's report"
    size = disk.get("size")
    if not isinstance(size, int):
        return f"{path}: its size is missing"
    reported = report.value("disk", matches[0], "size")
    try:
        if reported is None or abs(float(reported) - size / GIGABYTE) <= ROUNDING:
            return None
    except ValueError:
        return None
    return f"{path}: {size / GIGABYTE:.1f} GB, but the report says {reported} GB"


def _disks(report: Report) -> dict[str, set[str]]:
    """The names that stay of every reported disk; a disk has several of one kind."""
    found: dict[str, set[str]] = {}
    for item in report.all("disk"):
        names = found.setdefault(item.id, set())
        if item.key in STABLE:
            names.add(_plain(item.value))
    return found


def _fits(names: set[str], path: str, name: str, known: set[str]) -> bool:
    return bool(names & known) if known else path == f"/dev/{name}"


def _text(disk: Mapping[str, object], key: str) -> str:
    value = disk.get(key)
    return value if isinstance(value, str) else ""


def _plain(text: str) -> str:
    return text.rsplit("/", 1)[-1].strip().lower().removeprefix("wwn-")
