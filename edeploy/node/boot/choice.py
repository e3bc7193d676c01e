"""The way of booting that this machine has."""

from __future__ import annotations

from pathlib import Path

from edeploy.node.boot.disk import boot_disk, boot_folder
from edeploy.node.boot.grub_loader import GrubLoader
from edeploy.node.boot.kexec_loader import KexecLoader
from edeploy.node.boot.loader import Loader, NotBootable
from edeploy.node.boot.systemd_boot import SystemdBootLoader, started_by_systemd_boot
from edeploy.node.mounts import mounts
from edeploy.node.upgrade.places import Places

_ESPS = (Path("/efi"), Path("/boot/efi"), Path("/boot"))


def loader_of(places: Places) -> Loader:
    """The loader of the machine whose versions lie in `places`.

    Raises NotBootable when it has none that can go back by itself.
    """
    if started_by_systemd_boot():
        return SystemdBootLoader(places, _esp(), boot_disk(places.root).root)
    boot = boot_folder(places.root)
    if not (boot / "grub").is_dir():
        raise NotBootable(
            f"{boot}/grub is not there: this machine is not started by GRUB",
            "Upgrade it with --live, or install it anew.",
        )
    return grub_loader(places)


def grub_loader(places: Places) -> GrubLoader:
    """GRUB with the kind of trial that its disk allows."""
    disk = boot_disk(places.root)
    if not disk.why:
        return GrubLoader(places, disk)
    return KexecLoader(places, disk)


def _esp() -> Path:
    """Where the ESP is mounted. Raises NotBootable."""
    for point in _ESPS:
        if any(mount.point == point and mount.kind == "vfat" for mount in mounts()):
            return point
    raise NotBootable(
        f"systemd-boot started this machine, but none of {', '.join(map(str, _ESPS))} is its ESP",
        "Mount the ESP at /efi, and add it to /etc/fstab.",
    )
