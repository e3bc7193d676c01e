"""The health report as a browser shows it: 18, 300 and 5,000 machines."""

import functools
import json
import random
from pathlib import Path

import pytest
from playwright.sync_api import expect
from tabs import Tab

from edeploy.health.analysis import Analysis, analyze
from edeploy.health.report.headline import headline
from edeploy.health.report.page import as_html
from edeploy.health.rules import Verdict
from edeploy.health.sources import gather

SIZES = (18, 300, 5000)
TESTS = (
    *("cpu/all_events", "cpu/package0/events", "cpu/package1/events", "memory/node0/write"),
    *("disk/sda/read_1M", "disk/sdb/read_1M", "disk/sda/randread_4k_p99", "network/eth0/send"),
)
SECTIONS = ("Groups", "Heat map", "Metrics", "Disks", "Machines", "Method")
NASTY = "<img src=x onerror=alert(1)>"


def rows(number: int, modules: int) -> list[list[str]]:
    found = [
        ["system", "product", "serial", f"SN{number:05}"],
        ["system", "product", "name", "Box 9"],
        ["network", "eth0", "serial", f"52:54:00:00:{number >> 8:02x}:{number & 255:02x}"],
        ["lldp", "eth0", "sysname", f"switch{number // 40}"],
        ["lldp", "eth0", "portid", f"Eth1/{number % 40 + 1}"],
        ["cpu", "physical_0", "product", "Xeon 9"],
        ["disk", "sda", "size", "960"],
        ["disk", "sdb", "size", "960"],
    ]
    for bank in range(8):
        found.append(["memory", f"bank:{bank}", "slot", f"DIMM {bank}"])
        found += [["memory", f"bank:{bank}", "size", str(32 << 30)]] if bank < modules else []
    return found


@functools.cache
def fleet(size: int) -> Analysis:
    """A rack in which five machines have one fault each."""
    chance = random.Random(size)  # noqa: S311
    slow = {1: "cpu/", 2: "disk/sdb/read", 3: "network/", 4: "disk/"}
    documents = []
    for number in range(size):
        results = [
            {
                "metric": test,
                "unit": "us" if "p99" in test else "MB/s",
                "run": str(run),
                "value": 1000
                * (1 + chance.gauss(0, 0.006))
                * (0.7 if number in slow and test.startswith(slow[number]) else 1),
            }
            for test in TESTS
            for run in (1, 2, 3)
        ]
        machine = {
            "report": rows(number, 2 if number == 0 else 8),
            "results": results,
            "stages": [
                {
                    "name": "disk/sda",
                    "state": "done",
                    "tool": "fio-3.33",
                    "commands": [f"fio --filename=/dev/sda {NASTY}"],
                },
                {"name": "network/eth1", "state": "skipped", "reason": "no link"},
            ],
            "links": [
                {
                    "name": "pcie 0000:3b:00.0",
                    "now": "8.0 GT/s x8" if number else "8.0 GT/s x4",
                    "can": "8.0 GT/s x8",
                }
            ],
            "counters": [{"name": "edac/mc0/ce", "before": 0, "after": number}],
            "traces": [{"name": "cpu/temperature", "unit": "°C", "points": [41, 55, 60, 58]}],
        }
        documents.append((f"{number}", json.dumps(machine).encode()))
    return analyze(gather(documents))


@functools.cache
def text(size: int) -> str:
    return as_html(fleet(size))


@pytest.fixture(params=SIZES)
def size(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def report(size: int, tab: Tab, tmp_path: Path) -> Tab:
    path = tmp_path / "report.html"
    path.write_text(text(size))
    tab.open(path)
    return tab


def test_it_needs_nothing_else_and_complains_of_nothing(report: Tab) -> None:
    assert len(report.asked) == 1 and report.asked[0].startswith("file:")
    assert report.complaints == []
    assert report.page.locator("img, script, link, iframe").count() == 0


def test_the_headline_and_the_ticket_lines(report: Tab, size: int) -> None:
    page = report.page
    assert page.locator(".headline").inner_text() == headline(fleet(size))
    badges = page.locator("ol.tickets .badge").all_inner_texts()
    assert badges[:5] == ["fail"] * 5
    lines = page.locator("ol.tickets li").all_inner_texts()[:5]
    for number in range(5):
        assert sum(f"SN{number:05}" in line for line in lines) == 1
        assert sum(f"at switch switch0 port Eth1/{number + 1}" in line for line in lines) == 1


def test_all_sections_are_there_and_in_sight(report: Tab) -> None:
    for name in SECTIONS:
        report.page.get_by_role("link", name=name, exact=True).click()
        heading = report.page.get_by_role("heading", name=name, exact=True)
        expect(heading).to_be_in_viewport()


@pytest.mark.parametrize("width", [1280, 700])
def test_nothing_runs_out_of_the_page(report: Tab, width: int) -> None:
    report.page.set_viewport_size({"width": width, "height": 900})
    assert report.page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_heat_map_has_a_row_a_machine_worst_first(report: Tab, size: int) -> None:
    heat = report.page.locator("svg[aria-label^='Loss of each machine']")
    names = heat.locator("a text").all_text_contents()
    if size <= 300:
        assert len(names) == size
    else:
        flagged = sum(one.verdict is not Verdict.PASS for one in fleet(size).judgements)
        assert flagged < len(names) < 500
        assert "are left out here. All are in the CSV." in report.page.inner_text("body")
    assert set(names[:5]) == {f"SN{number:05}" for number in range(5)}


def test_a_ticket_leads_to_its_card(report: Tab) -> None:
    page = report.page
    page.locator("ol.tickets li").first.get_by_role("link", name="card").click()
    card = page.locator("details.card:target")
    assert card.count() == 1
    assert card.locator("svg polyline").is_visible()
    body = card.inner_text()
    for told in (
        "edac/mc0/ce",
        "8.0 GT/s x4",
        "cpu/temperature",
        "41 to 60 °C in 4 s",
        "network/eth1: no link",
        "fio-3.33",
        NASTY,
    ):
        assert told in body


def test_names_in_the_plots_do_not_cover_each_other(report: Tab) -> None:
    covered = report.page.evaluate("""
        () => [...document.querySelectorAll('.strip svg, .panel svg')].flatMap(plot => {
            const boxes = [...plot.querySelectorAll('text')].map(text => text.getBBox())
            return boxes.flatMap((a, n) => boxes.slice(n + 1).filter(b =>
                a.x < b.x + b.width - 1 && b.x < a.x + a.width - 1 &&
                a.y < b.y + b.height - 3 && b.y < a.y + a.height - 3))
        }).length
    """)
    assert covered == 0


def test_it_prints_with_every_card_open(report: Tab, size: int) -> None:
    page = report.page
    page.emulate_media(media="print")
    closed = page.locator("details.card:not([open])").last
    assert closed.locator("p").first.is_visible()
    assert not page.locator("nav").is_visible()
    if size == min(SIZES):
        assert page.pdf(format="A4").startswith(b"%PDF")


def test_on_paper_tables_stay_in_their_place(report: Tab) -> None:
    page = report.page
    page.emulate_media(media="print")
    # The width of A4 without its margins.
    page.set_viewport_size({"width": 688, "height": 1000})
    wide = page.evaluate("""
        () => [...document.querySelectorAll('.columns > div, .strip, .panels')]
            .filter(box => box.scrollWidth > box.clientWidth).length
    """)
    assert wide == 0


def test_marks_do_not_need_colours(report: Tab) -> None:
    """What is flagged has a mark of its own form, and a word; colour alone says nothing."""
    heat = report.page.locator("svg[aria-label^='Loss of each machine']")
    assert heat.locator("g path").count() > 5
    words = heat.locator("text.soft").all_text_contents()
    assert words.count("fail") == 5
