"""The firmware files that Debian ships for virtual machines."""

from dataclasses import dataclass
from pathlib import Path

from edeploy.errors import EdeployError

OVMF_CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
OVMF_VARIABLES = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
NIC_ROMS = Path("/usr/lib/ipxe/qemu")
IPXE_KERNEL = Path("/usr/lib/ipxe/ipxe.lkrn")


class FirmwareMissing(EdeployError):
    """A firmware file is not installed."""


@dataclass(frozen=True)
class Ovmf:
    """UEFI: the code, shared and read-only, and the variables that each machine copies."""

    code: Path
    variables: Path


def find_ovmf() -> Ovmf:
    """Raises FirmwareMissing."""
    for path in (OVMF_CODE, OVMF_VARIABLES):
        _need(path, "ovmf")
    return Ovmf(OVMF_CODE, OVMF_VARIABLES)


def check_nic_roms() -> None:
    """QEMU starts without them and then no BIOS machine boots from the network.

    Raises FirmwareMissing.
    """
    _need(NIC_ROMS / "efi-virtio.rom", "ipxe-qemu")


def find_ipxe_kernel() -> Path:
    """iPXE in the shape of a Linux kernel. Raises FirmwareMissing."""
    _need(IPXE_KERNEL, "ipxe")
    return IPXE_KERNEL


def _need(path: Path, package: str) -> None:
    if not path.exists():
        raise FirmwareMissing(f"{path}: not found", f"Install the package {package}.")
