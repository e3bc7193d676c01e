"""What a test sees of a machine: topology, counters, links, modules, governors."""

from pathlib import Path

import pytest
from folder_machine import CAPTURED, block, fake, machine, report

from edeploy.inventory.items import Item
from edeploy.node.bench import counters, disks, facts
from edeploy.node.bench.governor import at_full_speed
from edeploy.node.bench.memory import words
from edeploy.node.bench.results import Change, Link, Part
from edeploy.node.bench.topology import Topology, topology
from edeploy.node.bench.traces import Watcher
from edeploy.node.detect.tree import Tree

CPUS = "sys/devices/system/cpu"
NODES = "sys/devices/system/node"
PCI = "sys/bus/pci/devices"
PLACES = ("CPU1_DIMM_A1", "CPU1_DIMM_B1", "CPU2_DIMM_A1", "CPU2_DIMM_B1")


def two_sockets(root: Path) -> Tree:
    """Eight CPUs, numbered turn by turn over two sockets; two nodes, 32 MiB of cache in each."""
    files = {f"{CPUS}/online": "0-7\n"}
    for cpu in range(8):
        files[f"{CPUS}/cpu{cpu}/topology/physical_package_id"] = f"{cpu % 2}\n"
        files[f"{CPUS}/cpu{cpu}/cache/index3/level"] = "3\n"
        files[f"{CPUS}/cpu{cpu}/cache/index3/size"] = "32768K\n"
        files[f"{CPUS}/cpu{cpu}/cache/index3/shared_cpu_list"] = (
            "0,2,4,6\n" if cpu % 2 == 0 else "1,3,5,7\n"
        )
        files[f"{CPUS}/cpu{cpu}/cache/index0/level"] = "1\n"
        files[f"{CPUS}/cpu{cpu}/cache/index0/size"] = "32K\n"
    for node in range(2):
        files[f"{NODES}/node{node}/cpulist"] = f"{node},{node + 2},{node + 4},{node + 6}\n"
        files[f"{NODES}/node{node}/meminfo"] = f"Node {node} MemTotal:  33554432 kB\n"
    return machine(root, files)


def test_packages_and_nodes_are_the_kernels_whatever_the_numbering(tmp_path: Path) -> None:
    found = topology(two_sockets(tmp_path))
    assert [package.cpus for package in found.packages] == [(0, 2, 4, 6), (1, 3, 5, 7)]
    assert [(node.number, node.cpus) for node in found.nodes] == [
        (0, (0, 2, 4, 6)), (1, (1, 3, 5, 7)),
    ]  # fmt: skip
    assert {node.cache for node in found.nodes} == {32 << 20}
    assert {node.memory for node in found.nodes} == {32 << 30}
    assert found.cpus == 8


def test_memory_is_measured_on_its_own_node(tmp_path: Path) -> None:
    node = topology(two_sockets(tmp_path)).nodes[1]
    argv = words(node, 5)
    assert argv[:3] == ["numactl", "--cpunodebind=1", "--membind=1"]
    assert "--threads=4" in argv
    assert "--memory-block-size=33554432" in argv


def test_a_kernel_that_tells_nothing_is_one_package_and_one_node(tmp_path: Path) -> None:
    found = topology(machine(tmp_path, {"proc/meminfo": "MemTotal: 2048 kB\n"}))
    assert len(found.packages) == len(found.nodes) == 1
    assert not found.nodes[0].bound
    assert words(found.nodes[0], 5)[0] == "sysbench"


def test_disks_that_are_measured(tmp_path: Path) -> None:
    files: dict[str, str] = {}
    for name in ("sda", "sdb", "nvme0n1", "nvme0c0n1", "loop0"):
        files |= block(name, 1 << 21, device__model="D")
    files |= {
        "sys/block/sdb/removable": "1\n",
        "sys/block/nvme0c0n1/hidden": "1\n",
        "sys/block/loop0/loop/backing_file": "/x\n",
    }
    found, left = disks.measurable(machine(tmp_path, files))
    assert [disk.name for disk in found] == ["nvme0n1", "sda"]
    assert [(one.name, one.reason) for one in left] == [("disk/sdb", "a removable medium")]


def test_counters_of_the_kernel(tmp_path: Path) -> None:
    tree = machine(
        tmp_path,
        {
            "sys/devices/system/edac/mc/mc0/ce_count": "3\n",
            "sys/devices/system/edac/mc/mc0/ue_count": "0\n",
            "sys/devices/system/edac/mc/power/control": "auto\n",
            f"{CPUS}/cpu0/thermal_throttle/core_throttle_count": "2\n",
            f"{CPUS}/cpu1/thermal_throttle/core_throttle_count": "5\n",
            f"{CPUS}/cpu0/thermal_throttle/package_throttle_count": "9\n",
            f"{PCI}/0000:3b:00.0/aer_dev_correctable": "RxErr 4\nBadTLP 1\nTOTAL_ERR_COR 5\n",
            f"{PCI}/0000:3b:00.0/aer_dev_fatal": "Undefined 0\nTOTAL_ERR_FATAL 0\n",
            "sys/class/net/eth0/device/vendor": "0x8086\n",
            "sys/class/net/eth0/statistics/rx_crc_errors": "7\n",
            "proc/interrupts": "       CPU0 CPU1\nMCE:      1      0   Machine check exceptions\n",
        },
    )
    assert counters.kernel_counters(tree) == {
        "edac/mc0/ce": 3,
        "edac/mc0/ue": 0,
        "throttle/core": 7,
        "throttle/package": 9,
        "mce/exceptions": 1,
        "aer/0000:3b:00.0/correctable": 5,
        "aer/0000:3b:00.0/fatal": 0,
        "network/eth0/rx_crc_errors": 7,
    }


@pytest.mark.parametrize(
    ("name", "stage", "error", "warning"),
    [
        ("edac/mc0/ue", "memory/all", "uncorrected errors (mc0/ue) during memory/all", ""),
        ("edac/mc0/ue", "", "uncorrected errors (mc0/ue) before the test", ""),
        ("edac/mc0/ce", "cpu/all", "", "corrected errors (mc0/ce) during cpu/all"),
        ("mce/exceptions", "cpu/all", "machine check", ""),
        ("aer/0000:3b:00.0/fatal", "disk/a", "fatal errors of 0000:3b:00.0", ""),
        ("aer/0000:3b:00.0/correctable", "disk/a", "", "correctable errors of 0000:3b:00.0"),
        ("throttle/core", "cpu/all", "", "throttled by heat"),
        ("throttle/core", "", "", ""),
        ("disk/sda/Current_Pending_Sector(197)", "disk/sda", "", "(197) went up by 2"),
    ],
)  # fmt: skip
def test_what_a_counter_that_rose_means(name: str, stage: str, error: str, warning: str) -> None:
    said = counters.meaning(Change(name, 1, 3, stage, 1))
    assert [bool(text) for text in said] == [bool(error), bool(warning)]
    assert error in said[0]
    assert warning in said[1]


def test_a_counter_that_fell_or_stayed_means_nothing() -> None:
    assert counters.meaning(Change("edac/mc0/ue", 3, 0, "cpu/all", 1)) == ("", "")
    assert counters.changes({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 1}) == [
        Change("b", 2, 3), Change("c", 0, 1),
    ]  # fmt: skip


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def test_smart_that_fails_is_hard_and_its_counters_are_kept(tmp_path: Path, programs: Path) -> None:
    text = (CAPTURED / "smartctl-ata.json").read_text()
    (tmp_path / "smart.json").write_text(text.replace('"passed": true', '"passed": false'))
    fake(programs, "smartctl", f"cat {tmp_path}/smart.json")
    tree = machine(
        tmp_path / "root",
        {"sys/block/sda/size": "1000\n", "sys/block/sda/device/model": "D\n"},
    )
    health = counters.asked_health(tree)
    assert health.failing == ("disk: sda: SMART says that it is failing",)
    assert health.counters
    assert all(name.startswith("disk/sda/") for name in health.counters)


def test_the_bmcs_log_and_sensors(tmp_path: Path, programs: Path) -> None:
    fake(
        programs,
        "ipmitool",
        'if [ "$1" = sel ]; then cat "$(dirname "$0")/sel"; else\n'
        'echo "Fan 1 | 0 RPM | cr"; echo "Temp | 30 degrees C | ok"; fi',
    )
    tree = machine(tmp_path / "root", {"dev/ipmi0": ""})
    (programs / "sel").write_text(
        "   1 | 01/01/26 | 10:00:00 | Fan 1 | Lower Critical | Asserted\n"
    )
    before = counters.asked_health(tree)
    assert before.alarms == ("bmc: Fan 1 is critical: 0 RPM",)
    with (programs / "sel").open("a") as stream:
        stream.write("   2 | 01/01/26 | 10:01 | Memory #1 | Uncorrectable ECC | Asserted\n")
        stream.write("   3 | 01/01/26 | 10:02 | PSU 1 | Failure detected | Asserted\n")
    errors, warnings = counters.new_events(before, counters.asked_health(tree))
    assert len(errors) == len(warnings) == 1
    assert "Uncorrectable ECC" in errors[0]
    assert "PSU 1" in warnings[0]


def bank(number: int, size: int, locator: str, rated: int = 3200, runs: int = 3200) -> list[Item]:
    name = f"bank:{number}"
    return [
        Item("memory", name, "size", str(size << 30)),
        Item("memory", name, "clock", str(rated * 10**6)),
        Item("memory", name, "configured_clock", str(runs * 10**6)),
        Item("memory", name, "slot", locator),
    ]


def test_modules_are_even_and_at_their_speed(tmp_path: Path) -> None:
    even = [
        item
        for number, place in enumerate(PLACES)
        for item in bank(number, 16, place)
    ]  # fmt: skip
    found = topology(two_sockets(tmp_path))
    assert list(facts.memory_warnings(report(even), found)) == []
    one_less = [item for item in even if item.id != "bank:3"]
    assert "unequal over the sockets (2 on 1, 1 on 2)" in next(
        facts.memory_warnings(report(one_less), found)
    )
    slow = [*even[:-4], *bank(3, 16, "CPU2_DIMM_B1", 3200, 2666)]
    assert list(facts.memory_warnings(report(slow), found)) == [
        "memory: 1 modules run at 2666 MHz, they are rated for 3200"
    ]
    channels = [
        *bank(0, 16, "DIMM_A1"), *bank(1, 16, "DIMM_A2"), *bank(2, 16, "DIMM_B1"),
    ]  # fmt: skip
    assert "over the channels (2 on A, 1 on B)" in next(
        facts.memory_warnings(report(channels), Topology((), ()))
    )


def test_a_card_and_what_it_and_its_partner_can_do() -> None:
    items = [
        Item("network", "eth0", "size", "1000000000"),
        Item("network", "eth0", "capacity", "10000000000"),
        Item("network", "eth0", "duplex", "full"),
        Item("network", "eth1", "capacity", "10000000000"),
    ]
    name, part, now, can = "network eth0", Part.NETWORK, "1 Gbit/s full", "10 Gbit/s full"
    assert list(facts.network_links(report(items))) == [Link(name, part, now, can, False)]
    slow = Item("network", "eth0", "partner_capacity", "1000000000")
    assert list(facts.network_links(report([*items, slow]))) == [Link(name, part, now, now)]
    fast = Item("network", "eth0", "partner_capacity", "25000000000")
    assert list(facts.network_links(report([*items, fast]))) == [Link(name, part, now, can)]


def test_a_pcie_link_is_judged_by_its_best_moment(tmp_path: Path) -> None:
    port = "sys/devices/pci0000:3a/0000:3a:00.0"
    device = f"{port}/0000:3b:00.0"
    files = {
        f"{device}/class": "0x010802\n",
        f"{device}/current_link_speed": "2.5 GT/s PCIe\n",
        f"{device}/current_link_width": "4\n",
        f"{device}/max_link_speed": "8.0 GT/s PCIe\n",
        f"{device}/max_link_width": "4\n",
        f"{port}/max_link_speed": "8.0 GT/s PCIe\n",
        f"{port}/max_link_width": "8\n",
    }
    tree = machine(tmp_path, files, {f"{PCI}/0000:3b:00.0": str(tmp_path / device)})
    watcher = Watcher(tree)
    watcher.look()
    name, full = "pcie 0000:3b:00.0", "8.0 GT/s x4"
    assert watcher.links.links() == [Link(name, Part.DISK, "2.5 GT/s x4", full)]
    (tmp_path / device / "current_link_speed").write_text("8.0 GT/s PCIe\n")
    watcher.look()
    (tmp_path / device / "current_link_speed").write_text("2.5 GT/s PCIe\n")
    watcher.look()
    assert watcher.links.links() == [Link(name, Part.DISK, full, full)]
    # Nothing here works a GPU, and its link rests: only its lanes count.
    (tmp_path / device / "class").write_text("0x030200\n")
    gpu = Watcher(tree)
    gpu.look()
    assert gpu.links.links() == [Link(name, Part.OTHER, "x4", "x4")]


def test_traces_are_the_hottest_and_the_slowest(tmp_path: Path) -> None:
    hwmon = "sys/class/hwmon/hwmon0"
    tree = machine(
        tmp_path,
        {
            f"{hwmon}/name": "coretemp\n",
            f"{hwmon}/temp1_input": "41000\n",
            f"{hwmon}/temp2_input": "55500\n",
            "sys/class/hwmon/hwmon1/name": "nvme\n",
            "sys/class/hwmon/hwmon1/temp1_input": "90000\n",
            f"{CPUS}/cpu0/cpufreq/scaling_cur_freq": "3000000\n",
            f"{CPUS}/cpu1/cpufreq/scaling_cur_freq": "1000000\n",
        },
    )
    watcher = Watcher(tree)
    watcher.look()
    watcher.look()
    assert {trace.name: trace.points for trace in watcher.traces()} == {
        "cpu/temperature": (55.5, 55.5),
        "cpu/frequency": (2000.0, 2000.0),
        "cpu/frequency_lowest": (1000.0, 1000.0),
    }


def test_frequencies_without_a_driver_that_sets_them(tmp_path: Path) -> None:
    watcher = Watcher(machine(tmp_path, {"proc/cpuinfo": (CAPTURED / "cpuinfo.txt").read_text()}))
    watcher.look()
    assert {trace.name: trace.points for trace in watcher.traces()} == {
        "cpu/frequency": (2596.1,),
        "cpu/frequency_lowest": (2596.1,),
    }


def test_governors_come_back_whatever_happens(tmp_path: Path) -> None:
    files = {}
    for cpu, governor in enumerate(("powersave", "performance", "ondemand")):
        files[f"{CPUS}/cpu{cpu}/cpufreq/scaling_governor"] = f"{governor}\n"
        files[f"{CPUS}/cpu{cpu}/cpufreq/scaling_available_governors"] = f"performance {governor}\n"
    files[f"{CPUS}/cpu3/cpufreq/scaling_governor"] = "userspace\n"
    files[f"{CPUS}/cpu3/cpufreq/scaling_available_governors"] = "userspace\n"
    tree = machine(tmp_path, files)

    def governors() -> list[str]:
        return [tree.text(f"{CPUS}/cpu{cpu}/cpufreq/scaling_governor") for cpu in range(4)]

    before = governors()
    with pytest.raises(RuntimeError), at_full_speed(tree):
        assert governors() == ["performance", "performance", "performance", "userspace"]
        raise RuntimeError("a stage broke")
    assert governors() == before
