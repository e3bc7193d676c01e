"""What a machine from a disk has of its own at its first start, as nobody installs it: addresses,
room, keys of its operator."""

from __future__ import annotations

from pathlib import Path

_UNITS = "etc/systemd/system"

# After all that a role may have of its own.
_NETWORK = """\
# Written with this disk: an address from DHCP on each card. Any other file may say otherwise.
[Match]
Type=ether
Kind=!*

[Network]
DHCP=yes
"""
_GROW = """\
[Unit]
Description=Let the last partition and its file system fill the disk
DefaultDependencies=no
After=systemd-remount-fs.service
Before=local-fs.target shutdown.target
Conflicts=shutdown.target
ConditionPathExists=/usr/bin/systemd-repart
ConditionPathExists=/usr/lib/systemd/systemd-growfs

[Service]
Type=oneshot
RemainAfterExit=yes
# At every start: a disk may grow again.
ExecStart=/usr/bin/systemd-repart --dry-run=no --definitions=/etc/edeploy/repart.d
ExecStart=/usr/lib/systemd/systemd-growfs /
"""
_ROOT_PARTITION = """\
# By its type; others stay as they are.
[Partition]
Type=root
"""
# systemd-networkd leaves name servers to systemd-resolved, which a small role does without.
_NAMES_PATH = """\
[Unit]
Description=Look for the name servers that DHCP tells

[Path]
PathChanged=/run/systemd/netif/state

[Install]
WantedBy=multi-user.target
"""
_NAMES = """\
[Unit]
Description=Write the name servers that DHCP told to /etc/resolv.conf
# Once at the start, and at each change: of addresses there are several within a second.
StartLimitIntervalSec=0

[Service]
Type=oneshot
ExecStart=/bin/sh /etc/edeploy/names

[Install]
WantedBy=multi-user.target
"""
_NAMES_SCRIPT = """\
# What DHCP told last; a server that tells none changes nothing.
lines=$(for server in $(sed -n s/^DNS=//p /run/systemd/netif/state); do
    echo "nameserver $server"
done)
[ -z "$lines" ] || echo "$lines" > /etc/resolv.conf
"""


def write_own_files(tree: Path, overlay: Path, *, fstab: str, authorized_keys: str) -> None:
    """Write to `overlay` what is laid over the image's `tree`; `fstab` has lines, and
    `authorized_keys` lines of OpenSSH for root, or nothing. Raises OSError."""
    _put(overlay, "etc/fstab", fstab)
    if authorized_keys:
        _put(overlay, "root/.ssh/authorized_keys", authorized_keys, mode=0o600)
        (overlay / "root").chmod(0o700)
        (overlay / "root/.ssh").chmod(0o700)
    if not (tree / "usr/lib/systemd/systemd").exists():
        return
    _put(overlay, "etc/edeploy/repart.d/50-root.conf", _ROOT_PARTITION)
    _put_unit(overlay, "edeploy-grow.service", _GROW, wanted_by="local-fs.target")
    if not (tree / "usr/lib/systemd/systemd-networkd").exists():
        return
    _put(overlay, "etc/systemd/network/80-edeploy-dhcp.network", _NETWORK)
    names = tree / "etc/resolv.conf"
    resolved = tree / "usr/lib/systemd/systemd-resolved"
    if not (resolved.exists() or names.exists() or names.is_symlink()):
        _put_unit(overlay, "edeploy-names.path", _NAMES_PATH, wanted_by="multi-user.target")
        # What networkd wrote before the first one watches is read by the second.
        _put_unit(overlay, "edeploy-names.service", _NAMES, wanted_by="multi-user.target")
        _put(overlay, "etc/edeploy/names", _NAMES_SCRIPT)


def _put_unit(overlay: Path, name: str, text: str, *, wanted_by: str) -> None:
    _put(overlay, f"{_UNITS}/{name}", text)
    link = overlay / _UNITS / f"{wanted_by}.wants" / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(f"/{_UNITS}/{name}")


def _put(overlay: Path, path: str, text: str, *, mode: int = 0o644) -> None:
    place = overlay / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    place.chmod(mode)
