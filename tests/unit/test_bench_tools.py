"""What the measuring programs print, as they really print it, and what is no result."""

import json
from pathlib import Path

import pytest

from edeploy.node.bench import fio, iperf, stressapptest, sysbench
from edeploy.node.bench.programs import Printed, StageFailed

CAPTURED = Path(__file__).parents[1] / "captured_bench"
READ = fio.Load("randread", 0, 64 << 20, 1, 1)


def captured(name: str, code: int = 0) -> Printed:
    return Printed(code, (CAPTURED / name).read_text())


def test_sysbench_cpu() -> None:
    printed = captured("sysbench-cpu.txt")
    assert sysbench.CPU.value(printed) > 100
    samples = [sysbench.CPU.second(line) for line in printed.text.splitlines()]
    found = [sample for sample in samples if sample is not None]
    assert 1 <= len(found) <= 3
    assert sysbench.tool([printed]) == "sysbench 1.0.20"


def test_sysbench_memory_is_in_megabytes() -> None:
    printed = captured("sysbench-memory.txt")
    line = next(line for line in printed.text.splitlines() if "transferred" in line)
    mebibytes = float(line.partition("(")[2].split()[0])
    assert sysbench.MEMORY.value(printed) == pytest.approx(mebibytes * 1.048576)
    assert any(sysbench.MEMORY.second(line) for line in printed.text.splitlines())


@pytest.mark.parametrize(
    ("name", "read"),
    [("sysbench-cpu.txt", sysbench.MEMORY.value), ("sysbench-memory.txt", sysbench.CPU.value)],
)
def test_the_output_of_another_test_is_no_result(name: str, read: object) -> None:
    assert callable(read)
    with pytest.raises(StageFailed, match="no result"):
        read(captured(name))


def test_sysbench_that_failed_is_no_result_whatever_it_printed() -> None:
    with pytest.raises(StageFailed, match="ended with 1"):
        sysbench.CPU.value(captured("sysbench-cpu.txt", 1))
    twice = captured("sysbench-cpu.txt").text * 2
    with pytest.raises(StageFailed):
        sysbench.CPU.value(Printed(0, twice))


@pytest.mark.parametrize(
    ("cache", "threads", "memory"),
    [
        (32 << 20, 1, 8 << 30),
        (256 << 20, 64, 512 << 30),
        (64 << 20, 2, 2 << 30),
        (1 << 30, 4, 8 << 30),
    ],
)  # fmt: skip
def test_all_threads_write_more_than_the_caches_hold(cache: int, threads: int, memory: int) -> None:
    block = sysbench.block_size(cache, threads, memory)
    assert block & (block - 1) == 0
    assert threads * block >= min(4 * cache, memory // 8)
    assert threads * block <= memory // 4


def test_fio() -> None:
    found = fio.figures(Printed(0, ""), CAPTURED / "fio-randread.json", READ)
    side = json.loads((CAPTURED / "fio-randread.json").read_text())["jobs"][0]["read"]
    assert (found.iops, found.bandwidth) == (side["iops"], side["bw_bytes"])
    assert found.p99 == side["clat_ns"]["percentile"]["99.000000"] / 1000
    assert found.tool == "fio-3.33"


def fio_says(folder: Path, **changes: object) -> Path:
    document = json.loads((CAPTURED / "fio-randread.json").read_text())
    for key, value in changes.items():
        if key == "error":
            document["jobs"][0][key] = value
        else:
            document["jobs"][0]["read"][key] = value
    path = folder / "out.json"
    path.write_text("fio: a warning\n" + json.dumps(document))
    return path


@pytest.mark.parametrize("iops", [0, -1, float("nan"), float("inf"), "many", None, True])
def test_a_figure_that_is_none_is_no_result(tmp_path: Path, iops: object) -> None:
    with pytest.raises(StageFailed, match="iops"):
        fio.figures(Printed(0, ""), fio_says(tmp_path, iops=iops), READ)


def test_a_read_error_is_the_disks_and_others_are_not(tmp_path: Path) -> None:
    with pytest.raises(fio.DiskError):
        fio.figures(Printed(1, "fio: io_u error"), fio_says(tmp_path, error=fio.EIO), READ)
    with pytest.raises(StageFailed) as other:
        fio.figures(Printed(1, "no such device"), fio_says(tmp_path, error=19), READ)
    assert not isinstance(other.value, fio.DiskError)
    assert "no such device" in str(other.value)


@pytest.mark.parametrize("text", ["", "[]", "{", "{}", '{"jobs": []}', '{"jobs": 7}'])
def test_no_json_is_no_result(tmp_path: Path, text: str) -> None:
    (tmp_path / "out").write_text(text)
    with pytest.raises(StageFailed):
        fio.figures(Printed(0, ""), tmp_path / "out", READ)
    with pytest.raises(StageFailed):
        fio.figures(Printed(0, ""), tmp_path / "missing", READ)


@pytest.mark.parametrize("size", [8 << 30, 960_197_124_096, 64 << 20, 3 << 20])
def test_regions_are_on_the_disk_and_apart(size: int) -> None:
    found = fio.regions(size)
    assert list(found) == ["", "_middle", "_end"]
    for offset, length in found.values():
        assert offset % fio.MIB == length % fio.MIB == 0
        assert offset >= 0 < length
        assert offset + length <= size
    assert found["_end"][0] + found["_end"][1] == size // fio.MIB * fio.MIB


def test_what_reads_is_told_never_to_write(tmp_path: Path) -> None:
    for how in ("read", "randread"):
        words = fio.words("sda", "/dev/sda", fio.Load(how, 0, 1 << 30, 3, 1), tmp_path / "o")
        assert "--readonly" in words
    assert "--readonly" not in fio.words("s", "/d", fio.Load("write", 0, 1, 3, 1), tmp_path / "o")


def test_a_name_with_colons_is_one_file(tmp_path: Path) -> None:
    path = "/dev/disk/by-id/usb-Disk_1-0:0"
    words = fio.words("sda", path, READ, tmp_path / "o")
    assert "--filename=/dev/disk/by-id/usb-Disk_1-0\\:0" in words


def test_iperf3_counts_what_arrived_and_not_its_first_second() -> None:
    found = iperf.throughput(captured("iperf3-reverse.json"))
    document = json.loads((CAPTURED / "iperf3-reverse.json").read_text())
    assert found.value == document["end"]["sum_received"]["bits_per_second"] / 1e6
    assert len(found.samples) == len(document["intervals"]) - 1
    assert found.tool == "iperf 3.12"


def test_a_busy_iperf3_server_is_no_failure_of_the_card() -> None:
    with pytest.raises(iperf.ServerBusy):
        iperf.throughput(captured("iperf3-busy.json"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"error": "unable to connect to server: Connection refused"}', "refused"),
        ("", "nothing"),
        ('{"end": {"sum_received": {"bits_per_second": 0}}}', "nothing"),
        ('{"end": {"sum_received": {"bits_per_second": "many"}}}', "nothing"),
    ],
)
def test_iperf3_without_a_figure_is_told(text: str, said: str) -> None:
    with pytest.raises(StageFailed, match=said):
        iperf.throughput(Printed(0, text))


def test_stressapptest_says_pass_or_how_many_words_are_wrong() -> None:
    good = captured("stressapptest.txt")
    assert stressapptest.wrong(good) == 0
    assert stressapptest.tool(good) == "stressapptest 1.0.6"
    text = good.text.replace("0 errors", "3 errors").replace("Status: PASS", "Status: FAIL")
    assert stressapptest.wrong(Printed(1, text)) == 3
    # A failure that it does not count is one all the same.
    assert stressapptest.wrong(Printed(1, text.replace("3 errors", "0 errors"))) == 1


@pytest.mark.parametrize(("code", "text"), [(1, "out of memory"), (0, ""), (-9, "Status: PASS")])
def test_stressapptest_without_a_verdict_is_no_pass(code: int, text: str) -> None:
    with pytest.raises(StageFailed, match="no verdict"):
        stressapptest.wrong(Printed(code, text))
