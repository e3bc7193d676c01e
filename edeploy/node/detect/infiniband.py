"""The probe of InfiniBand cards: what ibstat tells, from the kernel's own files."""

from __future__ import annotations

from collections.abc import Iterator

from edeploy.inventory.items import Item
from edeploy.node.detect import pci
from edeploy.node.detect.tree import Tree

_CARDS = "sys/class/infiniband"


def infiniband(tree: Tree) -> Iterator[Item]:
    """Items of type `infiniband`: ids `card0` and `card0_port1`."""
    for number, name in enumerate(tree.names(_CARDS)):
        for key, value in _card(tree, name):
            if value:
                yield Item("infiniband", f"card{number}", key, value)
        for port in _ports(tree, name):
            for key, value in _port(tree, f"{_CARDS}/{name}/ports/{port}"):
                if value:
                    yield Item("infiniband", f"card{number}_port{port}", key, value)


def _card(tree: Tree, name: str) -> Iterator[tuple[str, str]]:
    folder = f"{_CARDS}/{name}"
    yield "card_type", name
    yield "device_type", tree.text(f"{folder}/hca_type")
    yield "fw_version", tree.text(f"{folder}/fw_ver")
    yield "hw_version", tree.text(f"{folder}/hw_rev").replace("0x", "")
    yield "nb_ports", str(len(_ports(tree, name)))
    yield "sys_guid", _guid(tree.text(f"{folder}/sys_image_guid"))
    yield "node_guid", _guid(tree.text(f"{folder}/node_guid"))
    yield "board_id", tree.text(f"{folder}/board_id")
    device = pci.pci_device(tree, f"{folder}/device")
    if device is not None:
        yield "businfo", f"pci@{device.name}"
        yield from pci.link_facts(tree, device)


def _ports(tree: Tree, name: str) -> list[str]:
    return [port for port in tree.names(f"{_CARDS}/{name}/ports") if port.isdigit()]


def _port(tree: Tree, folder: str) -> Iterator[tuple[str, str]]:
    # `4: ACTIVE` and `5: LinkUp`, which ibstat prints as Active and LinkUp.
    yield "state", _word(tree.text(f"{folder}/state")).capitalize()
    yield "physical_state", _word(tree.text(f"{folder}/phys_state"))
    # `56 Gb/sec (4X FDR)`
    yield "rate", tree.text(f"{folder}/rate").partition(" ")[0]
    yield "link_layer", tree.text(f"{folder}/link_layer")
    for key, file in (("base_lid", "lid"), ("lmc", "lid_mask_count"), ("sm_lid", "sm_lid")):
        yield key, _decimal(tree.text(f"{folder}/{file}"))
    # The first identifier of the port: its network's prefix, then its own number.
    yield "port_guid", _guid(tree.text(f"{folder}/gids/0")[20:])


def _word(text: str) -> str:
    return text.partition(": ")[2]


def _decimal(text: str) -> str:
    try:
        return str(int(text, 0))
    except ValueError:
        return ""


def _guid(text: str) -> str:
    digits = text.replace(":", "").lower()
    return f"0x{digits}" if digits.strip("0") else ""
