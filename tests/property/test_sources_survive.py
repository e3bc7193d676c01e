"""No output of a program, however odd, makes a parser raise or say what is no item."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edeploy.inventory.items import Item
from edeploy.node.detect.aliases import aliases
from edeploy.node.detect.card_driver import fastest
from edeploy.node.detect.sources import (
    areca,
    conrep,
    cpuinfo,
    ethtool,
    ip_address,
    ipmitool,
    kernel_log,
    lldp,
    lldpctl,
    lldptool,
    lscpu,
    lshw,
    megacli,
    nvme,
    pci_ids,
    sizes,
    smartctl,
    smbios,
    ssacli,
    storcli,
)
from edeploy.node.detect.sources.cpulist import range_list

CAPTURED = Path(__file__).parents[1] / "captured"
SEEDS = sorted(path.read_bytes() for path in CAPTURED.iterdir())

Parse = Callable[[str], Iterable[Item]]
PARSERS: dict[str, Parse] = {
    "areca": lambda text: areca.parse_areca(text, "disk1"),
    "conrep": conrep.parse_conrep,
    "ethtool": lambda text: ethtool.parse_features(text, "eth0"),
    "ipmi lan": ipmitool.parse_lan,
    "ipmi sdr": ipmitool.parse_sdr,
    "kernel log": kernel_log.parse_kernel_log,
    "lldpctl": lldpctl.parse_lldpctl,
    "lldptool": lambda text: lldptool.parse_lldptool(text, "eth0"),
    "lscpu": lscpu.parse_lscpu,
    "lshw": lshw.parse_lshw,
    "megacli adapter": lambda text: megacli.parse_adapter(text, 0),
    "megacli enclosures": lambda text: megacli.parse_enclosures(text, 0),
    "megacli physical": lambda text: megacli.parse_physical(text, 1, 0, set()),
    "megacli logical": lambda text: megacli.parse_logical(text, 0),
    "nvme": lambda text: nvme.parse_nvme(text, "nvme0n1"),
    "smartctl": lambda text: smartctl.parse_smartctl(text, "sda"),
    "ssacli controller": lambda text: ssacli.parse_controller(text, 0),
    "ssacli drives": lambda text: ssacli.parse_drives(text, 0),
    "ssacli details": ssacli.parse_drive_details,
    "ssacli logical": lambda text: ssacli.parse_logical(text, 0),
    "storcli": storcli.parse_storcli,
}
OTHERS: dict[str, Callable[[str], object]] = {
    "addresses": ip_address.parse_addresses,
    "channel": ipmitool.is_network,
    "controllers": ssacli.controllers,
    "cpuinfo": cpuinfo.parse_cpuinfo,
    "complaint": smartctl.complaint,
    "kernel list": range_list,
    "pci.ids": lambda text: pci_ids.pci_names(text.encode(errors="replace"), text[:4], text[4:8]),
    "scan": smartctl.scan,
    "size": sizes.gigabytes,
    "usage": smartctl.is_usage_error,
}

# Words on which parsers turn, so that random text gets past their first look.
WORDS = st.sampled_from(
    [
        "ID# ", "NVMe Log", "SMART Health Status:", "Temperature:", "Enclosure 0:", "    ", "\t",
        "\n", ": ", " : ", "|", "{", "}", "[", "]", '"', ",", "physicaldrive 1I:1:1 (", ")", "TLV",
        "PD Type: ", "Coerced Size: ", "NUMA node0 CPU(s): ", "Socket(s): 99999", "0-4", "-", "0x",
        "[Enclosure#1 :", "ahci 0: flags: ", "<Section name='a'>", "</Section>", "<node id='bank:",
        "9" * 5000, "\0", "\ud800", "é", "Logical Drive: 1\n", "read: 1 2 3 4 5 6 7\n",
    ]
)  # fmt: skip
TEXTS = st.one_of(st.text(), st.lists(st.one_of(WORDS, st.text(max_size=5))).map("".join))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(
                """Controllers|Response Data|PD LIST|VD LIST|Size|EID:Slt|TYPE|State|DG/VD|Basics
                Model|lldp|interface|chassis|id|type|value|port|capability|mgmt-ip|vlan|pvid|lscpu
                field|data|children|critical_warning|temperature|avail_spare|smart_status|passed
                ata_smart_attributes|table|raw|string|name|worst|thresh|when_failed|rotation_rate
                nvme_smart_health_information_log|scsi_error_counter_log|read|devices|smartctl
                messages|severity|ifname|addr_info|scope|local|prefixlen""".replace("\n", "|")
                .replace(" " * 16, "")
                .split("|")
            ),
            inner,
            max_size=6,
        ),
    ),
    max_leaves=30,
)


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """What a program printed, with a piece cut out, doubled or replaced."""
    data = draw(st.sampled_from(SEEDS))[:6000]
    start = draw(st.integers(0, len(data)))
    end = draw(st.integers(start, min(len(data), start + 200)))
    middle = draw(
        st.sampled_from([b"", data[start:end] * 2, b"\xff\0", b"{}", b"[]", b"99", b"\n"])
    )
    return (data[:start] + middle + data[end:]).decode("utf-8", "replace")


def check(items: Iterable[Item]) -> None:
    found = list(items)
    for item in [*found, *aliases(found)]:
        assert isinstance(item, Item)
        assert all(isinstance(field, str) for field in item)
        assert item.type and item.id


@pytest.mark.parametrize("name", PARSERS)
class TestParsers:
    @given(text=TEXTS)
    def test_any_text(self, name: str, text: str) -> None:
        check(PARSERS[name](text))

    @given(text=damaged())
    def test_damaged_output(self, name: str, text: str) -> None:
        check(PARSERS[name](text))


@pytest.mark.parametrize("name", ["lldpctl", "lscpu", "nvme", "smartctl", "storcli"])
@given(value=JSON)
def test_any_json(name: str, value: object) -> None:
    check(PARSERS[name](json.dumps(value)))
    check(PARSERS[name](json.dumps({"lscpu": value, "lldp": value, "Controllers": value})))


@pytest.mark.parametrize("name", OTHERS)
@given(text=st.one_of(TEXTS, damaged()))
def test_other_readers(name: str, text: str) -> None:
    OTHERS[name](text)


@given(data=st.one_of(st.binary(), st.sampled_from(SEEDS).map(lambda seed: seed[:3000])),
       cut=st.integers(0, 3000), noise=st.binary(max_size=20))  # fmt: skip
def test_bytes_of_firmware_and_network(data: bytes, cut: int, noise: bytes) -> None:
    odd = data[:cut] + noise + data[cut:]
    entries = smbios.structures(odd)
    check(smbios.memory_banks(entries))
    check(smbios.processors(entries))
    neighbour = lldp.parse_frame(odd)
    if neighbour is not None:
        check(neighbour.items("eth0"))
    fastest(odd)


@given(text=st.text(alphabet="[](){}'\",: \n0", max_size=40))
def test_deep_documents_are_no_error(text: str) -> None:
    check(storcli.parse_storcli("[" * 100_000 + text))
