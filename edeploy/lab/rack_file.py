"""Reads a rack of virtual machines from its YAML file."""

import re
from collections.abc import Callable
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import yaml

from edeploy.errors import EdeployError
from edeploy.lab import defaults
from edeploy.lab.rack import (
    BmcAccess,
    BootFrom,
    Bus,
    Disk,
    Firmware,
    Machine,
    Network,
    Nic,
    NicModel,
    Rack,
    Smbios,
)
from edeploy.lab.sizes import byte_size, rate
from edeploy.names import BadName, checked
from edeploy.yaml_nodes import BadYaml, Place, list_of, mapping, read_yaml, text

_BMC_USER = re.compile(r"[A-Za-z0-9_.-]{1,15}\Z")
_BMC_PASSWORD = re.compile(r"[!#-~]{1,19}\Z")
_DISK_SERIAL = re.compile(r"[A-Za-z0-9_.-]{1,20}\Z")
_CPU_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,+=-]{0,127}\Z")
_MAC = re.compile(r"[0-9a-f][02468ace](:[0-9a-f]{2}){5}\Z")

T = TypeVar("T")
E = TypeVar("E", bound=Enum)


class BadRack(EdeployError):
    """A rack file with a value that can not be; the message starts with file and line."""


def load_rack(path: Path) -> Rack:
    """The rack in a YAML file. Raises BadRack, BadYaml; the message starts with file and line."""
    root = read_yaml(path)
    if root is None:
        raise BadYaml(f"{path}:1: the file is empty", "docs/reference/lab.md has an example.")
    keys = ("name", "network", "machines")
    fields = _Fields(path, root, keys, required=keys)
    name = fields.read("name", _name("rack"), "")
    network = _network(path, fields.nodes["network"])
    nodes = list_of(path, fields.nodes["machines"])
    if not nodes:
        raise BadRack(f"{Place.of(path, fields.nodes['machines'])}: a rack needs a machine")
    machines = tuple(_machine(path, node, name) for node in nodes)
    _check_different(path, nodes, machines)
    _check_addresses(path, nodes, machines, network)
    return Rack(name, network, machines)


class _Fields:
    """The values of one mapping, each read by a parser whose ValueError gets file and line."""

    def __init__(
        self, path: Path, node: yaml.Node, allowed: tuple[str, ...], required: tuple[str, ...] = ()
    ) -> None:
        self.path = path
        self.nodes = mapping(path, node, allowed, required=required)

    def read(self, key: str, parse: Callable[[str], T], default: T) -> T:
        node = self.nodes.get(key)
        if node is None:
            return default
        try:
            return parse(text(self.path, node))
        except BadName as error:
            raise BadRack(f"{Place.of(self.path, node)}: {error.message}", error.hint) from error
        except ValueError as error:
            raise BadRack(f"{Place.of(self.path, node)}: {key}: {error}") from error


def _network(path: Path, node: yaml.Node) -> Network:
    fields = _Fields(path, node, ("address", "ipv6"), required=("address",))
    address = fields.read("address", IPv4Interface, IPv4Interface("0.0.0.0/0"))
    if address.network.prefixlen > 29:
        place = Place.of(path, fields.nodes["address"])
        raise BadRack(
            f"{place}: address: {address} leaves no room for machines",
            "Give the bridge's address with its prefix, such as 10.77.0.1/24.",
        )
    return Network(address, fields.read("ipv6", IPv6Interface, None))


def _machine(path: Path, node: yaml.Node, rack: str) -> Machine:
    keys = (
        "name", "firmware", "memory", "cpus", "cpu_model", "disks", "nics", "smbios", "bmc", "boot",
    )  # fmt: skip
    fields = _Fields(path, node, keys, required=("name", "firmware", "bmc"))
    name = fields.read("name", _name("machine"), "")
    owner = f"{rack}/{name}"
    return Machine(
        name=name,
        firmware=fields.read("firmware", _one_of(Firmware), Firmware.BIOS),
        memory=fields.read("memory", _memory, defaults.MEMORY),
        cpus=fields.read("cpus", _number(1, 64), defaults.CPUS),
        cpu_model=fields.read(
            "cpu_model", _matching(_CPU_MODEL, "a name of `-cpu help`"), defaults.CPU_MODEL
        ),
        disks=_disks(fields, owner),
        nics=_nics(fields, owner),
        smbios=_smbios(fields, owner),
        bmc=_bmc(fields),
        boot=_boot(fields),
    )


def _disks(fields: _Fields, owner: str) -> tuple[Disk, ...]:
    node = fields.nodes.get("disks")
    found = []
    for number, item in enumerate(list_of(fields.path, node) if node else []):
        disk = _Fields(
            fields.path,
            item,
            ("bus", "size", "serial", "throttle", "iops"),
            required=("bus", "size"),
        )
        found.append(
            Disk(
                bus=disk.read("bus", _one_of(Bus), Bus.VIRTIO),
                size=disk.read("size", _disk_size, 0),
                serial=disk.read(
                    "serial",
                    _matching(_DISK_SERIAL, "letters, digits and _ . - only, 20 at most"),
                    defaults.disk_serial(owner, number),
                ),
                throttle=disk.read("throttle", byte_size, None),
                iops=disk.read("iops", _number(1, 10**7), None),
            )
        )
    return tuple(found)


def _nics(fields: _Fields, owner: str) -> tuple[Nic, ...]:
    node = fields.nodes.get("nics")
    if node is None:
        return (Nic(NicModel.VIRTIO, defaults.mac(owner, 0), None),)
    found = []
    for number, item in enumerate(list_of(fields.path, node)):
        nic = _Fields(fields.path, item, ("model", "mac", "rate"))
        found.append(
            Nic(
                model=nic.read("model", _one_of(NicModel), NicModel.VIRTIO),
                mac=nic.read("mac", _mac, defaults.mac(owner, number)),
                rate=nic.read("rate", rate, None),
            )
        )
    return tuple(found)


def _smbios(fields: _Fields, owner: str) -> Smbios:
    node = fields.nodes.get("smbios")
    keys = ("manufacturer", "product", "version", "serial", "uuid", "sku", "family")
    given = _Fields(fields.path, node or yaml.MappingNode("", []), keys)
    return Smbios(
        manufacturer=given.read("manufacturer", _line, defaults.MANUFACTURER),
        product=given.read("product", _line, defaults.PRODUCT),
        version=given.read("version", _line, ""),
        serial=given.read("serial", _line, defaults.serial(owner)),
        uuid=given.read("uuid", UUID, defaults.uuid(owner)),
        sku=given.read("sku", _line, ""),
        family=given.read("family", _line, ""),
    )


def _bmc(fields: _Fields) -> BmcAccess:
    keys = ("address", "username", "password")
    given = _Fields(fields.path, fields.nodes["bmc"], keys, required=("address",))
    return BmcAccess(
        address=given.read("address", IPv4Address, IPv4Address(0)),
        username=given.read(
            "username",
            _matching(_BMC_USER, "letters, digits and _ . - only, 15 at most"),
            defaults.BMC_USER,
        ),
        password=given.read(
            "password",
            _matching(_BMC_PASSWORD, "1 to 19 printable characters, no space and no quote"),
            None,
        ),
    )


def _boot(fields: _Fields) -> tuple[BootFrom, ...]:
    node = fields.nodes.get("boot")
    if node is None:
        return (BootFrom.NETWORK, BootFrom.DISK)
    order = []
    for item in list_of(fields.path, node):
        try:
            order.append(_one_of(BootFrom)(text(fields.path, item)))
        except ValueError as error:
            raise BadRack(f"{Place.of(fields.path, item)}: boot: {error}") from error
    if not order or len(set(order)) != len(order):
        raise BadRack(f"{Place.of(fields.path, node)}: boot: name each device once: network, disk")
    return tuple(order)


def _check_different(path: Path, nodes: list[yaml.Node], machines: tuple[Machine, ...]) -> None:
    seen: dict[tuple[str, str], str] = {}
    for node, machine in zip(nodes, machines, strict=True):
        marks = [
            ("name", machine.name),
            ("BMC address", str(machine.bmc.address)),
            ("smbios serial", machine.smbios.serial),
            ("smbios uuid", str(machine.smbios.uuid)),
            *(("mac", nic.mac) for nic in machine.nics),
            *(("disk serial", disk.serial) for disk in machine.disks),
        ]
        for mark in marks:
            if mark in seen:
                what, value = mark
                raise BadRack(
                    f"{Place.of(path, node)}: machine {machine.name!r}: "
                    f"{what} {value} is that of {seen[mark]!r} too"
                )
            seen[mark] = machine.name


def _check_addresses(
    path: Path, nodes: list[yaml.Node], machines: tuple[Machine, ...], network: Network
) -> None:
    for node, machine in zip(nodes, machines, strict=True):
        address = machine.bmc.address
        usable = address in network.address.network and address != network.address.ip
        if not usable:
            raise BadRack(
                f"{Place.of(path, node)}: machine {machine.name!r}: BMC address {address} "
                f"is not a free address of {network.address.network}"
            )


def _name(what: str) -> Callable[[str], str]:
    return lambda value: checked(value, what)


def _one_of(kind: type[E]) -> Callable[[str], E]:
    def parse(value: str) -> E:
        try:
            return kind(value)
        except ValueError:
            raise ValueError(
                f"{value!r} is none of {', '.join(item.value for item in kind)}"
            ) from None

    return parse


def _number(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not value.isdecimal() or not low <= int(value) <= high:
            raise ValueError(f"{value!r} is no number from {low} to {high}")
        return int(value)

    return parse


def _matching(pattern: re.Pattern[str], rule: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if not pattern.match(value):
            raise ValueError(f"{value!r}: {rule}")
        return value

    return parse


def _memory(value: str) -> int:
    size = byte_size(value)
    if size < defaults.LEAST_MEMORY or size % 2**20:
        raise ValueError(f"{value!r}: whole mebibytes, 64M at least")
    return size


def _disk_size(value: str) -> int:
    size = byte_size(value)
    if size % 512:
        raise ValueError(f"{value!r}: whole sectors of 512 bytes")
    return size


def _mac(value: str) -> str:
    lower = value.lower()
    if not _MAC.match(lower):
        raise ValueError(f"{value!r} is no address of one card, such as 52:54:00:12:34:56")
    return lower


def _line(value: str) -> str:
    if not value.isprintable() or not value.isascii() or len(value) > 64:
        raise ValueError(f"{value!r}: one line of printable ASCII, 64 characters at most")
    return value
