"""`lldptool -t -n`: the neighbours that lldpad has heard of."""

from __future__ import annotations

from collections.abc import Iterator

from edeploy.inventory.items import Item

_PLAIN = {
    "System Name": "switch",
    "Chassis ID": "switch_id",
    "Port ID": "port",
    "Port Description": "port_description",
    "Management Address": "address",
}


def parse_lldptool(text: str, link: str) -> Iterator[Item]:
    """Items of type `lldp`: under plain names, and under those of eDeploy's reports, in which each
    name of a block follows those before it: `System Capabilities/System capabilities/…`."""
    plain: list[Item] = []
    old: list[Item] = []
    title = name = last = ""
    for line in text.splitlines():
        words = line.strip()
        if not line.startswith(("\t", " ")):
            title = words[:-4] if words.endswith(" TLV") else words
            name, last = title.replace("/", "_"), ""
            continue
        part, colon, value = (it.strip() for it in words.partition(":"))
        if not title or not words:
            continue
        if colon:
            if part != last:
                name, last = f"{name}/{part.replace('/', '_')}", part
        else:
            value = words
        if value:
            old.append(Item("lldp", link, name, value.replace("/", "_")))
            if title in _PLAIN and (last in ("", "IPv4", "IPv6") or title != "Management Address"):
                plain.append(Item("lldp", link, _PLAIN[title], value))
    yield from plain
    yield from old
