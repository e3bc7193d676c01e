"""`lldpctl -f json`: the neighbours that lldpd has heard of."""

from __future__ import annotations

from collections.abc import Iterator

from edeploy.inventory.items import Item
from edeploy.node.detect.sources.lldp import Neighbour
from edeploy.node.detect.sources.loose_json import Node, document

_KINDS = {"mac": "MAC", "ifname": "Ifname", "ifalias": "Ifalias", "local": "Local", "ip": "IPv4"}


def parse_lldpctl(text: str) -> Iterator[Item]:
    """Items of type `lldp` for each link with a neighbour."""
    for entry in document(text)["lldp"]["interface"].members:
        for link, about in entry.entries:
            neighbour = _neighbour(about)
            if neighbour.chassis and neighbour.port:
                yield from neighbour.items(link)


def _neighbour(about: Node) -> Neighbour:
    # A switch with a name is an object of that name, one without is the object itself.
    name, chassis = "", about["chassis"]
    if not chassis["id"].entries and len(chassis.entries) == 1:
        name, chassis = chassis.entries[0]
    port, identity = about["port"]["id"], chassis["id"]
    can = [it for it in chassis["capability"].members if it["type"].text]
    vlans = [it for it in about["vlan"].members if it["pvid"].text == "true"]
    return Neighbour(
        chassis_kind=_kind(identity),
        chassis=identity["value"].text,
        port_kind=_kind(port),
        port=port["value"].text,
        seconds=about["port"]["ttl"].text or about["ttl"].text,
        port_text=about["port"]["descr"].text,
        name=name,
        text=chassis["descr"].text,
        can=", ".join(it["type"].text for it in can),
        does=", ".join(it["type"].text for it in can if it["enabled"].text == "true"),
        addresses=tuple(it.text for it in chassis["mgmt-ip"].members if it.text),
        vlan=vlans[0]["vlan-id"].text if vlans else "",
    )


def _kind(identity: Node) -> str:
    kind = identity["type"].text
    return _KINDS.get(kind, kind.title())
