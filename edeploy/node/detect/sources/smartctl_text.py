"""What `smartctl -a` prints for people: versions before 7.0 have no JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator

_ATA = (
    ("Device Model:", "device_model"),
    ("Serial Number:", "serial_number"),
    ("Firmware Version:", "firmware_version"),
    ("Rotation Rate:", "rotation_rate"),
)
_NVME = (
    ("Model Number:", "model_number"),
    ("Serial Number:", "serial_number"),
    ("Firmware Version:", "firmware_version"),
    ("Total NVM Capacity:", "total_nvm_capacity"),
    ("Warning  Comp. Temp. Threshold:", "warning_temp_threshold"),
    ("Critical Comp. Temp. Threshold:", "critical_temp_threshold"),
    ("Critical Warning:", "critical_warning"),
    ("Temperature:", "temperature"),
    ("Available Spare:", "available_spare"),
    ("Available Spare Threshold:", "available_spare_threshold"),
    ("Percentage Used:", "percentage_used"),
    ("Power Cycles:", "power_cycles"),
    ("Power On Hours:", "power_on_hours"),
    ("Unsafe Shutdowns:", "unsafe_shutdowns"),
    ("Media and Data Integrity Errors:", "media_data_integrity_errors"),
    ("Error Information Log Entries:", "error_information_log_entries"),
)
_SCSI = (
    ("Vendor:", "vendor"),
    ("Product:", "product"),
    ("Serial number:", "serial_number"),
    ("Rotation Rate:", "rotation_rate"),
    ("Current Drive Temperature:", "current_drive_temperature"),
    ("Drive Trip Temperature:", "drive_trip_temperature"),
    ("Manufactured in", "manufacture_date"),
    (
        "Specified cycle count over device lifetime:",
        "specified_start_stop_cycle_count_over_lifetime",
    ),
    ("Accumulated start-stop cycles:", "start_stop_cycle_count"),
    ("Specified load-unload count over device lifetime:", "specified_load_count_over_lifetime"),
    ("Accumulated load-unload cycles:", "load_count"),
    ("Elements in grown defect list:", "grown_defects"),
    ("Blocks sent to initiator =", "blocks_sent"),
    ("Blocks received from initiator =", "blocks_received"),
    ("Blocks read from cache and sent to initiator =", "blocks_read_from_cache"),
    ("number of hours powered up =", "power_on_hours"),
    ("Non-medium error count:", "non_medium_errors_count"),
)
# Percent in JSON is a number alone.
_NUMBERS = frozenset({"available_spare", "available_spare_threshold", "percentage_used"})
_VERDICT = re.compile(
    r"^(?:SMART overall-health self-assessment test result|SMART Health Status): *(.+?) *$",
    re.MULTILINE,
)
# ID, name, flag, value, worst, threshold, type, updated, when failed, raw
_ATTRIBUTE = re.compile(
    r"^ *(\d+) +(\S+) +\S+ +(\S+) +(\S+) +(\S+) +\S+ +\S+ +(\S+) +(\S.*?) *$", re.MULTILINE
)
_ERRORS = re.compile(r"^(read|write|verify):((?: +[0-9.]+){7}) *$", re.MULTILINE)


def facts(text: str) -> Iterator[tuple[str, str]]:
    """Names and values, named as by `smartctl.parse_smartctl`."""
    if re.search(r"^ID#", text, re.MULTILINE):
        yield from _fields(text, _ATA)
        yield from _health(text)
        yield from _attributes(text)
    elif "NVMe Log" in text:
        yield from _fields(text, _NVME)
        yield from _health(text)
    elif "SMART Health Status:" in text:
        yield from _fields(text, _SCSI)
        yield from _health(text)
        yield from _error_counts(text)


def _fields(text: str, names: tuple[tuple[str, str], ...]) -> Iterator[tuple[str, str]]:
    for words, key in names:
        found = re.search(rf"^ *{re.escape(words)} *(.*?) *$", text, re.MULTILINE)
        value = found[1] if found else ""
        if "temperature" in key and " " in value:
            value, unit = value.split()[:2]
            yield f"{key}_unit", unit
        if key in _NUMBERS:
            value = value.rstrip("%")
        yield key, value


def _health(text: str) -> Iterator[tuple[str, str]]:
    found = _VERDICT.search(text)
    if found:
        verdict = found[1].rstrip("!")
        yield "health", {"PASSED": "OK"}.get(verdict, verdict)


def _attributes(text: str) -> Iterator[tuple[str, str]]:
    table = re.split(r"^ID#.*$", text, maxsplit=1, flags=re.MULTILINE)[1]
    for row in _ATTRIBUTE.findall(table.strip("\r\n").split("\n\n")[0]):
        name = f"{row[1]}({row[0]})"
        for key, value in zip(("value", "worst", "thresh"), row[2:5]):
            yield f"{name}/{key}", value
        yield f"{name}/when_failed", "NEVER" if row[5] == "-" else row[5]
        yield f"{name}/raw", row[6]


def _error_counts(text: str) -> Iterator[tuple[str, str]]:
    for kind, numbers in _ERRORS.findall(text):
        words = numbers.split()
        yield f"{kind}_total_corrected_errors", words[3]
        yield f"{kind}_gigabytes_processed", words[5]
        yield f"{kind}_total_uncorrected_errors", words[6]
