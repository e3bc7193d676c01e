"""`ip -json address show`: the addresses of links."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from edeploy.node.detect.sources.loose_json import document


def parse_addresses(text: str) -> dict[str, list[tuple[str, str]]]:
    """For each link its addresses as keys and values of items; no link-local ones."""
    found: dict[str, list[tuple[str, str]]] = {}
    for link in document(text).members:
        facts = found.setdefault(link["ifname"].text, [])
        for entry in link["addr_info"].members:
            if entry["scope"].text == "global":
                facts.extend(address_facts(entry["local"].text, entry["prefixlen"].text))
    return found


def address_facts(local: str, prefix: str) -> Iterator[tuple[str, str]]:
    """An address with the length of its network's prefix as keys and values of items."""
    try:
        address = ipaddress.ip_interface(f"{local}/{prefix}")
    except ValueError:
        return
    kind = f"ipv{address.version}"
    yield kind, str(address.ip)
    yield f"{kind}-network", str(address.network.network_address)
    yield f"{kind}-cidr", str(address.network.prefixlen)
    if address.version == 4:
        yield f"{kind}-netmask", str(address.netmask)
