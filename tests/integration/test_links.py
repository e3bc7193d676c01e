"""Links come up in a network namespace, with a real DHCP server and veth pairs as cables."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from edeploy.run import Done, run

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")

SCRIPT = Path(__file__).parents[2] / "pxe/files/usr/share/udhcpc/default.script"
CLIENT = """
import json, sys
from pathlib import Path
from edeploy.errors import EdeployError
from edeploy.node import cmdline, timeouts
from edeploy.node.links import Links
said = []
timeouts.LINKS = float(sys.argv[4])
links = Links(cmdline.parse(sys.argv[1]), said.append, udev=None, logs=Path(sys.argv[2]),
              dhcp_script=sys.argv[3])
result = error = None
try:
    result = links.wait_for_server()
except EdeployError as problem:
    error = str(problem)
finally:
    links.close()
print(json.dumps({"link": result, "error": error, "said": said}))
"""


class Net:
    """A namespace for the machine and one for the server, and cables between them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.stack = stack
        self.machine = f"edl-m{os.getpid()}"
        self.server = f"edl-s{os.getpid()}"
        for name in (self.machine, self.server):
            run(["ip", "netns", "add", name])
            stack.callback(run, ["ip", "netns", "del", name], check=False)
            self.inside(name, "ip", "link", "set", "lo", "up")
        # Both ends of the server are one machine, but shall be two networks.
        self.inside(self.server, "busybox", "sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1")

    def inside(self, name: str, *words: str) -> Done:
        return run(["ip", "netns", "exec", name, *words])

    def cable(self, card: str, *addresses: str) -> None:
        """A link of the machine, and the server's end of it with its addresses."""
        run(["ip", "link", "add", card, "netns", self.machine, "type", "veth",
             "peer", "name", f"s-{card}", "netns", self.server])  # fmt: skip
        self.inside(self.server, "ip", "link", "set", f"s-{card}", "up")
        for address in addresses:
            self.inside(self.server, "ip", "address", "add", address, "dev", f"s-{card}", "nodad")

    def dhcp(self, card: str, start: str, end: str, *options: str) -> None:
        self._spawn(
            "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--no-ping",
            "--bind-interfaces", f"--interface={card}", f"--dhcp-range={start},{end},1h",
            f"--dhcp-leasefile={self.folder}/leases.{card}", "--log-facility=-",
            f"--pid-file={self.folder}/{card}.pid", *options,
        )  # fmt: skip

    def http(self, address: str) -> None:
        child = self._spawn(
            sys.executable, "-u", "-c",
            "import socket, sys\n"
            "server = socket.create_server((sys.argv[1], 8080),\n"
            "    family=socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET)\n"
            "print('ready')\n"
            "while True: server.accept()[0].close()\n",
            address,
        )  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"

    def _spawn(self, *words: str) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            ["ip", "netns", "exec", self.server, *words],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.stack.callback(child.wait)
        self.stack.callback(child.kill)
        return child

    def come_up(self, arguments: str, patience: float = 30) -> dict[str, object]:
        done = self.inside(
            self.machine, sys.executable, "-c", CLIENT, arguments, str(self.folder), str(SCRIPT),
            str(patience),
        )  # fmt: skip
        answer: dict[str, object] = json.loads(done.out.splitlines()[-1])
        return answer

    def addresses(self, card: str) -> list[str]:
        out = self.inside(self.machine, "ip", "-json", "address", "show", "dev", card).out
        return [
            f"{item['local']}/{item['prefixlen']}"
            for item in json.loads(out)[0]["addr_info"]
            if item["scope"] == "global"
        ]


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    with ExitStack() as stack:
        yield Net(tmp_path, stack)


def test_all_links_ask_and_the_one_with_the_server_wins(net: Net) -> None:
    net.cable("eth0", "10.91.0.1/24")
    net.cable("eth1", "10.92.0.1/24")
    net.cable("eth2")
    no_router = "--dhcp-option=option:router"
    net.dhcp("s-eth0", "10.91.0.50", "10.91.0.60", no_router)
    net.dhcp("s-eth1", "10.92.0.50", "10.92.0.60")
    net.http("10.92.0.1")
    answer = net.come_up("SERV=10.92.0.1")
    assert answer["link"] == "eth1", answer
    [address] = net.addresses("eth1")
    assert address.startswith("10.92.0.") and address.endswith("/24")


def test_a_static_address_on_a_vlan(net: Net) -> None:
    net.cable("eth0")
    tagged = ["ip", "link", "add", "link", "s-eth0", "name", "v7", "type", "vlan", "id", "7"]
    done = run(["ip", "netns", "exec", net.server, *tagged], check=False)
    if "Unknown device type" in done.err:
        pytest.skip("this kernel has no VLANs")
    net.inside(net.server, "ip", "link", "set", "v7", "up")
    net.inside(net.server, "ip", "address", "add", "10.93.0.1/24", "dev", "v7")
    net.http("10.93.0.1")
    answer = net.come_up("SERV=10.93.0.1 IP=eth0:10.93.0.9/24@7")
    assert answer["link"] == "eth0.7", answer
    assert net.addresses("eth0.7") == ["10.93.0.9/24"]


def test_a_static_address_of_ipv6(net: Net) -> None:
    net.cable("eth0", "fd00:91::1/64")
    net.http("fd00:91::1")
    answer = net.come_up("SERV=fd00:91::1 IP=all:fd00:91::9/64")
    assert answer["link"] == "eth0", answer
    assert net.addresses("eth0") == ["fd00:91::9/64"]


def test_a_link_is_left_alone_when_told_so(net: Net) -> None:
    net.cable("eth0", "10.94.0.1/24")
    net.cable("eth1", "10.95.0.1/24")
    net.dhcp("s-eth0", "10.94.0.50", "10.94.0.60")
    net.dhcp("s-eth1", "10.95.0.50", "10.95.0.60")
    net.http("10.95.0.1")
    answer = net.come_up("SERV=10.95.0.1 IP=eth0:none,other:dhcp")
    assert answer["link"] == "eth1", answer
    assert net.addresses("eth0") == []
    state = net.inside(net.machine, "cat", "/sys/class/net/eth0/operstate").out
    assert state.strip() == "down"


def test_a_network_without_an_answer_is_explained_link_by_link(net: Net) -> None:
    net.cable("eth0")
    net.cable("eth1")
    net.inside(net.server, "ip", "link", "set", "s-eth0", "down")
    answer = net.come_up("SERV=10.96.0.1", patience=1)
    assert answer["link"] is None
    error = str(answer["error"])
    assert "eth0: no carrier" in error
    assert "eth1: no answer from a DHCP server" in error


def no_cards(net: Net) -> None:
    pass


def no_server(net: Net) -> None:
    net.cable("eth0")


@pytest.mark.parametrize(
    ("prepare", "arguments", "said"),
    [
        (no_cards, "SERV=10.0.0.1", "no network card was found"),
        (no_server, "quiet", "SERV is missing"),
    ],
)
def test_what_can_never_work_is_told(
    net: Net, prepare: Callable[[Net], None], arguments: str, said: str
) -> None:
    prepare(net)
    assert said in str(net.come_up(arguments, patience=0.2)["error"])
