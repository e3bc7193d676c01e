"""What makers leave where something unique belongs: known junk in serials, UUIDs, MACs, disks."""

from __future__ import annotations

import re

_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\Z")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\Z")
_PLAIN = re.compile(r"[^0-9a-z]")

# Seen in the field; compared by letters and digits alone, in lower case.
_WORDS = frozenset(
    """none null nil na unknown unknow unset undefined invalid empty test string default
    defaultstring notspecified notavailable notapplicable notprovided notset tobefilledbyoem
    tobefilled filledbyoem tobefilledbyom oem oemserial systemserialnumber systemserialnumb
    serialnumber serialno serial chassisserialnumber baseboardserialnumber boardserialnumber
    type2boardserialnumber assetserialnumber sernum0 sernum eval iatpass fefefefe ffffffff
    deadbeef""".split()
)
# Words before a made-up number: SYS-1234567890, MB-1234567890, SN-12345.
_MADE_UP = re.compile(r"(?:sys|sn|mb|bss|css|b|serial|no)?(\d{5,})\Z")
_COUNTING = ("0123456789" * 4, "9876543210" * 4, "0123456789abcdef" * 2, "123456789abcdef")

_UUIDS = frozenset(
    {
        "03000200-0400-0500-0006-000700080009",  # AMI's example, left in by many boards
        "00020003-0004-0005-0006-000700080009",  # the same in the other byte order
        "12345678-1234-5678-90ab-cddeefaabbcc",
        "12345678-1234-1234-1234-123456789abc",
        "6ab5b300-538d-1014-9fb5-b0684d007b53",
        "8a95d198-7f46-11e5-bf8b-08002704d48e",  # every early LX2160A board
    }
)
# What QEMU calls disks that were given no serial number.
_QEMU_DISK = re.compile(r"qm0000\d+\Z|(?:0qemu_)?(?:qemu_harddisk_)?drive-")
_WWN_FORM = re.compile(r"(?:wwn-)?(?:0x|naa\.|eui\.|uuid\.|t10\.)?")


def serial(text: str | None) -> str | None:
    """The serial number as a mark: lower case, no blanks; None when it tells nothing."""
    squeezed = re.sub(r"\s", "", text or "").lower()
    plain = _PLAIN.sub("", squeezed)
    if len(set(plain)) < 2 or plain in _WORDS or _counts(plain):
        return None
    return squeezed


def uuid(text: str | None) -> str | None:
    """The SMBIOS UUID in lower case; None when it is no UUID or known junk."""
    found = (text or "").strip().lower()
    if not _UUID.match(found) or found in _UUIDS:
        return None
    return found if len(set(found)) > 3 else None  # with the hyphen: 0000…, ffff…, fefe…


def mac(text: str | None) -> str | None:
    """The MAC in lower case; None when it is none, a group's, or all zeros."""
    found = (text or "").strip().lower()
    if not _MAC.match(found) or int(found[1], 16) & 1 or found == "00:00:00:00:00:00":
        return None
    return found


def made_up(address: str) -> bool:
    """Whether a MAC is locally administered: no maker's, so of a virtual machine, or of chance."""
    return bool(int(address[1], 16) & 2)


def wwn(text: str | None) -> str | None:
    """The World Wide Name of a disk as a mark: `wwn-0x5000…`, `naa.5000…` → `5000…`."""
    found = _WWN_FORM.sub("", (text or "").strip().lower(), count=1)
    digits = _PLAIN.sub("", found)
    return found if len(digits) >= 8 and len(set(digits)) > 2 else None


def disk_serial(text: str | None) -> str | None:
    """The serial number of a disk as a mark; None when it tells nothing."""
    found = serial(text)
    return None if found is None or _QEMU_DISK.match(found) else found


def _counts(plain: str) -> bool:
    """Whether somebody ran a finger along the keys: 0123456789, SYS-1234567890, 123456789abc."""
    number = _MADE_UP.match(plain)
    tail = number[1] if number else plain
    return len(tail) >= 5 and any(tail in run for run in _COUNTING)
