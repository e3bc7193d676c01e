"""Real dnsmasq and rsync under the server, in network namespaces of the test's own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from serving import Server, make_profiles, make_store, root

pytestmark = pytest.mark.skipif(not root(), reason="namespaces need root and iproute2")

CLIENT = Path(__file__).with_name("dhcp_client.py")
ADDRESS, PREFIX = "10.91.0.1", "fd77:91::/64"
MAC = "52:54:00:aa:00:01"


class Link:
    """Two namespaces with one cable: the server's end and a machine's end."""

    def __init__(self) -> None:
        self.ours = f"edt{os.getpid()}s"
        self.theirs = f"edt{os.getpid()}c"

    def make(self) -> None:
        for name in (self.ours, self.theirs):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", self.ours, "link", "add", "srv0", "type", "veth", "peer", "name", "cli0",
           "netns", self.theirs)  # fmt: skip
        ip("-n", self.ours, "address", "add", f"{ADDRESS}/24", "dev", "srv0")
        ip("-n", self.ours, "address", "add", "fd77:91::1/64", "dev", "srv0", "nodad")
        ip("-n", self.ours, "link", "set", "srv0", "up")
        ip("-n", self.theirs, "link", "set", "cli0", "up")

    def remove(self) -> None:
        for name in (self.ours, self.theirs):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)

    def machine(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a program at the machine's end."""
        return subprocess.run(
            ["ip", "netns", "exec", self.theirs, *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def firmware(self, arch: int, *more: str, mac: str = MAC) -> dict[str, str]:
        """What DHCP offers to firmware of this architecture."""
        done = self.machine(sys.executable, str(CLIENT), "cli0", mac, str(arch), *more)
        found: dict[str, str] = json.loads(done.stdout)
        return found

    def address(self) -> None:
        """Give the machine's end an address."""
        ip("-n", self.theirs, "address", "replace", "10.91.0.9/24", "dev", "cli0")


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def eventually(seconds: float, true: Callable[[], bool]) -> None:
    """For what the world gives no event of."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.fixture
def link() -> Iterator[Link]:
    made = Link()
    made.remove()
    try:
        made.make()
        yield made
    finally:
        made.remove()


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory, link: Link) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("serve")
    for path in (folder, *folder.parents):
        if path.owner() == "root" and path.name.startswith(("pytest", "popen", "serve")):
            path.chmod(0o755)  # dnsmasq's user must get through
    made = Server(folder, 8080, ADDRESS, ("ip", "netns", "exec", link.ours))
    make_store(folder / "store")
    make_profiles(folder / "profiles")
    settings(made)
    try:
        yield made
    finally:
        if made.process is not None:
            made.kill()


def settings(server: Server, mode: str = "dhcp", **more: str) -> None:
    values = {
        "interface": "srv0",
        "range_start": "10.91.0.100",
        "range_end": "10.91.0.150",
        "router_advertisement": PREFIX,
        **more,
    }
    lines = "".join(f'{key} = "{value}"\n' for key, value in values.items())
    server.config.write_text(
        '[server]\nsocket = "api.sock"\nstate_dir = "state"\n'
        '[store]\npath = "store"\n[profiles]\npath = "profiles"\n[boot]\nkernel = "cloud"\n'
        "[images]\nallow_unsigned = true\n"
        f'[dhcp]\nmode = "{mode}"\n{lines}'
    )


def children(server: Server) -> dict[str, psutil.Process]:
    """The supervised programs by name."""
    assert server.process is not None
    found = {}
    for child in psutil.Process(server.process.pid).children():
        with contextlib.suppress(psutil.Error):  # it just died
            words = child.cmdline()
            if words and words[0] in ("dnsmasq", "rsync"):
                found[words[0]] = child
    return found


def both(server: Server) -> bool:
    return set(children(server)) == {"dnsmasq", "rsync"}


def test_firmware_gets_its_first_file(server: Server, link: Link) -> None:
    server.start()
    bios, efi = link.firmware(0), link.firmware(7)
    assert (bios["file"], bios["next"]) == ("undionly.kpxe", ADDRESS)
    assert efi["file"] == link.firmware(9)["file"] == "snponly.efi"
    url = f"http://{ADDRESS}:8080/boot.ipxe"
    assert link.firmware(0, "ipxe")["file"] == link.firmware(7, "ipxe")["file"] == url
    # ROM and iPXE name themselves differently, and share one address.
    assert bios["address"] == link.firmware(0, "ipxe")["address"]
    assert bios["address"] != link.firmware(0, mac="52:54:00:aa:00:02")["address"]
    assert "3" not in bios and "6" not in bios  # no router, no DNS: this server is neither
    link.address()
    for name in ("undionly.kpxe", "snponly.efi"):
        got = server.folder / name
        link.machine("tftp", "-m", "binary", ADDRESS, "-c", "get", name, str(got))
        assert got.read_bytes() == (Path("/usr/lib/ipxe") / name).read_bytes()
    script = link.machine("curl", "-s", url).stdout
    assert script.startswith("#!ipxe\n") and f"http://{ADDRESS}:8080/boot/script?mac=" in script


def test_router_advertisement_gives_a_prefix_and_no_way_out(server: Server, link: Link) -> None:
    server.start()

    def has_prefix() -> bool:
        return "fd77:91::" in link.machine("ip", "-6", "address", "show", "dev", "cli0").stdout

    ip("-n", link.theirs, "link", "set", "cli0", "down")
    ip("-n", link.theirs, "link", "set", "cli0", "up")
    eventually(30, has_prefix)
    assert "default" not in link.machine("ip", "-6", "route").stdout


def test_proxy_offers_no_address(server: Server, link: Link) -> None:
    settings(server, "proxy")
    server.start()
    assert link.firmware(0)["address"] == "0.0.0.0"
    assert link.firmware(0, "ipxe")["file"] == f"http://{ADDRESS}:8080/boot.ipxe"
    assert link.firmware(7, "ipxe")["file"] == f"http://{ADDRESS}:8080/boot.ipxe"
    link.address()
    assert link.firmware(0, "10.91.0.9")["file"] == "undionly.kpxe"
    for efi in (7, 9):
        assert link.firmware(efi, "10.91.0.9")["file"] == "snponly.efi"


def test_rsync_gives_whole_trees_and_takes_nothing(server: Server, link: Link) -> None:
    server.start()
    eventually(10, lambda: both(server))
    link.address()
    source = f"rsync://{ADDRESS}/install/1.0/web/"
    target = server.folder / "got"
    got = link.machine("rsync", "-aHAX", "--numeric-ids", source, f"{target}/")
    assert got.returncode == 0, got.stderr
    assert (target / "etc" / "shadow").stat().st_mode & 0o777 == 0o600
    for words in (["--delete", f"{target}/", source], [str(CLIENT), source]):
        refused = link.machine("rsync", "-a", *words)
        assert refused.returncode != 0
    assert (server.folder / "store" / "install" / "1.0" / "web" / "etc" / "shadow").exists()
    outside = link.machine("rsync", f"rsync://{ADDRESS}/install/../../state/")
    assert "edeploy.db" not in outside.stdout
    assert link.machine("rsync", f"rsync://{ADDRESS}/").stdout == ""  # no list of modules


def test_dnsmasq_is_no_root_and_has_no_more_than_it_needs(server: Server, link: Link) -> None:
    server.start()
    eventually(10, lambda: both(server))
    process = children(server)["dnsmasq"]
    assert process.uids().real != 0
    status = Path(f"/proc/{process.pid}/status").read_text()
    allowed = 1 << 10 | 1 << 12 | 1 << 13  # net_bind_service, net_admin, net_raw
    for line in status.splitlines():
        if line.startswith(("CapEff", "CapBnd")):
            assert int(line.split()[1], 16) & ~allowed == 0


def test_a_child_that_dies_comes_back_and_is_noted(server: Server, link: Link) -> None:
    server.start()
    eventually(10, lambda: both(server))
    before = children(server)
    for process in before.values():
        process.kill()
    eventually(
        20, lambda: both(server) and not set(children(server).values()) & set(before.values())
    )
    with server.operators() as client:
        died = [e["text"] for e in client.get("/events").json() if e["kind"] == "child-died"]
    assert sorted(text.split(":")[0] for text in died) == ["dnsmasq", "rsync"]
    assert all("SIGKILL" in text for text in died)
    assert link.firmware(0)["file"] == "undionly.kpxe"


def test_killed_server_leaves_nobody_and_comes_back(server: Server, link: Link) -> None:
    for _ in range(3):
        server.start()
        eventually(10, lambda: both(server))
        left = list(children(server).values())
        server.kill()
        _gone, alive = psutil.wait_procs(left, timeout=10)
        assert alive == []
    server.start()
    assert link.firmware(0)["file"] == "undionly.kpxe"


def test_a_child_that_was_left_is_ended_first(server: Server, link: Link) -> None:
    server.start()
    eventually(10, lambda: both(server))
    server.stop()
    config = f"--conf-file={server.state / 'dnsmasq' / 'dnsmasq.conf'}"
    stray = subprocess.Popen(["ip", "netns", "exec", link.ours, "dnsmasq", config])
    try:
        (server.state / "run" / "dnsmasq.pid").write_text(str(stray.pid))
        eventually(10, lambda: link.firmware(0) != {})
        server.start()
        assert stray.wait(10) is not None
        assert link.firmware(0)["file"] == "undionly.kpxe"
    finally:
        stray.kill()
        stray.wait()


def test_a_process_that_only_has_the_number_is_left_alone(server: Server) -> None:
    other = subprocess.Popen(["sleep", "600"])
    try:
        (server.state / "run").mkdir(parents=True)
        (server.state / "run" / "dnsmasq.pid").write_text(str(other.pid))
        server.start()
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_sigterm_ends_everything(server: Server) -> None:
    server.start()
    eventually(10, lambda: both(server))
    left = children(server)
    said = server.stop()
    assert not any(process.is_running() for process in left.values())
    assert said.index("dnsmasq ended") < said.index("rsync ended")
    assert list((server.state / "run").iterdir()) == []


def test_ctrl_c_in_a_terminal(server: Server) -> None:
    server.start()
    eventually(10, lambda: both(server))
    assert server.process is not None
    os.killpg(server.process.pid, signal.SIGINT)
    assert server.process.wait(20) == 0


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"router_advertisement": "fd77:92::/64"}, "ip address add fd77:92::1/64 dev srv0"),
        ({"interface": "none0"}, "there is no none0"),
        ({"range_start": "10.92.0.1"}, "range_start: 10.92.0.1 is not in 10.91.0.0/24"),
        ({"range_end": ""}, "range_start and range_end are not set"),
    ],
)
def test_network_settings_that_can_not_be(server: Server, more: dict[str, str], words: str) -> None:
    settings(server, **more)
    with pytest.raises(AssertionError) as error:
        server.start()
    assert words in str(error.value)
    assert not (server.state / "edeploy.db").exists()


def test_a_second_dhcp_server_on_the_interface(server: Server, link: Link) -> None:
    config = ("--port=0", "--interface=srv0", "--bind-interfaces", "--keep-in-foreground")
    other = subprocess.Popen(
        ["ip", "netns", "exec", link.ours, "dnsmasq", "-C", "/dev/null", *config,
         "--dhcp-range=10.91.0.200,10.91.0.201", "--dhcp-leasefile=/dev/null", "--pid-file="],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        eventually(10, lambda: link.firmware(0) != {})
        with pytest.raises(AssertionError, match="udp port 67 .* in use"):
            server.start()
    finally:
        other.kill()
        other.wait()
