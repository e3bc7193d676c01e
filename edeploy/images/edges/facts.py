"""What an edge changes, in figures and names that an operator wants to know before it is taken."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edeploy.images.changes import Packages
from edeploy.images.manifest import Entry

_KERNEL = re.compile(rb"boot/vmlinuz-([^/]+)\Z")
# Packages whose new version runs only after a boot: everything uses them, or they are process 1.
_NEEDS_BOOT = ("libc6", "glibc", "systemd", "dbus", "dbus-daemon")


@dataclass(frozen=True)
class Files:
    """Numbers of paths, and the bytes of the contents that the old version does not have."""

    added: int
    removed: int
    changed: int
    new_bytes: int


def files(old: list[Entry], new: list[Entry]) -> Files:
    """A path that differs in anything counts as changed."""
    before = {entry.path: entry for entry in old}
    after = {entry.path: entry for entry in new}
    have = {entry.sha256 for entry in old}
    fresh = {entry.sha256: entry.size for entry in new if entry.sha256 not in have}
    return Files(
        added=len(after.keys() - before.keys()),
        removed=len(before.keys() - after.keys()),
        changed=sum(1 for path in before.keys() & after.keys() if before[path] != after[path]),
        new_bytes=sum(fresh.values()),
    )


def reboot(old: list[Entry], new: list[Entry], changes: Packages) -> str:
    """Why the new version needs a boot to run; "" when restarts of services are enough."""
    before, after = _kernels(old), _kernels(new)
    if before != after:
        return f"the kernel {_joined(before)} becomes {_joined(after)}"
    named = [name for name in _NEEDS_BOOT if name.split(":")[0] in changes.changed]
    if named:
        was, is_now = changes.changed[named[0]]
        return f"{named[0]} {was} becomes {is_now}"
    return ""


def _kernels(entries: list[Entry]) -> dict[str, str]:
    found = ((_KERNEL.match(entry.path), entry.sha256) for entry in entries)
    return {match[1].decode(errors="replace"): sha256 for match, sha256 in found if match}


def _joined(kernels: dict[str, str]) -> str:
    return " and ".join(sorted(kernels)) or "(none)"
