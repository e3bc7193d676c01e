"""A rack of virtual machines: what each is made of."""

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface
from pathlib import Path
from uuid import UUID

IPMI_PORT = 623
DEMO_RACK = Path(__file__).with_name("demo-rack.yaml")


class Firmware(Enum):
    """What the machine starts with: SeaBIOS or OVMF."""

    BIOS = "bios"
    UEFI = "uefi"


class Bus(Enum):
    """How a disk is attached."""

    VIRTIO = "virtio"
    SCSI = "scsi"
    SATA = "sata"
    NVME = "nvme"


class NicModel(Enum):
    """Network cards that both QEMU and the firmware know."""

    VIRTIO = "virtio"
    E1000 = "e1000"
    E1000E = "e1000e"
    RTL8139 = "rtl8139"
    VMXNET3 = "vmxnet3"


class BootFrom(Enum):
    """Kinds of boot device, as in the machine's boot order."""

    NETWORK = "network"
    DISK = "disk"


@dataclass(frozen=True)
class Network:
    """The bridge's own addresses, with the prefix of the network."""

    address: IPv4Interface
    ipv6: IPv6Interface | None


@dataclass(frozen=True)
class Disk:
    """An empty disk. `size` in bytes; `throttle` in bytes and `iops` in requests per second, None:
    as fast as it goes."""

    bus: Bus
    size: int
    serial: str
    throttle: int | None
    iops: int | None


@dataclass(frozen=True)
class Nic:
    """A network card. `rate` in bits per second each way, None: as fast as it goes."""

    model: NicModel
    mac: str
    rate: int | None


@dataclass(frozen=True)
class Smbios:
    """What dmidecode shows in the machine; an empty text is left to QEMU."""

    manufacturer: str
    product: str
    version: str
    serial: str
    uuid: UUID
    sku: str
    family: str


@dataclass(frozen=True)
class BmcAccess:
    """Where the machine's BMC answers. `password` None: `up` makes one."""

    address: IPv4Address
    username: str
    password: str | None


@dataclass(frozen=True)
class Machine:
    """One virtual machine. `memory` in bytes; `boot` is the order of its boot devices.

    `cpu_model` is QEMU's name of what to emulate; under KVM it is the host's own.
    """

    name: str
    firmware: Firmware
    memory: int
    cpus: int
    cpu_model: str
    disks: tuple[Disk, ...]
    nics: tuple[Nic, ...]
    smbios: Smbios
    bmc: BmcAccess
    boot: tuple[BootFrom, ...]


@dataclass(frozen=True)
class Rack:
    """Machines on one network."""

    name: str
    network: Network
    machines: tuple[Machine, ...]
