"""The keeper of judgements remembers what it read, and sees what is new."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from fleet import Parts, server
from test_testing import RULES, Site

from edeploy.machines import operate, testing
from edeploy.machines.records import find
from edeploy.machines.rounds import last_round
from edeploy.machines.schema import JsonObject
from edeploy.server.judging import Judging

GOOD = {"cpu/all_events": 1000.0, "disk/sda/read_1M": 200_000.0}
SLOW = {**GOOD, "disk/sda/read_1M": 120_000.0}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    (site.folder / "state").write_text("[('web', '*', {'health': 'quick'})]\n")
    return site


def measured(values: Mapping[str, float], first: int, runs: int, stages: list[str]) -> JsonObject:
    return {
        "results": [
            {"stage": name, "metric": name, "unit": "x/s", "run": str(run)}
            | {"value": value * (1 + 0.0004 * (run % 7))}
            for name, value in values.items()
            for run in range(first, first + runs)
            if not stages or name in stages
        ]
    }


def measure(site: Site, parts: Parts, values: Mapping[str, float]) -> str:
    """Measure what is ordered; the machine's name."""
    answer = site.ask(parts)
    assert answer.do == "test" and answer.token
    with site.database.write() as session:
        test = testing.latest(session, find(session, answer.machine))
        assert test is not None
        this = last_round(session, test)
        stages = this.only["stages"]
        assert isinstance(stages, list)
        figures = measured(values, this.first_run, this.runs, stages)
        body = json.dumps(figures).encode()
        testing.take_results(session, answer.token, figures, body, RULES, now=site.now)
    return answer.machine


def verdict(site: Site, name: str) -> tuple[str, str]:
    shown = site.show(name)
    return str(shown["state"]), str(shown["health"]["test"]["verdict"])  # type: ignore[index]


def test_rounds_and_machines_that_come_later_are_news(site: Site) -> None:
    judging = Judging(site.database, RULES, min_group=5)
    assert judging.judge(now=site.now) == 0
    rack = [measure(site, server(number), GOOD) for number in range(1, 6)]
    assert judging.judge(now=site.now) == 5
    assert {verdict(site, name) for name in rack} == {("reserved", "pass")}
    sheep = measure(site, server(6), SLOW)
    assert judging.judge(now=site.now) == 1
    assert verdict(site, sheep) == ("testing", "retest")
    # What is measured again counts, although the machine was read before.
    assert measure(site, server(6), SLOW) == sheep
    judging.judge(now=site.now)
    assert verdict(site, sheep) == ("rejected", "fail")
    # Repaired: its new test takes the place of the old one.
    with site.database.write() as session:
        operate.test(session, sheep, None, RULES, now=site.now)
    assert measure(site, server(6), GOOD) == sheep
    judging.judge(now=site.now)
    # Its slot went back when it was rejected: the next report finds it one.
    assert verdict(site, sheep) == ("discovered", "pass")


def test_one_that_judges_for_the_first_time_says_the_same(site: Site) -> None:
    for number in range(1, 6):
        measure(site, server(number), GOOD)
    Judging(site.database, RULES, min_group=5).judge(now=site.now)
    sheep = measure(site, server(6), SLOW)
    Judging(site.database, RULES, min_group=5).judge(now=site.now)
    measure(site, server(6), SLOW)
    Judging(site.database, RULES, min_group=5).judge(now=site.now)
    assert verdict(site, sheep) == ("rejected", "fail")
