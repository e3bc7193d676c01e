"""LLDP (IEEE 802.1AB): what the switch at the other end of a cable says of itself."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, replace

from edeploy.inventory.items import Item

_CHASSIS_ID, _PORT_ID, _TTL, _PORT_TEXT, _NAME, _TEXT, _CAPABILITIES, _ADDRESS = range(1, 9)
_PRIVATE = 127
_DOT1_PORT_VLAN = b"\x00\x80\xc2\x01"
_CHASSIS_KINDS = {
    1: "Component", 2: "Ifalias", 3: "Port", 4: "MAC", 5: "Address", 6: "Ifname", 7: "Local",
}  # fmt: skip
_PORT_KINDS = {
    1: "Ifalias", 2: "Component", 3: "MAC", 4: "Address", 5: "Ifname", 6: "Circuit", 7: "Local",
}  # fmt: skip
_CAN = (
    "Other", "Repeater", "Bridge", "WLAN Access Point", "Router", "Telephone",
    "DOCSIS Cable Device", "Station Only",
)  # fmt: skip


@dataclass(frozen=True)
class Neighbour:
    """A switch and the port of it at which a link ends. `can` and `does` are capabilities."""

    chassis_kind: str = ""
    chassis: str = ""
    port_kind: str = ""
    port: str = ""
    seconds: str = ""
    port_text: str = ""
    name: str = ""
    text: str = ""
    can: str = ""
    does: str = ""
    addresses: tuple[str, ...] = ()
    vlan: str = ""

    def items(self, link: str) -> Iterator[Item]:
        """Items of type `lldp`: under plain names, then under those of lldptool, as in eDeploy's
        reports, where `/` parts names and is `_` in values."""
        plain = (
            ("switch", self.name or self.chassis),
            ("switch_id", self.chassis),
            ("port", self.port),
            ("port_description", self.port_text),
            ("vlan", self.vlan),
            *(("address", address) for address in self.addresses),
        )
        for key, value in plain:
            if value:
                yield Item("lldp", link, key, value)
        yield from self._old_items(link)

    def _old_items(self, link: str) -> Iterator[Item]:
        old = (
            (f"Chassis ID/{self.chassis_kind}", self.chassis),
            (f"Port ID/{self.port_kind}", self.port),
            ("Time to Live", self.seconds),
            ("Port Description", self.port_text),
            ("System Name", self.name),
            ("System Description", self.text),
            ("System Capabilities/System capabilities", self.can),
            ("System Capabilities/System capabilities/Enabled capabilities", self.does),
            *(
                (f"Management Address/IPv{6 if ':' in address else 4}", address)
                for address in self.addresses
            ),
            ("Port VLAN ID/PVID", self.vlan),
        )
        for key, value in old:
            if value:
                yield Item("lldp", link, key, value.replace("/", "_"))


def parse_frame(data: bytes) -> Neighbour | None:
    """The neighbour in the payload of a frame; None when it is none, or takes its leave."""
    found = Neighbour()
    place = 0
    while place + 2 <= len(data):
        head = int.from_bytes(data[place : place + 2], "big")
        kind, length = head >> 9, head & 0x1FF
        value = data[place + 2 : place + 2 + length]
        if kind == 0 or len(value) < length:
            break
        found = _with(found, kind, value)
        place += 2 + length
    good = found.chassis and found.port and found.seconds not in ("", "0")
    return found if good else None


def _with(found: Neighbour, kind: int, value: bytes) -> Neighbour:
    if kind == _CHASSIS_ID and len(value) > 1:
        word = _CHASSIS_KINDS.get(value[0], "Other")
        return replace(found, chassis_kind=_kind(word, value), chassis=_id(word, value[1:]))
    if kind == _PORT_ID and len(value) > 1:
        word = _PORT_KINDS.get(value[0], "Other")
        return replace(found, port_kind=_kind(word, value), port=_id(word, value[1:]))
    if kind == _TTL and len(value) >= 2:
        return replace(found, seconds=str(int.from_bytes(value[:2], "big")))
    if kind == _PORT_TEXT:
        return replace(found, port_text=_line(value))
    if kind == _NAME:
        return replace(found, name=_line(value))
    if kind == _TEXT:
        return replace(found, text=_line(value))
    if kind == _CAPABILITIES and len(value) >= 4:
        return replace(found, can=_words(value[:2]), does=_words(value[2:4]))
    if kind == _ADDRESS and value and 1 < value[0] < len(value):
        address = _address(value[1 : 1 + value[0]])
        return replace(found, addresses=(*found.addresses, address) if address else ())
    if kind == _PRIVATE and value[:4] == _DOT1_PORT_VLAN and len(value) >= 6:
        number = int.from_bytes(value[4:6], "big")
        return replace(found, vlan=str(number) if number else "")
    return found


def _kind(word: str, value: bytes) -> str:
    if word == "Address":
        return "IPv6" if value[1] == 2 else "IPv4"
    return word


def _id(word: str, value: bytes) -> str:
    if word == "MAC":
        return ":".join(f"{byte:02x}" for byte in value)
    if word == "Address":
        return _address(value) or value.hex()
    return _line(value)


def _address(value: bytes) -> str:
    """An address of the IANA's family (1: IPv4, 2: IPv6) in the first byte; "" for any other."""
    if (value[:1], len(value)) in ((b"\1", 5), (b"\2", 17)):
        return str(ipaddress.ip_address(value[1:]))
    return ""


def _line(value: bytes) -> str:
    return " ".join(value.decode("utf-8", "replace").replace("\0", " ").split())


def _words(value: bytes) -> str:
    bits = int.from_bytes(value, "big")
    return ", ".join(word for place, word in enumerate(_CAN) if bits >> place & 1)
