"""Reads the BMC file: which BMC belongs to which machine, and how to log in."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from edeploy import atomic
from edeploy.errors import EdeployError
from edeploy.names import BadName, checked
from edeploy.yaml_nodes import Place, list_of, mapping, read_yaml, text

IPMI_PORT = 623

_KEYS = ("name", "address", "port", "username", "password", "serial", "mac")
_REQUIRED = ("name", "address", "username", "password")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}\Z")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,253}[A-Za-z0-9])?\Z")


class BadBmcFile(EdeployError):
    """The BMC file is readable for others, or has a value that can not be."""


@dataclass(frozen=True)
class Bmc:
    """A BMC and the machine it belongs to, told by its serial or one of its MACs."""

    name: str
    address: str
    port: int
    username: str
    password: str = field(repr=False)
    serial: str | None
    mac: str | None


def load_bmcs(path: Path) -> tuple[Bmc, ...]:
    """All BMCs of the file, which must be 0600 or less: it holds passwords.

    Raises BadBmcFile, BadYaml; their messages start with the file, and the line.
    """
    try:
        mode = path.stat().st_mode & 0o777
    except OSError as error:
        raise BadBmcFile(
            f"{path}: {error.strerror}", "[bmc].file in the settings names it."
        ) from error
    if mode & 0o077:
        raise BadBmcFile(
            f"{path}: mode {mode:04o} lets others read the passwords", f"chmod 600 {path}"
        )
    root = read_yaml(path)
    nodes = list_of(path, root) if root is not None else []
    found = tuple(_bmc(path, node) for node in nodes)
    seen: set[str] = set()
    for node, bmc in zip(nodes, found, strict=True):
        if bmc.name in seen:
            raise BadBmcFile(f"{Place.of(path, node)}: the name {bmc.name!r} is given twice")
        seen.add(bmc.name)
    return found


def write_bmcs(path: Path, bmcs: Sequence[Bmc]) -> None:
    """Write a BMC file, 0600."""
    document = [
        {key: value for key in _KEYS if (value := getattr(bmc, key)) is not None} for bmc in bmcs
    ]
    atomic.write(path, yaml.safe_dump(document, sort_keys=False), mode=0o600)


def find_bmc(bmcs: Sequence[Bmc], name: str) -> Bmc:
    """The BMC of this name. Raises EdeployError listing the names there are."""
    for bmc in bmcs:
        if bmc.name == name:
            return bmc
    names = ", ".join(bmc.name for bmc in bmcs) or "none"
    raise EdeployError(f"no BMC is named {name!r}", f"Names in the BMC file: {names}.")


def _bmc(path: Path, node: yaml.Node) -> Bmc:
    nodes = mapping(path, node, _KEYS, required=_REQUIRED)

    def wrong(key: str, why: str) -> BadBmcFile:
        return BadBmcFile(f"{Place.of(path, nodes[key])}: {key}: {why}")

    values = {key: text(path, value) for key, value in nodes.items()}
    try:
        checked(values["name"], "BMC")
    except BadName as error:
        raise wrong("name", error.message) from error
    if not _is_address(values["address"]):
        raise wrong("address", f"{values['address']!r} is no IP address and no host name")
    port = values.get("port", str(IPMI_PORT))
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise wrong("port", f"{port!r} is no port number")
    mac = values.get("mac", "").lower()
    if mac and not _MAC.match(mac):
        raise wrong("mac", f"{mac!r} is no MAC such as 52:54:00:12:34:56")
    if not mac and not values.get("serial"):
        raise BadBmcFile(
            f"{Place.of(path, node)}: {values['name']}: neither serial nor mac",
            "Give one of them: it tells which machine the BMC belongs to.",
        )
    return Bmc(
        name=values["name"],
        address=values["address"],
        port=int(port),
        username=values["username"],
        password=values["password"],
        serial=values.get("serial") or None,
        mac=mac or None,
    )


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        # A thing of digits and dots only is a mistyped address.
        return bool(_HOST.match(value)) and not re.fullmatch(r"[0-9.]+", value)
    return True
