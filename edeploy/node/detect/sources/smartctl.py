"""`smartctl -j -a`, and the text of versions before 7.0: what a disk says of its health.

Names are those of eDeploy's reports, such as `SMART/Reallocated_Sector_Ct(5)/raw`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from edeploy.inventory.items import Item
from edeploy.node.detect.sources import smartctl_text
from edeploy.node.detect.sources.loose_json import Node, document

_NVME = (
    ("critical_warning", "critical_warning"),
    ("available_spare", "available_spare"),
    ("available_spare_threshold", "available_spare_threshold"),
    ("percentage_used", "percentage_used"),
    ("power_cycles", "power_cycles"),
    ("power_on_hours", "power_on_hours"),
    ("unsafe_shutdowns", "unsafe_shutdowns"),
    ("media_data_integrity_errors", "media_errors"),
    ("error_information_log_entries", "num_err_log_entries"),
)
_SCSI_CYCLES = (
    (
        "specified_start_stop_cycle_count_over_lifetime",
        "specified_cycle_count_over_device_lifetime",
    ),
    ("start_stop_cycle_count", "accumulated_start_stop_cycles"),
    (
        "specified_load_count_over_lifetime",
        "specified_load_unload_count_over_device_lifetime",
    ),
    ("load_count", "accumulated_load_unload_cycles"),
)
_SCSI_ERRORS = (
    ("total_corrected_errors", "total_errors_corrected"),
    ("gigabytes_processed", "gigabytes_processed"),
    ("total_uncorrected_errors", "total_uncorrected_errors"),
)
_FAILED = {"": "NEVER", "now": "FAILING_NOW", "past": "In_the_past"}


def parse_smartctl(text: str, disk: str) -> Iterator[Item]:
    """Items of type `disk`, keys `SMART/…`; none of a disk that has no SMART."""
    facts = _facts(document(text)) if text.lstrip().startswith("{") else smartctl_text.facts(text)
    for key, value in facts:
        if value:
            yield Item("disk", disk, f"SMART/{key}", value)


def scan(text: str) -> list[tuple[str, str]]:
    """The devices that `smartctl --scan -j` lists: name and type, such as `megaraid,8`."""
    found = document(text)["devices"].members
    pairs = [(device["name"].text, device["type"].text) for device in found]
    return [(name, kind) for name, kind in pairs if name and kind]


def complaint(text: str) -> str:
    """The first error that smartctl's JSON has: why it could not open a device; "" for none."""
    for message in document(text)["smartctl"]["messages"].members:
        if message["severity"].text == "error":
            return message["string"].text
    return ""


def _facts(found: Node) -> Iterator[tuple[str, str]]:
    if found["nvme_smart_health_information_log"].entries:
        yield from _identity(found, "model_number")
        yield from _nvme(found)
    elif found["ata_smart_attributes"].entries:
        yield from _identity(found, "device_model")
        yield from _health(found)
        yield from _ata(found)
    elif found["smart_status"].entries:
        yield from _scsi(found)


def _identity(found: Node, model: str) -> Iterator[tuple[str, str]]:
    yield model, found["model_name"].text
    yield "serial_number", found["serial_number"].text
    yield "firmware_version", found["firmware_version"].text
    yield "rotation_rate", _rotation(found)


def _rotation(found: Node) -> str:
    rate = found["rotation_rate"].whole
    if rate is None:
        return ""
    return f"{rate} rpm" if rate else "Solid State Device"


def _health(found: Node) -> Iterator[tuple[str, str]]:
    passed = found["smart_status"]["passed"].value
    if isinstance(passed, bool):
        yield "health", "OK" if passed else "FAILED"


def _ata(found: Node) -> Iterator[tuple[str, str]]:
    for row in found["ata_smart_attributes"]["table"].members:
        name = f"{row['name'].text}({row['id'].text})"
        for key in ("value", "worst", "thresh"):
            number = row[key].whole
            yield f"{name}/{key}", "" if number is None else f"{number:03}"
        failed = row["when_failed"].text
        yield f"{name}/when_failed", _FAILED.get(failed, failed)
        yield f"{name}/raw", row["raw"]["string"].text or row["raw"]["value"].text


def _nvme(found: Node) -> Iterator[tuple[str, str]]:
    log = found["nvme_smart_health_information_log"]
    yield from _health(found)
    yield "total_nvm_capacity", found["nvme_total_capacity"].text
    for key, field in _NVME:
        number = log[field].whole
        if number is not None:
            yield key, f"0x{number:02x}" if key == "critical_warning" else str(number)
    if log["temperature"].whole is not None:
        yield "temperature", log["temperature"].text
        yield "temperature_unit", "Celsius"


def _scsi(found: Node) -> Iterator[tuple[str, str]]:
    yield "vendor", found["scsi_vendor"].text or found["vendor"].text
    yield "product", found["scsi_product"].text or found["product"].text
    yield "serial_number", found["serial_number"].text
    yield "rotation_rate", _rotation(found)
    yield from _health(found)
    for key, field in (("current_drive", "current"), ("drive_trip", "drive_trip")):
        if found["temperature"][field].whole is not None:
            yield f"{key}_temperature", found["temperature"][field].text
            yield f"{key}_temperature_unit", "C"
    cycles = found["scsi_start_stop_cycle_counter"]
    for key, field in _SCSI_CYCLES:
        yield key, cycles[field].text
    yield "power_on_hours", found["power_on_time"]["hours"].text
    yield "grown_defects", found["scsi_grown_defect_list"].text
    for kind in ("read", "write", "verify"):
        for key, field in _SCSI_ERRORS:
            yield f"{kind}_{key}", found["scsi_error_counter_log"][kind][field].text


def is_usage_error(text: str) -> bool:
    """Whether a version before 7.0 said that it does not know `-j`."""
    return re.search(r"UNRECOGNIZED OPTION|invalid option|smartctl 6\.", text) is not None
