"""A lab for real: namespace, ipmi_sim, pyghmi over UDP, QEMU. No machine finds a system to boot."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from edeploy.bmc.file import load_bmcs, write_bmcs
from edeploy.bmc.power import Action, BmcError
from edeploy.errors import EdeployError
from edeploy.lab import network, status
from edeploy.lab.accel import Accel
from edeploy.lab.down import NoLab, down
from edeploy.lab.power import boot_from_network_once, power
from edeploy.lab.processes import kill, read_pid
from edeploy.lab.qmp import monitor
from edeploy.lab.status import LabMachine
from edeploy.lab.up import Lab, LabUp, running, up

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a lab needs root")

NAME = f"edt{os.getpid()}"
EDEPLOY = Path(sys.executable).with_name("edeploy")

# The disk comes first: an empty one ends SeaBIOS's boot at once, and the order can be seen.
RACK = f"""\
name: {NAME}
network: {{address: 10.93.0.1/24, ipv6: "fd77:93::1/64"}}
machines:
  - name: old
    firmware: bios
    memory: 64M
    cpus: 1
    boot: [disk, network]
    disks:
      - {{bus: virtio, size: 8M, throttle: 10M}}
      - {{bus: scsi, size: 8M}}
      - {{bus: sata, size: 8M}}
      - {{bus: nvme, size: 8M}}
    nics:
      - {{model: virtio, rate: 1G}}
      - {{model: e1000}}
      - {{model: e1000e}}
      - {{model: rtl8139}}
      - {{model: vmxnet3}}
    smbios: {{product: "One, two", serial: EDT1}}
    bmc: {{address: 10.93.0.201}}
  - name: new
    firmware: uefi
    memory: 128M
    cpus: 1
    disks: [{{bus: virtio, size: 8M}}]
    bmc: {{address: 10.93.0.202, username: operator, password: "a'b$c"}}
"""


@pytest.fixture
def rack(tmp_path: Path) -> Path:
    path = tmp_path / "rack.yaml"
    path.write_text(RACK)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "labs"


@pytest.fixture
def lab(rack: Path, root: Path) -> Iterator[Lab]:
    with running(rack, root=root, accel=Accel.TCG) as it:
        yield it


def machine(lab: Lab, name: str) -> LabMachine:
    return status.find_machine(name, lab.folder.root)


def kernel_boot_order(lab: Lab) -> list[int]:
    """The places that QEMU has for the first disk and the first card of the machine `old`."""
    path = machine(lab, "old").folder.monitor_socket
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        stream = connection.makefile("rw")
        answers = []
        requests: list[dict[str, object]] = [{"execute": "qmp_capabilities"}]
        for device in ("disk0", "nic0"):
            arguments = {"path": f"/machine/peripheral/{device}", "property": "bootindex"}
            requests.append({"execute": "qom-get", "arguments": arguments})
        for request in requests:
            stream.write(json.dumps(request))
            stream.flush()
            while "return" not in (answer := json.loads(stream.readline())):
                pass
            answers.append(answer["return"])
        return answers[1:]


def nothing_is_left(lab_folder: Path) -> bool:
    kept = {path.suffix for path in lab_folder.rglob("*") if path.is_file()}
    return not network.exists(f"edeploy-{NAME}") and kept <= {".log"}


def test_pyghmi_starts_and_kills_machines_through_their_bmcs(lab: Lab) -> None:
    for name in ("old", "new"):
        assert power(machine(lab, name), Action.STATUS) == "off"
        assert power(machine(lab, name), Action.ON) == "on"
        pid = machine(lab, name).pid
        assert pid in network.processes(lab.folder.namespace)
        assert power(machine(lab, name), Action.STATUS) == "on"
        assert power(machine(lab, name), Action.ON) == "on"
        assert machine(lab, name).pid == pid
        assert power(machine(lab, name), Action.CYCLE) == "on"
        assert machine(lab, name).pid not in (None, pid)
        assert power(machine(lab, name), Action.OFF) == "off"
        assert machine(lab, name).pid is None
        assert power(machine(lab, name), Action.OFF) == "off"


def test_a_machine_that_ends_by_itself_is_off(lab: Lab) -> None:
    power(machine(lab, "old"), Action.ON)
    pid = machine(lab, "old").pid
    assert pid is not None
    kill(pid)
    assert power(machine(lab, "old"), Action.STATUS) == "off"
    assert power(machine(lab, "old"), Action.ON) == "on"


def test_network_boot_for_once_changes_one_start_only(lab: Lab) -> None:
    old = machine(lab, "old")
    boot_from_network_once(old)
    assert old.folder.boot_once.read_text() == "pxe"
    power(old, Action.ON)
    assert not old.folder.boot_once.exists()
    command_line = Path("/proc", str(machine(lab, "old").pid), "cmdline").read_bytes()
    assert b"id=nic0,netdev=net0" in command_line
    assert any(
        b"id=nic0," in word and word.endswith(b"bootindex=1") for word in command_line.split(b"\0")
    )
    # A restart by the guest itself comes to the same QEMU: its order is the usual one again.
    assert kernel_boot_order(lab) == [1, 5]
    power(old, Action.CYCLE)
    command_line = Path("/proc", str(machine(lab, "old").pid), "cmdline").read_bytes()
    assert any(
        b"id=disk0," in word and word.endswith(b"bootindex=1") for word in command_line.split(b"\0")
    )


def test_reset_keeps_the_machine_and_takes_the_boot_device(lab: Lab) -> None:
    old = machine(lab, "old")
    power(old, Action.ON)
    pid = machine(lab, "old").pid
    boot_from_network_once(old)
    subprocess.run([old.folder.chassis_script, "set", "reset", "1"], check=True)
    assert machine(lab, "old").pid == pid
    assert not old.folder.boot_once.exists()
    assert kernel_boot_order(lab) == [1, 5]


def test_orders_that_come_at_once_are_all_obeyed(lab: Lab) -> None:
    machines = [machine(lab, name) for name in ("old", "new")] * 6
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda one: power(one, Action.STATUS), machines))
    assert told == ["off"] * 12


def test_a_wrong_password_and_a_silent_bmc_are_told(lab: Lab) -> None:
    bmcs = load_bmcs(lab.folder.bmcs)
    changed = [replace(bmcs[0], password="wrong"), replace(bmcs[1], address="10.93.0.99")]
    write_bmcs(lab.folder.bmcs, changed)
    with pytest.raises(BmcError, match=r"BMC old \(10\.93\.0\.201\)") as error:
        power(machine(lab, "old"), Action.STATUS)
    assert "username and password" in error.value.hint
    with pytest.raises(BmcError, match=r"BMC new \(10\.93\.0\.99\)"):
        power(machine(lab, "new"), Action.STATUS)


def test_the_bmc_file_is_for_root_only(lab: Lab) -> None:
    assert lab.folder.bmcs.stat().st_mode & 0o777 == 0o600
    first, second = load_bmcs(lab.folder.bmcs)
    assert (first.name, first.serial, len(first.password)) == ("old", "EDT1", 12)
    assert (second.username, second.password) == ("operator", "a'b$c")


def test_nothing_leads_out_of_the_namespace(lab: Lab) -> None:
    shown = subprocess.run(
        lab.inside(["ip", "-json", "link"]), check=True, capture_output=True, text=True
    )
    names = {link["ifname"] for link in json.loads(shown.stdout)}
    taps = {*(f"m0n{n}" for n in range(5)), "m1n0"}
    # The card with a rate has a bridge of its own, and a cable from there.
    limited = {"m0n0b", "m0n0i", "m0n0o"}
    assert names == {"lo", "br0", "carrier0", "carrier1", *taps, *limited}
    routes = subprocess.run(
        lab.inside(["ip", "route"]), check=True, capture_output=True, text=True
    ).stdout
    assert "default" not in routes


def test_the_bridge_can_be_used_at_once(lab: Lab) -> None:
    for family, address in ((socket.AF_INET, "10.93.0.1"), (socket.AF_INET6, "fd77:93::1")):
        program = (
            "import socket, sys\n"
            "socket.socket(int(sys.argv[1]), socket.SOCK_STREAM).bind((sys.argv[2], 80))"
        )
        argv = lab.inside([sys.executable, "-c", program, str(int(family)), address])
        subprocess.run(argv, check=True)


def test_a_second_up_is_refused_and_harms_nothing(lab: Lab, rack: Path, root: Path) -> None:
    with pytest.raises(LabUp, match="is up already"):
        up(rack, root=root, accel=Accel.TCG)
    assert power(machine(lab, "old"), Action.STATUS) == "off"


def test_a_lab_of_another_folder_is_not_touched(lab: Lab, rack: Path, tmp_path: Path) -> None:
    with pytest.raises(LabUp, match="namespace"):
        up(rack, root=tmp_path / "others", accel=Accel.TCG)
    assert power(machine(lab, "old"), Action.STATUS) == "off"


def test_down_ends_all_and_keeps_the_logs(rack: Path, root: Path) -> None:
    lab = up(rack, root=root, accel=Accel.TCG)
    power(machine(lab, "old"), Action.ON)
    service = subprocess.Popen(lab.inside(["sleep", "infinity"]))
    down(NAME, root=root)
    assert service.wait() == -signal.SIGTERM
    assert nothing_is_left(lab.folder.path)
    assert (lab.folder.path / "old" / "console.log").exists()
    assert status.labs(root) == []
    with pytest.raises(NoLab):
        status.machines(lab.folder)


def test_disks_are_kept_when_asked_for(rack: Path, root: Path) -> None:
    lab = up(rack, root=root, accel=Accel.TCG)
    disk = machine(lab, "old").folder.disk(0)
    disk.write_bytes(b"written")
    down(NAME, root=root, keep_disks=True)
    with running(rack, root=root, accel=Accel.TCG):
        assert disk.stat().st_size == 8 * 2**20
        assert disk.read_bytes().startswith(b"written")
    assert not disk.exists()


def test_what_a_dead_lab_left_is_cleared(rack: Path, root: Path) -> None:
    lab = up(rack, root=root, accel=Accel.TCG)
    for name in ("old", "new"):
        pid = read_pid(machine(lab, name).folder.bmc_pid, "ipmi_sim")
        assert pid is not None
        kill(pid)
    with running(rack, root=root, accel=Accel.TCG) as again:
        assert power(machine(again, "old"), Action.STATUS) == "off"


def test_a_failure_in_the_middle_leaves_nothing(
    rack: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The second BMC ends at once.
    fake = tmp_path / "bin" / "ipmi_sim"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\ncase "$*" in */new/*) echo broken >&2; exit 1;; esac\n'
                    'exec /usr/bin/ipmi_sim "$@"\n')  # fmt: skip
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    with pytest.raises(EdeployError, match="machine new: its BMC does not listen") as error:
        up(rack, root=root, accel=Accel.TCG)
    assert "| broken" in error.value.message
    assert nothing_is_left(root / NAME)


@pytest.mark.parametrize(
    ("program", "package"),
    [("qemu-system-x86_64", "qemu-system-x86"), ("ipmi_sim", "openipmi"), ("ip", "iproute2")],
)
def test_a_missing_program_is_told_with_its_package(
    rack: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str,
    package: str,
) -> None:  # fmt: skip
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in {"ip", "tc", "setsid", "qemu-system-x86_64", "ipmi_sim"} - {program}:
        (tools / name).symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(EdeployError, match=f"{program}: not found") as error:
        up(rack, root=root, accel=Accel.TCG)
    assert error.value.hint == f"Install the package {package}."
    assert not root.exists()


def test_the_command_line(rack: Path, root: Path) -> None:
    def edeploy(*words: str, code: int = 0, keys: bytes = b"") -> str:
        argv = [str(EDEPLOY), "lab", *words, "--lab-dir", str(root)]
        done = subprocess.run(argv, check=False, capture_output=True, input=keys)
        assert done.returncode == code, done.stderr
        return (done.stdout or done.stderr).decode()

    assert NAME in edeploy("up", str(rack), "--accel", "tcg")
    try:
        assert "console.log: not there" in edeploy("console", "old", "--log", code=1)
        assert edeploy("power", "on", "old", "--boot-network") == "on\n"
        (old, new) = json.loads(edeploy("ls", "--json"))
        assert (old["machine"], old["firmware"], old["power"]) == ("old", "bios", "on")
        assert (old["bmc"], old["console"]) == (
            "10.93.0.201",
            f"{root}/{NAME}/old/console.log",
        )
        assert isinstance(old["pid"], int)
        assert (new["power"], new["pid"]) == ("off", None)
        assert old["console"] in edeploy("ls")
        edeploy("console", f"{NAME}/old", keys=b"\x1d")
        edeploy("console", "old", "--log")
        assert "it is off" in edeploy("console", "new", code=1)
        assert "old, new" in edeploy("power", "on", "nobody", code=1)
        assert "is up already" in edeploy("up", str(rack), code=1)
    finally:
        assert NAME in edeploy("down")
    assert json.loads(edeploy("ls", "--json")) == []
    assert "there is no lab" in edeploy("down", f"{NAME}x", code=1)


def test_the_console_shows_what_the_firmware_says(lab: Lab) -> None:
    power(machine(lab, "old"), Action.ON)
    argv = [str(EDEPLOY), "lab", "console", "old", "--lab-dir", str(lab.folder.root)]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as console:
        assert console.stdin is not None
        assert console.stdout is not None
        assert console.stderr is not None
        assert b"Ctrl-]" in console.stderr.readline()
        with monitor(machine(lab, "old").folder.monitor_socket) as qemu:
            qemu.execute("system_reset")
        seen = b""
        while b"SeaBIOS" not in seen:
            data = os.read(console.stdout.fileno(), 4096)
            assert data, seen
            seen += data
        console.stdin.write(b"\x1d")
        console.stdin.flush()
        assert console.wait() == 0
    assert b"SeaBIOS" in machine(lab, "old").folder.console_log.read_bytes()
