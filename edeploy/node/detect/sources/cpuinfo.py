"""The kernel's /proc/cpuinfo."""

from __future__ import annotations


def parse_cpuinfo(text: str) -> dict[int, dict[str, str]]:
    """The records of /proc/cpuinfo by processor number."""
    records: dict[int, dict[str, str]] = {}
    for block in text.split("\n\n"):
        pairs = (line.partition(":") for line in block.splitlines())
        record = {name.strip(): value.strip() for name, _, value in pairs}
        number = record.get("processor", "")
        if number.isascii() and number.isdigit() and len(number) < 9:
            records[int(number)] = record
    return records
