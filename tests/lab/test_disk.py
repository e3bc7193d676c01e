"""Disks of images: plain machines start from them; what ends half-way leaves nothing."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from doors import ssh
from plain import ADDRESS, GIB, started
from racks import PATIENCE

from edeploy.disks.disk import Made, Wish, make_disk
from edeploy.disks.formats import Format
from edeploy.errors import EdeployError
from edeploy.images.build.image import DEFAULT_VERSION
from edeploy.images.store import Store
from edeploy.lab.up import Lab
from edeploy.run import run

# One connection: each is seconds of an emulated processor's work.
FACTS = """
fact() { echo "$1=$(eval "$2" 2>&1)"; }
fact firmware 'test -d /sys/firmware/efi && echo uefi || echo bios'
fact arguments 'cat /proc/cmdline'
fact state 'systemctl is-system-running --wait'
fact failed 'systemctl --failed --no-legend --plain'
fact grown 'systemctl is-active edeploy-grow.service'
fact size 'df --output=size -B1 / | tail -1'
fact servers 'cat /etc/resolv.conf'
fact conf 'tr "\\n" " " < /var/lib/edeploy/conf'
fact versions 'ls /sysroot/edeploy/deploy'
fact machine_id 'cat /etc/machine-id'
fact key 'cut -d" " -f1,2 /etc/ssh/ssh_host_ed25519_key.pub'
echo END
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


@pytest.fixture(
    scope="module",
    params=[("bios", "virtio"), pytest.param(("uefi", "scsi"), marks=pytest.mark.long)],
    ids=lambda param: param[0],
)
def lab(request: pytest.FixtureRequest, disk: Made, folder: Path) -> Iterator[Lab]:
    """A machine that starts from a disk, which is larger than the file was."""
    firmware, bus = request.param
    with started("disks", disk.path, folder, firmware=firmware, bus=bus) as found:
        yield found


def until(lab: Lab, argv: list[str], wanted: str) -> str:
    """What a program in the lab's network prints, once that has `wanted`."""
    deadline = time.monotonic() + PATIENCE
    while True:
        done = run(lab.inside(argv), check=False)
        if wanted in done.out:
            return done.out
        assert time.monotonic() < deadline, console(lab)[-2000:]
        time.sleep(0.5)


def console(lab: Lab) -> str:
    return lab.folder.machine("machine").console_log.read_text(errors="replace")


def test_a_plain_machine_starts_and_serves(lab: Lab) -> None:
    page = ["curl", "-sS", "--max-time", "5", f"http://{ADDRESS}/"]
    assert "role <code>web</code>" in until(lab, page, "It is up")
    deadline = time.monotonic() + PATIENCE
    while "login: " not in console(lab):
        assert time.monotonic() < deadline, console(lab)[-2000:]
        time.sleep(0.5)


def test_the_machine_makes_its_own_and_fills_its_disk(
    lab: Lab, folder: Path, images: Store, request: pytest.FixtureRequest
) -> None:
    said = until(lab, ssh(folder / "key", ADDRESS, ["sh", "-c", FACTS]), "END\n")
    facts = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    assert facts["firmware"] in request.node.name
    assert {"nosmt", "edeploy=web-1.0.0.1"} <= set(facts["arguments"].split())
    assert (facts["state"], facts["failed"]) == ("running", "")
    assert facts["grown"] == "active"
    assert int(facts["size"]) > 3 * GIB
    assert facts["servers"] == "nameserver 10.79.0.1"
    assert facts["conf"].split() == ["VERS=1.0.0", "ROLE=web"]
    assert facts["versions"] == "web-1.0.0.1"
    # None of the two is in the image.
    assert re.fullmatch("[0-9a-f]{32}", facts["machine_id"])
    assert facts["key"].startswith("ssh-ed25519 ")
    assert not list((images.image("web", DEFAULT_VERSION).tree / "etc/ssh").glob("*key*"))


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
        # Whatever started the tests may ignore Ctrl-C.
        ["env", "--default-signal=INT", sys.executable, "-m", "edeploy", *words,
         "--output", output],
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
