"""The configuration of dnsmasq: DHCP, TFTP for the first file, router advertisement."""

import ipaddress
import shutil
from dataclasses import dataclass
from pathlib import Path

from edeploy.boot.ipxe import url_host
from edeploy.boot.templates import render
from edeploy.errors import EdeployError

FIRMWARE = Path("/usr/lib/ipxe")
FILES = ("undionly.kpxe", "snponly.efi")

TFTP_MAX = 1000
"""dnsmasq's own limit of 50 transfers strands the rest of a rack that is powered on at once."""


@dataclass(frozen=True)
class Dhcp:
    """What dnsmasq is to do; `mode` is `dhcp` or `proxy`. Addresses are checked texts."""

    mode: str
    interface: str
    address: str
    port: int
    netmask: str
    range_start: str = ""
    range_end: str = ""
    router: str = ""
    dns: tuple[str, ...] = ()
    lease_minutes: int = 60
    router_advertisement: str = ""


@dataclass(frozen=True)
class Folder:
    """Where dnsmasq's files are; its user owns the folder of the leases."""

    root: Path

    @property
    def config(self) -> Path:
        """Read by dnsmasq at its start."""
        return self.root / "dnsmasq.conf"

    @property
    def tftp(self) -> Path:
        """All that TFTP gives."""
        return self.root / "tftp"

    @property
    def leases(self) -> Path:
        """Who has which address."""
        return self.root / "run" / "leases"


def config(dhcp: Dhcp, folder: Folder) -> str:
    """The whole configuration as text."""
    network = ipaddress.ip_network(f"{dhcp.address}/{dhcp.netmask}", strict=False)
    prefix = dhcp.router_advertisement
    return render(
        "dnsmasq.conf.j2",
        dhcp=dhcp,
        folder=folder,
        network=network.network_address,
        url=f"http://{url_host(dhcp.address)}:{dhcp.port}/boot.ipxe",
        ra=ipaddress.ip_network(prefix) if prefix else None,
        tftp_max=TFTP_MAX,
    )


def copy_firmware(folder: Folder) -> None:
    """Put iPXE where TFTP gives it out. Raises EdeployError when its package is missing."""
    check_firmware()
    folder.tftp.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(FIRMWARE / name, folder.tftp / name)
        (folder.tftp / name).chmod(0o644)


def check_firmware() -> None:
    """Raises EdeployError when a file of iPXE is missing."""
    missing = [name for name in FILES if not (FIRMWARE / name).is_file()]
    if missing:
        raise EdeployError(
            f"{FIRMWARE} has no {' and no '.join(missing)}", "Run: apt-get install ipxe"
        )
