"""`nvme smart-log -o json`: the health of an NVMe disk, where smartctl is not there."""

from __future__ import annotations

from collections.abc import Iterator

from edeploy.inventory.items import Item
from edeploy.node.detect.sources.loose_json import document

_KELVIN = 273
# The names of one version or another.
_FIELDS = (
    ("available_spare", ("avail_spare",)),
    ("available_spare_threshold", ("spare_thresh",)),
    ("percentage_used", ("percent_used", "percentage_used")),
    ("power_cycles", ("power_cycles",)),
    ("power_on_hours", ("power_on_hours",)),
    ("unsafe_shutdowns", ("unsafe_shutdowns",)),
    ("media_data_integrity_errors", ("media_errors",)),
    ("error_information_log_entries", ("num_err_log_entries",)),
)


def parse_nvme(text: str, disk: str) -> Iterator[Item]:
    """Items of type `disk`, keys `SMART/…`, named as by smartctl."""
    log = document(text)
    warning = log["critical_warning"].whole
    if warning is None:
        # Newer versions: an object with the bits apart.
        warning = log["critical_warning"]["value"].whole
    if warning is not None:
        yield Item("disk", disk, "SMART/health", "FAILED" if warning else "OK")
        yield Item("disk", disk, "SMART/critical_warning", f"0x{warning:02x}")
    for key, names in _FIELDS:
        value = next((log[name].text for name in names if log[name].text), "")
        if value:
            yield Item("disk", disk, f"SMART/{key}", value)
    kelvin = log["temperature"].whole
    if kelvin is not None:
        yield Item("disk", disk, "SMART/temperature", str(kelvin - _KELVIN))
        yield Item("disk", disk, "SMART/temperature_unit", "Celsius")
