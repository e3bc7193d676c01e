"""The rules of the judgement, each by a small fleet."""

from pathlib import Path

import pytest
from health_cases import by_node, csv_of, fleet, judge_csv, slowed, verdicts

from edeploy.health.groups import Choice


def test_good_machines_pass(tmp_path: Path) -> None:
    analysis = judge_csv(tmp_path, csv_of(fleet(16)))
    assert set(verdicts(analysis).values()) == {"pass"}


def test_slow_in_every_one_of_three_runs_fails(tmp_path: Path) -> None:
    values = fleet(12, ["cpu/loops", "memory/copy"])
    values["n5"]["memory/copy"] = slowed(values["n5"]["memory/copy"], 0.10)
    analysis = judge_csv(tmp_path, csv_of(values))
    assert verdicts(analysis) == {node: "pass" for node in values} | {"n5": "fail"}
    told = by_node(analysis)["n5"].comparison
    assert told is not None
    assert (told.metric, told.members, told.runs, told.odd) == ("memory/copy", 12, 3, 3)
    assert told.loss == pytest.approx(0.10, abs=0.01)
    assert told.z is not None and told.z < -3.5
    assert told.q is not None and told.q < 0.05
    assert analysis.judgements[0].machine == by_node(analysis)["n5"].machine


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([900.0, 900.0], "retest"),
        ([900.0], "retest"),
        ([900.0, 1000.0, 1001.0], "retest"),
        ([900.0, 901.0, 1001.0], "retest"),
        ([900.0, 901.0, 902.0], "fail"),
        ([961.0, 962.0, 963.0], "watch"),
        ([1100.0, 1101.0, 1102.0], "pass"),
    ],
    ids=["two runs", "one run", "one of three", "two of three", "all", "too little", "faster"],
)
def test_what_becomes_of_runs(tmp_path: Path, runs: list[float], expected: str) -> None:
    values = fleet(12, runs=len(runs))
    values["n3"]["cpu/loops"] = runs
    assert verdicts(judge_csv(tmp_path, csv_of(values)))["n3"] == expected


def test_a_whole_slow_run_blames_nobody(tmp_path: Path) -> None:
    values = fleet(12)
    for metrics in values.values():
        metrics["cpu/loops"][1] *= 0.8
    assert set(verdicts(judge_csv(tmp_path, csv_of(values))).values()) == {"pass"}


def test_less_is_better_for_times(tmp_path: Path) -> None:
    values = fleet(10, ["disk/sda/latency_ms"])
    values["n2"]["disk/sda/latency_ms"] = [1400.0, 1401.0, 1402.0]
    values["n3"]["disk/sda/latency_ms"] = [700.0, 701.0, 702.0]
    found = verdicts(judge_csv(tmp_path, csv_of(values)))
    assert (found["n2"], found["n3"]) == ("fail", "pass")


@pytest.mark.parametrize(
    ("metric", "loss", "expected"),
    [
        ("cpu/loops", 0.06, "fail"),
        ("disk/sda/randread_4k", 0.09, "watch"),
        ("disk/sda/randread_4k", 0.12, "fail"),
        ("disk/sda/write_1M", 0.14, "pass"),
        ("disk/sda/write_1M", 0.25, "fail"),
        ("network/eth0/tcp", 0.07, "fail"),
    ],
)
def test_effect_floors(tmp_path: Path, metric: str, loss: float, expected: str) -> None:
    values = fleet(12, [metric])
    values["n7"][metric] = slowed(values["n7"][metric], loss)
    assert verdicts(judge_csv(tmp_path, csv_of(values)))["n7"] == expected


def test_small_groups_have_wider_floors(tmp_path: Path) -> None:
    for size, expected in ((8, "fail"), (7, "watch"), (3, "watch")):
        values = fleet(size)
        values["n1"]["cpu/loops"] = slowed(values["n1"]["cpu/loops"], 0.07)
        assert verdicts(judge_csv(tmp_path, csv_of(values)))["n1"] == expected
    values["n1"]["cpu/loops"] = slowed(values["n1"]["cpu/loops"], 0.15)
    assert verdicts(judge_csv(tmp_path, csv_of(values)))["n1"] == "fail"


def test_of_two_that_differ_nobody_knows(tmp_path: Path) -> None:
    values = fleet(2)
    assert verdicts(judge_csv(tmp_path, csv_of(values))) == {"n1": "pass", "n2": "pass"}
    values["n2"]["cpu/loops"] = slowed(values["n2"]["cpu/loops"], 0.2)
    analysis = judge_csv(tmp_path, csv_of(values))
    assert verdicts(analysis) == {"n1": "retest", "n2": "retest"}
    assert "only 2 of their kind" in by_node(analysis)["n1"].why


def test_one_alone_is_not_passed(tmp_path: Path) -> None:
    analysis = judge_csv(tmp_path, csv_of(fleet(1)))
    assert verdicts(analysis) == {"n1": "no-data"}
    assert "nothing to compare it with" in analysis.judgements[0].why


def test_one_alone_is_held_against_its_own_packages(tmp_path: Path) -> None:
    good = {"n1": {"cpu/physical_0/loops": [100.0] * 3, "cpu/physical_1/loops": [99.0] * 3}}
    assert verdicts(judge_csv(tmp_path, csv_of(good))) == {"n1": "pass"}
    good["n1"]["cpu/physical_1/loops"] = [90.0] * 3
    analysis = judge_csv(tmp_path, csv_of(good))
    assert verdicts(analysis) == {"n1": "fail"}
    assert "cpu/physical_1/loops is 10.0 % below the best" in analysis.judgements[0].why


def test_a_missing_result_is_never_a_pass(tmp_path: Path) -> None:
    values = fleet(10, ["cpu/loops", "memory/copy"])
    del values["n4"]["memory/copy"]
    analysis = judge_csv(tmp_path, csv_of(values))
    assert verdicts(analysis)["n4"] == "no-data"
    assert "no result of memory/copy, which its peers have" in by_node(analysis)["n4"].why


def test_one_run_here_and_nine_there(tmp_path: Path) -> None:
    values = fleet(10)
    values["n1"]["cpu/loops"] = values["n1"]["cpu/loops"][:1]
    values["n2"]["cpu/loops"] = fleet(10, runs=9)["n2"]["cpu/loops"]
    values["n3"]["cpu/loops"] = slowed(fleet(10, runs=9)["n3"]["cpu/loops"], 0.2)
    values["n4"]["cpu/loops"] = [800.0]
    found = verdicts(judge_csv(tmp_path, csv_of(values)))
    assert found.pop("n3") == "fail"
    assert found.pop("n4") == "retest"
    assert set(found.values()) == {"pass"}


def test_two_halves_without_a_fact_cannot_be_judged(tmp_path: Path) -> None:
    values = fleet(12)
    for node in ("n1", "n2", "n3", "n4", "n5", "n6"):
        values[node]["cpu/loops"] = slowed(values[node]["cpu/loops"], 0.3)
    analysis = judge_csv(tmp_path, csv_of(values))
    assert set(verdicts(analysis).values()) == {"group-suspect"}
    assert "two modes" in analysis.judgements[0].why


def test_a_slow_minority_fails(tmp_path: Path) -> None:
    values = fleet(16)
    for node in ("n1", "n2", "n3"):
        values[node]["cpu/loops"] = slowed(values[node]["cpu/loops"], 0.3)
    found = verdicts(judge_csv(tmp_path, csv_of(values)))
    assert {node for node, verdict in found.items() if verdict == "fail"} == {"n1", "n2", "n3"}
    assert set(found.values()) == {"fail", "pass"}


def test_a_fast_minority_is_told_and_not_blamed(tmp_path: Path) -> None:
    values = fleet(16)
    for node in ("n1", "n2", "n3"):
        values[node]["cpu/loops"] = slowed(values[node]["cpu/loops"], -0.3)
    analysis = judge_csv(tmp_path, csv_of(values))
    assert set(verdicts(analysis).values()) == {"pass"}
    assert {one.node for one in analysis.fast} == {"n1", "n2", "n3"}


def test_half_of_the_values_equal(tmp_path: Path) -> None:
    values = {f"n{n}": {"cpu/loops": [100.0] * 3} for n in range(9)}
    values["n8"]["cpu/loops"] = [98.0] * 3
    assert set(verdicts(judge_csv(tmp_path, csv_of(values))).values()) == {"pass"}
    values["n8"]["cpu/loops"] = [90.0] * 3
    assert verdicts(judge_csv(tmp_path, csv_of(values)))["n8"] == "fail"


def test_groups_are_not_compared_unless_asked(tmp_path: Path) -> None:
    slow = {f"s{n}": {"cpu/loops": slowed(fleet(9)["n1"]["cpu/loops"], 0.4)} for n in range(8)}
    text = csv_of(fleet(9), "new") + csv_of(slow, "old").partition("\n")[2]
    assert set(verdicts(judge_csv(tmp_path, text)).values()) == {"pass"}
    found = verdicts(judge_csv(tmp_path, text, Choice(group_by=("none",))))
    assert set(found.values()) == {"group-suspect"}


def test_the_smallest_loss_that_could_be_seen(tmp_path: Path) -> None:
    values = fleet(12, ["cpu/loops", "memory/copy"])
    for n, metrics in enumerate(values.values()):
        metrics["memory/copy"] = slowed(metrics["memory/copy"], 0.02 * n)
    seen = {one.metric: one for one in judge_csv(tmp_path, csv_of(values)).detectable}
    assert seen["cpu/loops"].loss == pytest.approx(0.05)
    assert seen["memory/copy"].loss > 0.2
    assert (seen["cpu/loops"].members, seen["cpu/loops"].runs) == (12, 3)
