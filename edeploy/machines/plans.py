"""Whether the disks of an agent's plan are disks of its machine."""

from collections.abc import Mapping, Sequence

from edeploy.inventory.items import Report

GIGABYTE = 10**9
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
    ids = {_plain(_text(disk, key)) for key in ("serial", "wwn", "by_id")} - {""}
    matches = [name for name, values in _disks(report).items() if _fits(ids, path, name, values)]
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


def _disks(report: Report) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for item in report.all("disk"):
        found.setdefault(item.id, {})[item.key] = item.value
    return {name: values for name, values in found.items() if name != "logical"}


def _fits(ids: set[str], path: str, name: str, values: Mapping[str, str]) -> bool:
    known = {_plain(values[key]) for key in values if key != "size"}
    if ids & known:
        return True
    stable = {"serial", "wwn", "wwn-id", "scsi-id", "id", "by_id", "by-id"} & values.keys()
    return (not ids or not stable) and path.removeprefix("/dev/") == name


def _text(disk: Mapping[str, object], key: str) -> str:
    value = disk.get(key)
    return value if isinstance(value, str) else ""


def _plain(text: str) -> str:
    return text.rsplit("/", 1)[-1].strip().lower()
