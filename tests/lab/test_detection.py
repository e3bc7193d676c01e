"""What a machine of the lab finds out about itself, and about the switch that it hangs on."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from racks import machine, power

from edeploy.images.store import Store
from edeploy.inventory.items import Item, Report
from edeploy.lab.box import Box, Wishes, box
from edeploy.lab.network import tap_name
from edeploy.lab.rack import DEMO_RACK

FRAME = Path(__file__).parents[1] / "captured/lldp-frame.bin"
PATIENCE = 300.0
# The lab's bridge says nothing of itself: this speaks for it at one port.
SWITCH = """
import socket, sys, threading
port = sys.argv[1]
voice = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x88cc))
frame = open(sys.argv[2], 'rb').read()
while True:
    try:
        voice.sendto(frame, (port, 0x88cc, 0, 0, bytes.fromhex('0180c200000e')))
    except OSError:
        pass
    threading.Event().wait(1)
"""


@pytest.fixture
def one_machine(tmp_path: Path) -> Path:
    rack = yaml.safe_load(DEMO_RACK.read_text())
    rack["name"] = "detection"
    rack["machines"] = [item for item in rack["machines"] if item["name"] == "bios-1"]
    path = tmp_path / "rack.yaml"
    path.write_text(yaml.safe_dump(rack))
    return path


@pytest.fixture
def too_much(profiles: Path) -> Path:
    """Profiles that no machine of the lab is good enough for: it reports, and waits."""
    specs = profiles / "lab-web.specs"
    specs.write_text(specs.read_text().replace("gt(3)", "gt(3000)"))
    return profiles


def report(rack: Box) -> Report | None:
    """The machine's last report."""
    known = machine(rack, "bios-1")
    rows = known["report"] if known else None
    return Report(tuple(Item(*row) for row in rows)) if isinstance(rows, list) else None


def test_a_machine_knows_itself_and_its_switch(
    store: Store, one_machine: Path, too_much: Path, place: Path
) -> None:
    with box(one_machine, Wishes(store.root, too_much, place / "detection")) as rack:
        speaker = subprocess.Popen(
            rack.lab.inside([sys.executable, "-c", SWITCH, tap_name(0, 0), str(FRAME)])
        )
        try:
            power(rack, "bios-1", "on")
            deadline = time.monotonic() + PATIENCE
            found = report(rack)
            while found is None or not found.all("lldp"):
                assert time.monotonic() < deadline, found
                time.sleep(0.2)
                found = report(rack)
        finally:
            speaker.kill()
            speaker.wait()
    assert found.all("probe") == []
    assert found.value("system", "product", "serial") == "EDLBIOS1"
    assert found.value("system", "boot", "firmware") == "bios"
    assert found.value("memory", "total", "size") == str(2 << 30)
    assert found.value("memory", "banks", "count") == "1"
    assert found.value("cpu", "logical", "number") == "2"
    assert found.value("disk", "vda", "serial") == "EDL0001"
    assert found.value("disk", "vda", "size") == "8"
    link = next(item.id for item in found.all("network", key="serial"))
    assert found.value("network", link, "serial") == "52:54:00:ed:00:01"
    assert found.value("network", link, "driver") == "virtio_net"
    assert found.value("network", link, "link") == "yes"
    assert found.value("network", link, "rx-checksumming")
    assert found.value("lldp", link, "switch") == "vm"
    assert found.value("lldp", link, "port_description") == "va"
