"""The agent hears its neighbours over a cable between two network namespaces."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from edeploy.node.detect.sources.lldp import parse_frame
from edeploy.run import run

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")

FRAME = Path(__file__).parents[1] / "captured/lldp-frame.bin"
# A veth has no device, and a machine's cards are those that have one: so it is told where to look.
AGENT = """
import json, sys, threading
from pathlib import Path
from edeploy.node.listener import Listener
listener = Listener(sys_net=Path(sys.argv[1]))
print('listening', flush=True)
while not listener.items():
    threading.Event().wait(0.02)
print(json.dumps(listener.items()), flush=True)
"""
# Speaks every tenth of a second, as nobody says when the other end has begun to listen.
SWITCH = """
import socket, sys, threading
voice = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x88cc))
voice.bind((sys.argv[1], 0x88cc))
frame = open(sys.argv[2], 'rb').read()
while True:
    voice.sendto(frame, (sys.argv[1], 0x88cc, 0, 0, bytes.fromhex('0180c200000e')))
    threading.Event().wait(0.1)
"""
# Prints the first frame that comes.
EAR = """
import socket, struct, sys
ear = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x88cc))
group = bytes.fromhex('0180c200000e')
index = socket.if_nametoindex(sys.argv[1])
ear.setsockopt(263, 1, struct.pack('iHH8s', index, 0, 6, group))
ear.settimeout(60)
print('ready', flush=True)
print(ear.recv(2048).hex(), flush=True)
"""


class Cable:
    """Two namespaces with a cable, and the folder that stands for the machine's cards."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.stack = stack
        self.machine, self.switch = f"edl-lm{os.getpid()}", f"edl-ls{os.getpid()}"
        for name in (self.machine, self.switch):
            run(["ip", "netns", "add", name])
            stack.callback(run, ["ip", "netns", "del", name], check=False)
        run(["ip", "link", "add", "card", "netns", self.machine, "type", "veth",
             "peer", "name", "port", "netns", self.switch])  # fmt: skip
        run(["ip", "-n", self.machine, "link", "set", "card", "up"])
        run(["ip", "-n", self.switch, "link", "set", "port", "up"])
        about = json.loads(run(["ip", "-n", self.machine, "-json", "link", "show", "card"]).out)[0]
        self.address = about["address"]
        card = folder / "net/card"
        (card / "device").mkdir(parents=True)
        for file, text in (
            ("ifindex", about["ifindex"]), ("address", self.address), ("carrier", 1),
        ):  # fmt: skip
            (card / file).write_text(f"{text}\n")
        self.cards = card.parent

    def spawn(self, namespace: str, code: str, *words: str) -> "subprocess.Popen[str]":
        child = subprocess.Popen(
            ["ip", "netns", "exec", namespace, sys.executable, "-c", code, *words],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.stack.callback(child.wait)
        self.stack.callback(child.kill)
        return child


def line(child: "subprocess.Popen[str]") -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


@pytest.fixture
def cable(tmp_path: Path) -> Iterator[Cable]:
    with ExitStack() as stack:
        yield Cable(tmp_path, stack)


def test_what_a_switch_says_is_heard(cable: Cable) -> None:
    agent = cable.spawn(cable.machine, AGENT, str(cable.cards))
    assert line(agent) == "listening"
    cable.spawn(cable.switch, SWITCH, "port", str(FRAME))
    items = [tuple(row) for row in json.loads(line(agent))]
    assert ("lldp", "card", "switch", "vm") in items
    assert ("lldp", "card", "System Description", "Captured lldpd") in items


def test_a_switch_hears_which_machine_is_there(cable: Cable) -> None:
    ear = cable.spawn(cable.switch, EAR, "port")
    assert line(ear) == "ready"
    cable.spawn(cable.machine, AGENT, str(cable.cards))
    neighbour = parse_frame(bytes.fromhex(line(ear)))
    assert neighbour is not None
    assert (neighbour.chassis, neighbour.port_text) == (cable.address, "card")
    assert neighbour.name == "edeploy"
