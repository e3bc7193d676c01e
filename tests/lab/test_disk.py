"""Disks of images: plain machines start from them; what ends half-way leaves nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from racks import PATIENCE

from edeploy.bmc.power import Action
from edeploy.disks.disk import Format, Made, Wish, make_disk
from edeploy.errors import EdeployError
from edeploy.images.build.image import DEFAULT_VERSION
from edeploy.images.store import Store
from edeploy.lab.power import power
from edeploy.lab.status import machines
from edeploy.lab.up import Lab, running
from edeploy.run import run

GIB = 1 << 30
ADDRESSES = {"bios-1": "10.79.0.11", "uefi-1": "10.79.0.12"}
RACK = """
name: disks
network: {address: 10.79.0.1/24}
machines:
  - name: bios-1
    firmware: bios
    memory: 1G
    cpus: 2
    disks: [{bus: virtio, size: 4G}]
    nics: [{model: virtio, mac: "52:54:00:d1:00:01"}]
    bmc: {address: 10.79.0.201}
    boot: [disk]
  - name: uefi-1
    firmware: uefi
    memory: 1G
    cpus: 2
    disks: [{bus: scsi, size: 4G}]
    nics: [{model: virtio, mac: "52:54:00:d1:00:02"}]
    bmc: {address: 10.79.0.202}
    boot: [disk]
"""


def made(store: Store, output: Path, *, kind: Format = Format.RAW, **wishes: object) -> Made:
    wish = Wish(kind, **wishes)  # type: ignore[arg-type]
    return make_disk(store, store.image("web", DEFAULT_VERSION), output, wish, on_step=print)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("disks")


@pytest.fixture(scope="module")
def disk(images: Store, folder: Path) -> Made:
    """A disk of the role web; the private half of the key for it is beside it."""
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"])
    keys = (folder / "key.pub").read_text()
    return made(images, folder / "web.raw", authorized_keys=keys, kernel_arguments="nosmt")


@pytest.fixture(scope="module")
def lab(disk: Made, folder: Path) -> Iterator[Lab]:
    """Both machines, started from disks that are larger than the file was."""
    rack = folder / "rack.yaml"
    rack.write_text(RACK)
    with running(rack) as found:
        hosts = [f"--dhcp-host={nic.mac},{ADDRESSES[machine.name]}"
                 for machine in found.rack.machines for nic in machine.nics]  # fmt: skip
        words = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0",
                 "--no-ping", "--interface=br0", "--dhcp-range=10.79.0.10,10.79.0.99",
                 "--dhcp-option=option:dns-server,10.79.0.1", "--leasefile-ro", "--pid-file",
                 "--log-dhcp", f"--log-facility={folder}/dhcp.log", *hosts]  # fmt: skip
        dhcp = subprocess.Popen(found.inside(words))
        for machine in machines(found.folder):
            file = machine.folder.disk(0)
            run(["cp", "--sparse=always", disk.path, file])
            os.truncate(file, 4 * GIB)
            assert power(machine, Action.ON) == "on"
        yield found
        dhcp.terminate()
        dhcp.wait()


def until(lab: Lab, name: str, argv: list[str], wanted: str) -> str:
    """What a program in the lab's network prints, once that has `wanted`."""
    deadline = time.monotonic() + PATIENCE
    while True:
        done = run(lab.inside(argv), check=False)
        if wanted in done.out:
            return done.out
        log = lab.folder.machine(name).console_log
        assert time.monotonic() < deadline, log.read_text(errors="replace")[-2000:]
        time.sleep(0.5)


def on(lab: Lab, folder: Path, name: str, command: str) -> str:
    """What a command prints on a machine; root gets in by the key that the disk was made with."""
    options = ["-i", str(folder / "key"), "-o", "StrictHostKeyChecking=no", "-o", "BatchMode=yes",
               "-o", f"UserKnownHostsFile={folder}/{name}", "-o", "LogLevel=ERROR"]  # fmt: skip
    argv = ["ssh", *options, f"root@{ADDRESSES[name]}", f"{command}; echo END"]
    return until(lab, name, argv, "END\n").removesuffix("END\n").strip()


@pytest.mark.parametrize("name", ADDRESSES)
def test_a_plain_machine_starts_and_serves(lab: Lab, folder: Path, name: str) -> None:
    page = ["curl", "-sS", "--max-time", "5", f"http://{ADDRESSES[name]}/"]
    assert "role <code>web</code>" in until(lab, name, page, "It is up")
    assert (
        on(lab, folder, name, "test -d /sys/firmware/efi && echo uefi || echo bios") + "-1" == name
    )
    assert "nosmt" in on(lab, folder, name, "cat /proc/cmdline").split()
    log = lab.folder.machine(name).console_log
    deadline = time.monotonic() + PATIENCE
    while b"login: " not in log.read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_each_machine_makes_its_own_and_fills_its_disk(lab: Lab, folder: Path) -> None:
    own = "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub"
    assert len({on(lab, folder, name, own) for name in ADDRESSES}) == len(ADDRESSES)
    for name in ADDRESSES:
        assert on(lab, folder, name, "systemctl is-active edeploy-grow.service") == "active"
        assert int(on(lab, folder, name, "df --output=size -B1 / | tail -1")) > 3 * GIB
        on(lab, folder, name, "systemctl is-system-running --wait >/dev/null")
        assert on(lab, folder, name, "systemctl --failed --no-legend --plain") == ""
        assert on(lab, folder, name, "cat /etc/resolv.conf") == "nameserver 10.79.0.1"
        assert on(lab, folder, name, "cat /var/lib/edeploy/conf") == "VERS=1.0.0\nROLE=web"
        assert on(lab, folder, name, "ls /sysroot/edeploy/deploy") == "web-1.0.0.1"


def test_a_disk_is_small_here_and_the_next_has_the_same_names(
    images: Store, disk: Made, tmp_path: Path
) -> None:
    assert disk.size == disk.path.stat().st_size
    assert disk.used < 1.5 * images.image("web", DEFAULT_VERSION).record().size < disk.size
    again = made(images, tmp_path / "again.qcow2", kind=Format.QCOW2, size=disk.size)
    run(["qemu-img", "convert", "-O", "raw", again.path, tmp_path / "again.raw"])
    tables = [
        json.loads(run(["sfdisk", "--json", path]).out)["partitiontable"]
        for path in (disk.path, tmp_path / "again.raw")
    ]
    for table, path in zip(tables, (disk.path, tmp_path / "again.raw"), strict=True):
        table["device"] = ""
        for part in table["partitions"]:
            words = ["blkid", "-p", "-O", str(part["start"] * 512), "-s", "UUID", "-o", "value"]
            part["node"] = run([*words, path], check=False).out
    assert tables[0] == tables[1]
    assert {part["name"] for part in tables[0]["partitions"]} == {"bios", "efi", "root"}


def loops(folder: Path) -> list[str]:
    """The loop devices with files of a folder."""
    return [line for line in run(["losetup", "--list", "--noheadings"]).out.splitlines()
            if f"{folder}/" in line]  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_is_killed_leaves_nothing_but_a_draft_that_goes(
    images: Store, tmp_path: Path, number: signal.Signals
) -> None:
    words = ["image", "disk", "web", "--store", str(images.root), "--format", "raw", "--size", "3G"]
    output = tmp_path / "web.raw"
    child = subprocess.Popen(
        [sys.executable, "-m", "edeploy", *words, "--output", output],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stderr is not None
    assert "unpacking" in child.stderr.readline()
    assert loops(tmp_path)
    child.send_signal(number)
    child.communicate()
    assert child.returncode != 0
    deadline = time.monotonic() + PATIENCE
    while loops(tmp_path):
        assert time.monotonic() < deadline, "a loop device stays"
        time.sleep(0.05)
    left = os.listdir(tmp_path)
    assert "web.raw" not in left
    assert bool(left) == (number is signal.SIGKILL)
    with pytest.raises(EdeployError, match="at least"):
        made(images, output, size=300 << 20)
    made(images, output)
    assert os.listdir(tmp_path) == ["web.raw"]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A folder that can get full."""
    run(["mount", "-t", "tmpfs", "-o", "size=700M", "tmpfs", tmp_path])
    yield tmp_path
    run(["umount", tmp_path])


def test_a_full_disk_is_told_before(images: Store, small: Path) -> None:
    (small / "ballast").write_bytes(bytes(400 << 20))
    with pytest.raises(EdeployError, match="are free") as caught:
        made(images, small / "web.raw")
    assert "--output" in caught.value.hint
    assert os.listdir(small) == ["ballast"]


def test_a_disk_that_gets_full_meanwhile(images: Store, small: Path) -> None:
    def fill(step: str) -> None:
        if step == "unpacking":
            with open(small / "ballast", "wb", buffering=0) as stream:
                while stream.tell() < 600 << 20:
                    stream.write(bytes(1 << 20))

    (small / "web.raw").write_text("of yesterday")
    image = images.image("web", DEFAULT_VERSION)
    with pytest.raises(EdeployError):
        make_disk(images, image, small / "web.raw", Wish(Format.RAW), on_step=fill)
    assert sorted(os.listdir(small)) == ["ballast", "web.raw"]
    assert (small / "web.raw").read_text() == "of yesterday"
    assert loops(small) == []
