"""Links that run below what they can do: who is blamed, who is watched, and who is not."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from health_cases import by_node, judge
from test_health_gate import DONE, fates, known, measured

from edeploy.health.analysis import Analysis
from edeploy.health.gate import Fate
from edeploy.health.report.page import as_html
from edeploy.health.rounds import merged

Link = Mapping[str, object]
FULL, HALF = "8.0 GT/s x8", "8.0 GT/s x4"


def pcie(now: str, can: str = FULL) -> Link:
    return {"name": "pcie 0000:3b:00.0", "component": "disk", "now": now, "can": can}


def card(now: str, can: str = "10 Gbit/s full", *, both: bool = False) -> Link:
    about = {"name": "network eth0", "component": "network", "now": now, "can": can}
    return {**about, "both_ends": both}


def rack(folder: Path, links: Sequence[Link]) -> Analysis:
    """A rack of machines n0, n1, … that differ in one link only."""
    machines = [
        {
            "node": f"n{number}",
            "group": "rack",
            "links": [link],
            "results": [
                {"metric": "cpu/all", "unit": "1/s", "run": str(run), "value": 1000 + number}
                for run in range(3)
            ],
        }
        for number, link in enumerate(links)
    ]
    (folder / "results.json").write_text(json.dumps({"machines": machines}))
    return judge(folder / "results.json")


def told(analysis: Analysis) -> dict[str, str]:
    return {node: one.verdict.word for node, one in by_node(analysis).items()}


def test_a_link_below_what_both_ends_can_do_fails_as_that_fact(tmp_path: Path) -> None:
    analysis = rack(tmp_path, [pcie(FULL)] * 7 + [pcie(HALF)])
    assert told(analysis) == {**{f"n{n}": "pass" for n in range(7)}, "n7": "fail"}
    one = by_node(analysis)["n7"]
    assert one.findings[0].component.value == "disk" and one.comparison is None
    assert (
        "disk: pcie 0000:3b:00.0 runs at 8.0 GT/s x4, both ends can do 8.0 GT/s x8; "
        "7 of 8 of its kind run at 8.0 GT/s x8; likely cause: a card or riser that sits badly"
    ) in one.why


@pytest.mark.parametrize("size", [1, 2])
def test_without_peers_both_ends_are_enough(tmp_path: Path, size: int) -> None:
    assert set(told(rack(tmp_path, [pcie(HALF)] * size)).values()) == {"fail"}


def test_what_most_of_a_kind_have_is_how_it_is_built(tmp_path: Path) -> None:
    analysis = rack(tmp_path, [pcie(HALF)] * 6 + [pcie(FULL)])
    assert told(analysis) == {**{f"n{n}": "watch" for n in range(6)}, "n6": "pass"}
    assert "as 6 of 7 of its kind do; likely cause: a slot or port" in by_node(analysis)["n0"].why


def test_a_card_alone_says_little_of_a_slow_link(tmp_path: Path) -> None:
    slow, fast = card("1 Gbit/s full"), card("10 Gbit/s full")
    # A slower switch is everyday.
    assert set(told(rack(tmp_path, [slow] * 5)).values()) == {"pass"}
    assert told(rack(tmp_path, [slow]))["n0"] == "watch"
    assert told(rack(tmp_path, [fast] * 4 + [slow]))["n4"] == "fail"
    # The others do not run at what it can do either.
    other = card("2.5 Gbit/s full")
    assert told(rack(tmp_path, [other] * 4 + [slow]))["n4"] == "watch"


def test_a_switch_that_offers_more_is_the_other_end(tmp_path: Path) -> None:
    slow = card("100 Mbit/s full", "1 Gbit/s full", both=True)
    analysis = rack(tmp_path, [slow])
    assert told(analysis)["n0"] == "fail"
    why = by_node(analysis)["n0"].why
    assert why.startswith("n0: network eth0 runs at 100 Mbit/s full, both ends can do 1 Gbit/s")
    assert "bad cable or transceiver" in why


def test_one_alone_is_shown_with_its_figures_and_compared_with_nobody(tmp_path: Path) -> None:
    analysis = rack(tmp_path, [pcie(FULL)])
    assert analysis.tests == 0
    assert "<td>cpu/all <span" in as_html(analysis)


def test_the_gate_waits_for_peers_and_measures_nothing_again() -> None:
    slow = {**measured(6), "links": [pcie(HALF)]}
    good = [known(n, {**measured(n), "links": [pcie(FULL)]}) for n in range(1, 6)]
    assert fates(known(6, slow))["m6"].fate is Fate.WAIT
    found = fates(*good, known(6, slow))["m6"]
    assert found.fate is Fate.REJECT and "both ends can do" in found.why
    same = [known(n, {**measured(n), "links": [pcie(HALF)]}) for n in range(1, 6)]
    assert {one.fate for one in fates(*same).values()} == {Fate.PASS}
    assert fates(*DONE, known(6, slow))["m6"].fate is Fate.REJECT


def test_of_several_rounds_a_link_counts_at_its_best() -> None:
    rounds = [{"links": [pcie(FULL), card("x")]}, {"links": [pcie("2.5 GT/s x8"), card("y")]}]
    assert merged(rounds)["links"] == [pcie(FULL), card("y")]
