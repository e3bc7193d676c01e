"""Real fleets: the blades and the cloud nodes of the shared data, whose sheep are known."""

import functools

import pytest
from health_cases import SHARED, by_node, judge, verdicts

from edeploy.health.analysis import Analysis
from edeploy.health.measurements import Component
from edeploy.health.rules import LIMIT_Z, RUNS_TO_FAIL, Verdict

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not there")

FEW_MODULES = {"CZ3404YWNN", "CZ3404YWNR", "CZ3404YWNT", "CZ3404YWNW"}
SLOW_WRITER = "CZ3404YWPP"
MORE_DISKS = "CZ3404YWNW"


@functools.cache
def blades() -> Analysis:
    return judge(SHARED / "bl460c")


@functools.cache
def cloud() -> Analysis:
    return judge(SHARED / "cloud")


def test_the_blades_verdicts() -> None:
    found = verdicts(blades())
    assert len(found) == 19
    expected = dict.fromkeys(found, "pass") | dict.fromkeys(FEW_MODULES, "fail")
    assert found == expected | {SLOW_WRITER: "retest"}


@pytest.mark.parametrize("node", sorted(FEW_MODULES))
def test_a_blade_with_a_quarter_of_its_modules(node: str) -> None:
    told = by_node(blades())[node]
    assert told.findings[0].component is Component.MEMORY
    assert told.comparison is not None
    assert told.comparison.component is Component.MEMORY
    assert told.comparison.members == 15
    assert told.comparison.loss == pytest.approx(0.72, abs=0.01)
    assert told.cause is not None
    assert told.cause.likely.startswith("2 memory modules where 15 of 19 have 8")
    assert node in told.why and told.cause.likely in told.why and told.cause.step in told.why


def test_the_blade_that_writes_slowly() -> None:
    told = by_node(blades())[SLOW_WRITER]
    metrics = {one.comparison.metric for one in told.findings if one.comparison is not None}
    assert metrics and all("write" in metric for metric in metrics)
    assert {one.component for one in told.findings} == {Component.DISK}
    assert told.comparison is not None
    assert told.comparison.loss == pytest.approx(0.75, abs=0.01)
    assert told.cause is not None and "write cache" in told.cause.likely


def test_eight_more_disks_are_a_difference_in_parts() -> None:
    told = by_node(blades())[MORE_DISKS]
    texts = [one.difference.text() for one in told.findings if one.difference is not None]
    assert "8 more disks than 18 of 19: 8 × SATA 1000 GB" in texts
    assert texts[-1] in told.why


def test_groups_of_blades_are_by_parts() -> None:
    sizes = [(len(one.machines), one.why) for one in blades().groups.groups]
    assert sizes == [
        (15, ()),
        (3, ("- memory: 6 × 16 GiB 1600 MHz",)),
        (1, ("- memory: 6 × 16 GiB 1600 MHz", "+ disk: 8 × SATA 1000 GB")),
    ]


def test_the_three_slow_cloud_nodes() -> None:
    failed = {node for node, word in verdicts(cloud()).items() if word == "fail"}
    group = "aws/eks/cpu/size128/results/stream"
    assert failed == {f"{group} 4", f"{group} 47", f"{group} 78"}
    for node in failed:
        told = by_node(cloud())[node].comparison
        assert told is not None
        assert (told.metric, told.members, told.runs, told.odd) == ("scale", 128, 5, 5)
        assert 0.05 < told.loss < 0.065
        assert told.z is not None and told.z < -LIMIT_Z


def test_whoever_fails_is_beyond_noise_in_each_of_enough_runs() -> None:
    for judgement in cloud().judgements:
        for one in judgement.findings:
            if one.verdict is Verdict.FAIL:
                assert one.comparison is not None
                assert one.comparison.odd == one.comparison.runs >= RUNS_TO_FAIL


def test_who_is_slow_in_one_run_only_is_tested_again() -> None:
    once = [
        (judgement, one)
        for judgement in cloud().judgements
        for one in judgement.findings
        if one.comparison is not None and one.comparison.odd == 1 < one.comparison.runs
        if one.verdict > Verdict.WATCH
    ]
    assert len(once) > 10
    assert {one.verdict for _, one in once} == {Verdict.RETEST}


def test_each_naming_shows_its_runs() -> None:
    named = [one for one in cloud().judgements if one.verdict in (Verdict.FAIL, Verdict.RETEST)]
    assert len(named) > 30
    for judgement in named:
        told = judgement.comparison
        assert told is not None and len(told.run_losses) == told.runs
        assert f"of {told.runs} run" in judgement.why
        assert all(f"{abs(100 * loss):.1f} %" in judgement.why for loss in told.run_losses)
