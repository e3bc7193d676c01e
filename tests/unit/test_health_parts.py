"""Groups by hardware: parts that differ are told as parts, and soft facts explain modes."""

from pathlib import Path

from health_cases import NOISE, Row, blade, by_node, judge_reports, verdicts

from edeploy.health.groups import Choice

MEMORY = "cpu/logical/forked_bandwidth_128M"
READ = "disk/{}/standalone_read_1M_KBps"


def figures(number: int, memory: float = 30000, **disks: float) -> dict[str, float]:
    """Figures of blade `number`, each a little off."""
    off = 1 + NOISE[number % 16] / 100
    reads = {"sda": 190000.0, "sdb": 190000.0} | disks
    return {MEMORY: memory * off, **{READ.format(disk): v * off for disk, v in reads.items()}}


def rack(size: int = 12, first: int = 0) -> list[list[Row]]:
    return [blade(f"GOOD{n:02}", measured=figures(n)) for n in range(first, size)]


def test_missing_modules_fail_as_that_fact(tmp_path: Path) -> None:
    bad = [blade(f"BAD{n}", modules=2, measured=figures(n, memory=9000)) for n in range(3)]
    analysis = judge_reports(tmp_path, [*rack(), *bad])
    found = verdicts(analysis)
    assert {node for node, verdict in found.items() if verdict == "fail"} == {
        "BAD0",
        "BAD1",
        "BAD2",
    }
    told = by_node(analysis)["BAD0"]
    assert told.comparison is not None
    assert told.comparison.metric == "memory/forked_bandwidth_128M"
    assert told.comparison.members == 12
    assert "2 memory modules where 12 of 15 have 8" in told.why
    assert "empty here and filled in its peers: DIMM 3, DIMM 4" in told.why
    sizes = [(len(one.machines), one.why) for one in analysis.groups.groups]
    assert sizes == [(12, ()), (3, ("- memory: 6 × 16 GiB",))]


def test_a_missing_disk_fails_without_any_figure_being_slow(tmp_path: Path) -> None:
    lacking = blade("LACK", disks=1, measured={MEMORY: 30000, READ.format("sda"): 190000})
    analysis = judge_reports(tmp_path, [*rack(), lacking])
    assert verdicts(analysis)["LACK"] == "fail"
    assert "1 disk where 12 of 13 have 2" in by_node(analysis)["LACK"].why


def test_more_parts_are_told_and_watched(tmp_path: Path) -> None:
    more = blade("MORE", disks=4, measured=figures(0, sdc=190000, sdd=190000))
    analysis = judge_reports(tmp_path, [*rack(), more])
    assert verdicts(analysis)["MORE"] == "watch"
    assert "4 disks where 12 of 13 have 2" in by_node(analysis)["MORE"].why


def test_equal_shares_are_two_groups_and_no_fault(tmp_path: Path) -> None:
    small = [blade(f"S{n:02}", modules=4, measured=figures(n, memory=16000)) for n in range(10)]
    analysis = judge_reports(tmp_path, [*rack(10), *small])
    assert set(verdicts(analysis).values()) == {"pass"}
    assert [len(one.machines) for one in analysis.groups.groups] == [10, 10]


def test_group_by_makes_other_parts_another_family(tmp_path: Path) -> None:
    small = [blade(f"S{n}", modules=4, measured=figures(n, memory=16000)) for n in range(3)]
    choice = Choice(group_by=("system", "memory"))
    analysis = judge_reports(tmp_path, [*rack(), *small], choice)
    assert set(verdicts(analysis).values()) == {"pass"}
    assert len(analysis.groups.families) == 2


def test_ignored_parts_are_found_again_by_their_effect(tmp_path: Path) -> None:
    small = [blade(f"S{n}", modules=4, measured=figures(n, memory=16000)) for n in range(3)]
    analysis = judge_reports(tmp_path, [*rack(), *small], Choice(ignore=("memory",)))
    told = by_node(analysis)["S1"]
    assert told.verdict.word == "retest"  # one run, and no fact that counts
    assert "these 3 have memory 4 × 16 GiB where 12 have 8 × 16 GiB" in told.why


def test_firmware_that_separates_two_modes_is_named(tmp_path: Path) -> None:
    old = [blade(f"OLD{n}", bios="I30", measured=figures(n, memory=24000)) for n in range(4)]
    analysis = judge_reports(tmp_path, [*rack(), *old])
    told = by_node(analysis)["OLD2"]
    assert told.verdict.word == "retest"
    assert "these 4 have firmware.bios.version I30 where 12 have I31" in told.why
    assert "bring firmware.bios.version to I31" in told.why


def test_halves_with_a_fact_are_judged_by_themselves(tmp_path: Path) -> None:
    old = [blade(f"OLD{n:02}", bios="I30", measured=figures(n, memory=24000)) for n in range(11)]
    old[3] = blade("OLD03", bios="I30", measured=figures(3, memory=20000))
    analysis = judge_reports(tmp_path, [*rack(), *old])
    found = verdicts(analysis)
    assert found["OLD03"] == "retest"
    assert {found[f"OLD{n:02}"] for n in range(11) if n != 3} == {"watch"}
    assert {verdict for node, verdict in found.items() if node.startswith("GOOD")} == {"pass"}


def test_one_slow_disk_beside_its_siblings(tmp_path: Path) -> None:
    slow = blade("SLOW", measured=figures(0, sdb=120000))
    analysis = judge_reports(tmp_path, [*rack(), slow])
    told = by_node(analysis)["SLOW"]
    assert told.comparison is not None
    assert told.comparison.metric == "disk/sdb/standalone_read_1M_KBps"
    assert told.comparison.members == 26
    assert "the disk itself" in told.why


def test_all_disks_slow_is_what_they_share(tmp_path: Path) -> None:
    slow = blade("SLOW", measured=figures(0, sda=118000, sdb=120000))
    analysis = judge_reports(tmp_path, [*rack(), slow])
    assert "all of them are slow: controller, backplane or cable" in by_node(analysis)["SLOW"].why


def test_disks_of_one_machine_are_compared_with_each_other(tmp_path: Path) -> None:
    disks = {READ.format(f"sd{disk}"): 190000.0 for disk in "abcdefgh"}
    disks[READ.format("sdc")] = 90000.0
    analysis = judge_reports(tmp_path, [blade("ONLY", disks=8, measured=disks)])
    told = analysis.judgements[0]
    assert told.verdict.word == "retest"
    assert told.comparison is not None
    assert told.comparison.disk == "sdc"


def test_no_measurements_are_no_pass(tmp_path: Path) -> None:
    analysis = judge_reports(tmp_path, [*rack(), blade("MUTE")])
    assert verdicts(analysis)["MUTE"] == "no-data"


def test_the_switch_port_is_told(tmp_path: Path) -> None:
    lldp = [
        ("lldp", "eth0", "System Name", "sw-r12"),
        ("lldp", "eth0", "Port ID/Ifname", "gi1/7"),
        ("lldp", "eth0", "Chassis ID/MAC", "f8:b1:56:15:e6:c6"),
    ]
    bad = blade("BAD", modules=2, measured=figures(1, memory=9000), more=lldp)
    why = by_node(judge_reports(tmp_path, [*rack(), bad]))["BAD"].why
    assert why.startswith("ACME Blade 1, serial BAD, at switch sw-r12 port gi1/7: ")


def test_oddities_of_one_machine_are_told(tmp_path: Path) -> None:
    odd = blade("ODD", bios="I29", measured=figures(1, memory=20000))
    told = by_node(judge_reports(tmp_path, [*rack(), odd]))["ODD"]
    assert [one.text() for one in told.oddities] == [
        "firmware.bios.version is I29 where 12 of 13 have I31"
    ]
    assert "firmware.bios.version is I29 where 12 of 13 have I31" in told.why
