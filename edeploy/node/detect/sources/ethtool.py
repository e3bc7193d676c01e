"""`ethtool -k` and `ethtool -a`: what a network card does by itself, and its flow control."""

from __future__ import annotations

from collections.abc import Iterator

from edeploy.inventory.items import Item


def parse_features(text: str, link: str) -> Iterator[Item]:
    """Items of type `network`: each line by its name, one under another as in
    `tx-checksumming/tx-checksum-ipv4`."""
    above = ""
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        inner = line.startswith(("\t", " "))
        if not inner:
            above = name.strip()
        value = value.strip()
        if colon and value and name.strip() and not name.startswith("Features for"):
            key = f"{above}/{name.strip()}" if inner and above else name.strip()
            yield Item("network", link, key, value)
