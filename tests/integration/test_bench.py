"""The real programs on this machine, and fio on loop devices; above all, what is not written."""

import hashlib
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from edeploy.errors import EdeployError
from edeploy.inventory.items import Report
from edeploy.node.bench import cpu, disks, fio, memory, network, tester, writes
from edeploy.node.bench.campaign import Allowed, Campaign, Refused, held
from edeploy.node.bench.order import Peer, TestOrder
from edeploy.node.bench.profiles import LAB, QUICK
from edeploy.node.bench.programs import Bench, StageFailed, Stop
from edeploy.node.bench.results import Outcome
from edeploy.node.bench.telling import Telling
from edeploy.node.bench.topology import topology
from edeploy.node.console import Console
from edeploy.node.detect.disks import Disk, all_disks
from edeploy.node.detect.tree import Tree
from edeploy.run import run

PROGRAMS = ("fio", "iperf3", "numactl", "stressapptest", "sysbench")
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="loop devices need root"),
    pytest.mark.skipif(
        not all(map(shutil.which, PROGRAMS)), reason=f"needs {', '.join(PROGRAMS)}: setup-machine"
    ),
]

TREE = Tree()
SIZE = 96 << 20
SHORT = replace(
    QUICK, cpu_all=1, cpu_part=1, memory=1, correctness=1, correctness_share=0.01,
    alone=0.1, disk_least=1, disk_most=1, together=1, network=1,
)  # fmt: skip


def bench() -> Bench:
    return Bench(TREE, time.monotonic() + 120, Stop())


@contextmanager
def loop_disk(file: Path, serial: str = "LOOP1") -> Iterator[Disk]:
    """A loop device over a file of random bytes, as if it were a disk with a serial number."""
    device = run(["losetup", "--find", "--show", "--partscan", file]).out.strip()
    try:
        found = {disk.path: disk for disk in all_disks(TREE)}[device]
        yield replace(found, serial=serial, real=True)
    finally:
        # The kernel keeps this for the next file that gets the device.
        run(["blockdev", "--setrw", device])
        run(["losetup", "--detach", device])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "disk"
    path.write_bytes(os.urandom(SIZE))
    return path


@pytest.fixture
def disk(file: Path) -> Iterator[Disk]:
    with loop_disk(file) as found:
        yield found


def digest(path: Path) -> str:
    os.sync()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def is_read_only(disk: Disk) -> bool:
    return run(["blockdev", "--getro", disk.path]).out.strip() == "1"


def values(outcome: Outcome) -> dict[str, float]:
    return {result.metric: result.value for result in outcome.results}


def test_processors() -> None:
    found = {}
    for stage in cpu.stages(topology(TREE), SHORT):
        outcome = stage.work(bench(), 1)
        assert outcome.tool.startswith("sysbench 1.")
        found.update(values(outcome))
    assert found["cpu/package0/one_cpu_events"] > 0
    assert found["cpu/all_events"] > 0


def test_memory_is_fast_and_right() -> None:
    (alone, correct) = memory.stages(topology(TREE), SHORT, TREE)
    watched = bench()
    found = values(alone.work(watched, 1))
    assert list(found) == ["memory/node0/write"]
    assert found["memory/node0/write"] > 100
    assert "--memory-scope=local" in watched.commands[0]
    assert correct.work(bench(), 1).errors == ()


def test_a_disk_is_read_and_not_one_bit_is_changed(disk: Disk, file: Path) -> None:
    before = digest(file)
    metrics: dict[str, float] = {}
    commands: list[str] = []
    for stage in disks.stages([disk], SHORT):
        watched = bench()
        outcome = stage.work(watched, 1)
        assert outcome.tool.startswith("fio-3")
        metrics.update(values(outcome))
        commands += watched.commands
    name = f"disk/{disk.name}"
    assert set(metrics) == {
        f"{name}/read_1M", f"{name}/read_1M_middle", f"{name}/read_1M_end",
        f"{name}/randread_4k_iops", f"{name}/randread_4k_p99",
    }  # fmt: skip
    assert all(value > 0 for value in metrics.values())
    assert all("--readonly" in command for command in commands)
    assert digest(file) == before
    assert not is_read_only(disk)


def test_the_kernel_itself_refuses_writes_while_a_disk_is_measured(disk: Disk, file: Path) -> None:
    before = digest(file)
    with disks.read_only(TREE, disk):
        assert is_read_only(disk)
        with pytest.raises(OSError, match="not permitted|Read-only|denied"):
            handle = os.open(disk.path, os.O_WRONLY)
            os.write(handle, b"x" * 512)
    assert not is_read_only(disk)
    assert digest(file) == before


def test_fio_with_readonly_writes_nothing_whatever_it_is_told(
    disk: Disk, file: Path, tmp_path: Path
) -> None:
    before = digest(file)
    words = fio.words("x", disk.path, fio.Load("read", 0, SIZE, 1, 0), tmp_path / "out")
    changed = [word.replace("--rw=read", "--rw=write") for word in words]
    assert run(changed, check=False).code != 0
    assert digest(file) == before


def test_a_disk_that_was_read_only_before_stays_so(disk: Disk) -> None:
    run(["blockdev", "--setro", disk.path])
    with disks.read_only(TREE, disk):
        pass
    assert is_read_only(disk)


def test_a_disk_that_is_mounted_is_not_touched(disk: Disk, tmp_path: Path) -> None:
    run(["mkfs.ext4", "-q", disk.path])
    point = tmp_path / "mnt"
    point.mkdir()
    run(["mount", disk.path, point])
    try:
        with pytest.raises(StageFailed, match="is mounted"):
            disks.stages([disk], SHORT)[0].work(bench(), 1)
        (point / "still").write_text("writable")
    finally:
        run(["umount", point])


def test_many_disks_are_read_at_once(tmp_path: Path) -> None:
    found = []
    for number in range(3):
        path = tmp_path / f"disk{number}"
        path.write_bytes(os.urandom(16 << 20))
        found.append(path)
    with loop_disk(found[0]) as a, loop_disk(found[1]) as b, loop_disk(found[2]) as c:
        stages = disks.stages([a, b, c], SHORT)
        assert [stage.name for stage in stages][0] == "disk/all/read_1M"
        metrics = values(stages[0].work(bench(), 1))
    assert set(metrics) == {f"disk/{one.name}/all_read_1M" for one in (a, b, c)}


def test_a_disk_that_can_not_read_is_broken(file: Path) -> None:
    with loop_disk(file) as disk:
        # What was there is not there any more: the kernel answers reads with an error.
        os.truncate(file, 4096)
        with pytest.raises(fio.DiskError, match=r"LOOP1\): read error"):
            disks.stages([disk], SHORT)[0].work(bench(), 1)


def test_zeros_are_told_from_what_was_written(file: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    with empty.open("wb") as stream:
        stream.truncate(SIZE)
    with loop_disk(file) as full, loop_disk(empty) as blank:
        assert not disks.unwritten(full)
        assert disks.unwritten(blank)


def test_a_campaign_writes_to_its_disk_and_to_no_other(file: Path, tmp_path: Path) -> None:
    other_file = tmp_path / "other"
    other_file.write_bytes(os.urandom(SIZE))
    before = digest(file), digest(other_file)
    with loop_disk(file, "MINE") as mine, loop_disk(other_file, "OTHER") as other:
        stages = writes.stages([mine, other], Campaign((Allowed("MINE"),)), SHORT)
        assert {stage.name.split("/")[1] for stage in stages} == {mine.name}
        watched = bench()
        found = values(stages[0].work(watched, 1))
        assert found[f"disk/{mine.name}/write_1M"] > 0
        assert [one.serial for one in watched.written] == ["MINE"]
    assert digest(file) != before[0]
    assert digest(other_file) == before[1]


@pytest.mark.parametrize("kind", ["ext4", "gpt", "swap", "lvm", "mounted", "esp"])
def test_what_a_disk_holds_refuses_a_campaign(
    disk: Disk, file: Path, tmp_path: Path, kind: str
) -> None:
    named: tuple[str, ...] = ()
    point = tmp_path / "mnt"
    point.mkdir()
    if kind in ("ext4", "mounted"):
        run(["mkfs.ext4", "-q", disk.path])
    if kind == "mounted":
        run(["mount", disk.path, point])
        named = ("ext4",)
    if kind == "swap":
        run(["mkswap", disk.path])
    if kind == "lvm":
        # The label of LVM2, as pvcreate writes it.
        label = b"LABELONE" + (1).to_bytes(8, "little") + b"\0" * 4 + b"\x20\0\0\0LVM2 001"
        with open(disk.path, "r+b") as stream:
            stream.seek(512)
            stream.write(label + b"0123456789abcdefghijklmnopqrstuv" + b"\0" * 448)
    if kind in ("gpt", "esp"):
        part = "type=U\n" if kind == "esp" else "type=L\n"
        run(["sfdisk", "-q", disk.path], stdin=f"label: gpt\nsize=8M,{part}")
        named = ("gpt", "PMBR", "dos", "vfat") if kind == "esp" else ()
    before = digest(file)
    try:
        with pytest.raises(StageFailed, match="refused:"):
            writes.stages([disk], Campaign((Allowed("LOOP1", named),)), SHORT)[0].work(bench(), 1)
    finally:
        if kind == "mounted":
            run(["umount", point])
    if kind != "mounted":
        assert digest(file) == before


def test_a_disk_belongs_to_nobody_else_while_it_is_written(disk: Disk, tmp_path: Path) -> None:
    campaign = Campaign((Allowed("LOOP1", ("ext4",)),))
    run(["mkfs.ext4", "-q", disk.path])
    (tmp_path / "mnt").mkdir()
    with held(TREE, disk, campaign, [disk]):
        done = run(["mount", disk.path, tmp_path / "mnt"], check=False)
        assert done.code != 0
        with pytest.raises(Refused, match="busy"), held(TREE, disk, campaign, [disk]):
            pytest.fail("two owners")


@contextmanager
def iperf3_server(namespace: str, card: str) -> Iterator[Peer]:
    """A card with an iperf3 server at its other end, in a namespace."""
    run(["ip", "netns", "add", namespace])
    try:
        run(["ip", "link", "add", card, "type", "veth", "peer", "name", "far", "netns", namespace])
        run(["ip", "address", "add", "198.51.100.1/30", "dev", card])
        run(["ip", "link", "set", card, "up"])
        far = ["ip", "-n", namespace]
        run([*far, "address", "add", "198.51.100.2/30", "dev", "far"])
        run([*far, "link", "set", "far", "up"])
        argv = ["ip", "netns", "exec", namespace, "iperf3", "--server", "--port", "5201"]
        ended = threading.Event()

        def serve() -> None:
            try:
                run(argv, timeout=120, check=False)
            finally:
                ended.set()

        threading.Thread(target=serve, daemon=True).start()
        deadline = time.monotonic() + 20
        while not network.reaches(card, ("198.51.100.2", 5201)):
            assert time.monotonic() < deadline
            ended.wait(0.05)
        yield Peer("198.51.100.2", 5201)
        for pid in run(["ip", "netns", "pids", namespace]).out.split():
            os.kill(int(pid), 9)
        ended.wait(20)
    finally:
        run(["ip", "link", "delete", card], check=False)
        run(["ip", "netns", "delete", namespace])


def test_a_card_at_a_tenth_of_its_rate_is_seen_and_waits_its_turn() -> None:
    card, namespace = "edbench0", f"edbench-{os.getpid()}"
    with iperf3_server(namespace, card) as peer:
        measure = partial(network._measure, card, peer, replace(LAB, network=2))
        limit = ["dev", "far", "root", "tbf", "burst", "32k", "latency", "50ms", "rate"]
        qdisc = ["tc", "-n", namespace, "qdisc"]
        run([*qdisc, "add", *limit, "100mbit"])
        good = values(measure(bench(), 1))
        run([*qdisc, "replace", *limit, "10mbit"])
        both: list[dict[str, float]] = []
        threads = [
            threading.Thread(target=lambda: both.append(values(measure(bench(), 1))))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert network.reaches(card, ("198.51.100.2", 5201))
        assert not network.reaches("lo", ("198.51.100.2", 5201))
    received = f"network/{card}/receive"
    assert 80 < good[received] < 100
    assert len(both) == 2
    for bad in both:
        assert 8 < bad[received] < 12


def test_a_machine_that_has_no_program_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(EdeployError, match="taskset: not found"):
        cpu.stages(topology(TREE), SHORT)[0].work(bench(), 1)


def test_this_machine_is_measured_as_a_whole() -> None:
    stop = Stop()
    order = TestOrder.from_answer({"profile": "lab", "only": ["memory/correctness"]})
    test = tester.Test(order, TREE, Report(()), ("", 0), stop, Telling(Console([]), None, stop))
    document = tester.run_test(test)
    (stage,) = document["stages"] if isinstance(document["stages"], list) else []
    assert (stage["name"], stage["state"]) == ("memory/correctness", "done")
