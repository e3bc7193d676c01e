"""What becomes of tested machines: who waits, who measures again, who is good, who is not."""

from collections.abc import Mapping

import pytest
from fleet import server

from edeploy.health.drift import Pair, drifts
from edeploy.health.gate import Decision, Fate, Tested, decide, parts_of
from edeploy.health.rounds import merged

GOOD = {"cpu/all_events": 1000.0, "disk/sda/read_1M": 200_000.0}
Document = dict[str, object]


def measured(
    number: int, values: Mapping[str, float] = GOOD, *, first: int = 1, runs: int = 1
) -> Document:
    """The results of some runs; equal machines are not equal to the last digit."""
    return {
        "stages": [
            {"name": name, "run": str(run), "state": "done"}
            for name in values
            for run in range(first, first + runs)
        ],
        "results": [
            {
                "stage": name,
                "metric": name,
                "unit": "x/s",
                "better": "higher",
                "run": str(run),
                "value": value * (1 + 0.0004 * ((number * 3 + run) % 7)),
            }
            for name, value in values.items()
            for run in range(first, first + runs)
        ],
    }


def known(number: int, *rounds: Document, waiting: bool = True, **more: bool) -> Tested:
    said = rounds or (measured(number),)
    parts = parts_of(server(number).report())
    return Tested(f"m{number}", "quick", parts, said, waiting=waiting, **more)


def fates(*all_tested: Tested, min_group: int = 5) -> dict[str, Decision]:
    return {one.node: one for one in decide(all_tested, min_group=min_group)}


RACK = [known(number) for number in range(1, 6)]
DONE = [known(number, waiting=False, settled=True) for number in range(1, 6)]
SLOW = {**GOOD, "disk/sda/read_1M": 120_000.0}


def test_the_first_of_a_kind_wait_for_each_other() -> None:
    for count in range(1, 5):
        found = fates(*RACK[:count])
        assert {one.fate for one in found.values()} == {Fate.WAIT}
        assert f"{count} of 5" in found["m1"].why and "health go m1" in found["m1"].why
    assert {one.fate for one in fates(*RACK).values()} == {Fate.PASS}


def test_only_those_that_wait_are_decided_on() -> None:
    found = fates(*DONE, known(6))
    assert list(found) == ["m6"] and found["m6"].fate is Fate.PASS


def test_one_more_of_a_kind_that_was_judged_waits_for_nobody() -> None:
    two = [known(1, waiting=False, settled=True), known(2)]
    assert fates(*two)["m2"].fate is Fate.PASS


def test_an_operators_word_is_for_the_kind() -> None:
    found = fates(known(1, go=True), known(2))
    assert {one.fate for one in found.values()} == {Fate.PASS}


def test_who_was_only_rejected_makes_no_kind_known() -> None:
    wrong = {**measured(1), "errors": ["memory: 2 wrong words"]}
    found = fates(known(1, wrong, waiting=False), known(2))
    assert found["m2"].fate is Fate.WAIT


def test_another_test_is_another_kind() -> None:
    parts = parts_of(server(9).report())
    full = Tested("m9", "full", parts, (measured(9),), waiting=True)
    assert fates(*DONE, full)["m9"].fate is Fate.WAIT


@pytest.mark.parametrize("runs", [1, 3])
def test_a_suspect_measures_again_and_is_rejected(runs: int) -> None:
    first = measured(6, SLOW, runs=runs)
    found = fates(*DONE, known(6, first))["m6"]
    assert (found.fate, found.stages) == (Fate.RETEST, ("disk/sda/read_1M",))
    disk = {"disk/sda/read_1M": 120_000.0}
    again = measured(6, disk, first=runs + 1, runs=3)
    found = fates(*DONE, known(6, first, again))["m6"]
    assert (found.fate, found.verdict) == (Fate.REJECT, "fail")
    assert found.entry["component"] == "disk" and "39.9 %" in found.why or "40." in found.why


def test_a_disturbance_is_no_reason_to_reject() -> None:
    again = measured(6, {"disk/sda/read_1M": 200_000.0}, first=2, runs=3)
    found = fates(*DONE, known(6, measured(6, SLOW), again))["m6"]
    assert found.fate is Fate.PASS


def test_one_that_is_slow_in_half_of_its_runs_is_rejected() -> None:
    again = measured(6, {"disk/sda/read_1M": 200_000.0}, first=2, runs=3)
    bad = [one for one in again["results"] if one["run"] in ("2", "3")]  # type: ignore[attr-defined]
    for one in bad:
        one["value"] *= 0.6
    found = fates(*DONE, known(6, measured(6, SLOW), again))["m6"]
    assert found.fate is Fate.REJECT


def test_two_that_differ_are_both_suspects_and_then_rejected() -> None:
    pair = [known(1, go=True), known(2, measured(2, SLOW))]
    assert {one.fate for one in fates(*pair).values()} == {Fate.RETEST}
    pair = [
        known(1, measured(1), measured(1, first=2, runs=3), go=True),
        known(2, measured(2, SLOW), measured(2, SLOW, first=2, runs=3)),
    ]
    assert {one.fate for one in fates(*pair).values()} == {Fate.REJECT}


def test_a_hard_error_is_rejected_alone_and_at_once() -> None:
    wrong = {**measured(1), "errors": ["memory/node0: stressapptest found 2 wrong words"]}
    found = fates(known(1, wrong))["m1"]
    assert found.fate is Fate.REJECT and ": memory/node0: stressapptest" in found.why
    assert "memory: memory" not in found.why
    assert found.entry["component"] == "memory"
    # No later round makes it good.
    assert fates(known(1, wrong, measured(1, first=2)))["m1"].fate is Fate.REJECT


def missing(number: int, *, first: int = 1) -> Document:
    values = {"cpu/all_events": 1000.0}
    document = measured(number, values, first=first)
    lost = {"name": "disk/sda/read_1M", "run": str(first), "state": "missing", "reason": "killed"}
    return {**document, "stages": [*document["stages"], lost]}  # type: ignore[misc]


def test_what_is_missing_is_measured_again_and_never_passes() -> None:
    for peers in ([], DONE):
        found = fates(*peers, known(6, missing(6)))["m6"]
        assert (found.fate, found.stages) == (Fate.RETEST, ("disk/sda/read_1M",))
        found = fates(*peers, known(6, missing(6), missing(6, first=2)))["m6"]
        assert found.fate is Fate.REJECT and "killed" in found.why
    good = measured(6, {"disk/sda/read_1M": 200_000.0}, first=2, runs=3)
    assert fates(*DONE, known(6, missing(6), good))["m6"].fate is Fate.PASS


def test_a_test_without_any_result_is_no_pass() -> None:
    empty: Document = {"stages": [], "results": []}
    assert fates(known(1, empty, go=True))["m1"].fate is Fate.RETEST
    assert fates(known(1, empty, empty, go=True))["m1"].fate is Fate.REJECT


def test_a_retest_alone_does_not_open_the_gate_for_its_kind() -> None:
    good = measured(1, {"disk/sda/read_1M": 200_000.0}, first=2, runs=3)
    found = fates(known(1, missing(1), good), known(2))
    assert {one.fate for one in found.values()} == {Fate.WAIT}


def test_decisions_do_not_depend_on_the_order() -> None:
    rack = [*RACK, known(6, measured(6, SLOW))]
    assert decide(rack, min_group=5) == decide(rack[::-1], min_group=5)


def test_rounds_as_one_document() -> None:
    found = merged((missing(1), measured(1, {"disk/sda/read_1M": 2.0}, first=2, runs=3)))
    states = {(one["name"], one["run"]): one["state"] for one in found["stages"]}  # type: ignore[attr-defined]
    assert "missing" not in states.values() and len(states) == 4
    assert len(found["results"]) == 4  # type: ignore[arg-type]


def lost(share: float, node: str = "m1") -> Pair:
    now = measured(1, {**GOOD, "cpu/all_events": 1000.0 * (1 - share)})
    return Pair(node, (measured(1),), (now,))


def test_drift_against_the_own_birth() -> None:
    worst = drifts([lost(0.1)])[0]
    assert worst.metric == "cpu/all_events" and worst.gone and worst.alone
    assert worst.loss == pytest.approx(0.1) and worst.peers is None
    assert not any(one.gone for one in drifts([lost(0.03)]))
    assert not any(one.gone for one in drifts([lost(-0.5)]))


def test_what_all_lost_is_no_machines_fault() -> None:
    found = drifts([lost(0.1, f"m{n}") for n in range(3)] + [lost(0.3, "sheep")])
    assert [one.node for one in found if one.alone] == ["sheep"]
    assert len([one for one in found if one.gone]) == 4


def test_latencies_drift_the_other_way() -> None:
    def document(value: float) -> Document:
        return {"results": [{"metric": "disk/sda/lat", "unit": "us", "value": value}]}

    assert drifts([Pair("a", (document(100),), (document(200),))])[0].gone
    assert not drifts([Pair("a", (document(200),), (document(100),))])[0].gone
    odd: Document = {"results": [5, {"metric": "x", "value": "1"}, {"metric": "x", "value": True}]}
    assert drifts([Pair("a", (odd,), (odd,)), Pair("b", (), ())]) == ()
