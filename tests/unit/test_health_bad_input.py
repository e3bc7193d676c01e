"""What is broken in the input is said, and never crashes, passes, or runs."""

import json
from pathlib import Path

import pytest
from health_cases import blade, by_node, csv_of, fleet, judge, judge_csv, verdicts

from edeploy.errors import EdeployError
from edeploy.health.analysis import analyze
from edeploy.health.report.as_csv import as_csv
from edeploy.health.report.as_json import as_json
from edeploy.health.report.as_junit import as_junit
from edeploy.health.report.as_text import as_text
from edeploy.health.report.page import as_html
from edeploy.health.sources import gather, read

MEMORY = "cpu/logical/forked_bandwidth_128M"


def write_rack(folder: Path, size: int = 8) -> None:
    for number in range(size):
        rows = blade(f"GOOD{number}", measured={MEMORY: 30000 + number})
        (folder / f"good{number}.hw").write_text(repr(rows))


def test_a_truncated_report_is_a_machine_without_data(tmp_path: Path) -> None:
    write_rack(tmp_path)
    whole = repr(blade("CUT", measured={MEMORY: 30000}))
    (tmp_path / "cut.hw").write_text(whole[: len(whole) // 2])
    analysis = judge(tmp_path)
    assert verdicts(analysis)["cut.hw"] == "no-data"
    assert "neither JSON nor a Python literal" in by_node(analysis)["cut.hw"].why
    assert list(verdicts(analysis).values()).count("pass") == 8


def test_a_report_with_a_million_items_is_refused(tmp_path: Path) -> None:
    write_rack(tmp_path)
    row = "('a','b','c','d'),"
    (tmp_path / "huge.hw").write_text(f"[{row * 1_000_000}]")
    why = by_node(judge(tmp_path))["huge.hw"].why
    assert "too large" in why


def test_a_report_is_read_and_never_run(tmp_path: Path) -> None:
    write_rack(tmp_path)
    proof = tmp_path / "proof"
    (tmp_path / "evil.hw").write_text(f"__import__('pathlib').Path({str(proof)!r}).touch()")
    assert verdicts(judge(tmp_path))["evil.hw"] == "no-data"
    assert not proof.exists()


@pytest.mark.parametrize("value", ["nan", "-5", "0", "inf", "fast", "", "1e999", "-inf"])
def test_values_that_are_no_measurement(tmp_path: Path, value: str) -> None:
    text = csv_of(fleet(10, ["cpu/loops", "memory/copy"], runs=1))
    good = next(line for line in text.splitlines() if line.startswith("n3,rack,cpu/loops"))
    broken = f"{good.rpartition(',')[0]},{value}"
    analysis = judge_csv(tmp_path, text.replace(good, broken))
    assert verdicts(analysis)["n3"] == "no-data"
    assert f"cpu/loops is {value!r}: left out" in by_node(analysis)["n3"].why
    assert "values that are no number above 0: left out" in "".join(analysis.evidence.problems)
    assert list(verdicts(analysis).values()).count("pass") == 9


@pytest.mark.parametrize("value", ["nan", "-5", "0", "fast"])
def test_values_in_reports_that_are_no_measurement(tmp_path: Path, value: str) -> None:
    write_rack(tmp_path)
    rows = [*blade("ODD"), ("cpu", "logical", "forked_bandwidth_128M", value)]
    (tmp_path / "odd.hw").write_text(repr(rows))
    told = by_node(judge(tmp_path))["ODD"]
    assert told.verdict.word == "no-data"
    assert f"memory/forked_bandwidth_128M is {value!r}: left out" in told.why


def test_two_machines_with_one_serial_stay_two_machines(tmp_path: Path) -> None:
    write_rack(tmp_path)
    for number, figure in enumerate((30000, 9000)):
        rows = blade("SAME", measured={MEMORY: figure})
        rows = [row for row in rows if row[:3] != ("network", "eth0", "serial")]
        rows.append(("network", "eth0", "serial", f"52:54:00:00:00:0{number}"))
        (tmp_path / f"same{number}.hw").write_text(repr(rows))
    analysis = judge(tmp_path)
    found = {node: word for node, word in verdicts(analysis).items() if "SAME" in node}
    assert found == {"SAME": "pass", "SAME (52:54:00:00:00:01)": "retest"}
    for node in found:
        assert "serial number SAME is also that of another machine" in by_node(analysis)[node].why


def test_one_report_twice_counts_once(tmp_path: Path) -> None:
    write_rack(tmp_path)
    (tmp_path / "again.hw").write_text((tmp_path / "good1.hw").read_text())
    analysis = judge(tmp_path)
    assert len(analysis.judgements) == 8
    assert "the same report is there already" in "".join(analysis.evidence.problems)


def test_several_reports_of_a_machine_are_its_runs(tmp_path: Path) -> None:
    for number in range(8):
        for run in range(3):
            figure = 20000 if number == 5 else 30000
            rows = blade(f"B{number}", measured={MEMORY: figure + 10 * number + run})
            (tmp_path / f"b{number}-{run}.hw").write_text(repr(rows))
    analysis = judge(tmp_path)
    found = verdicts(analysis)
    assert found.pop("B5") == "fail"
    assert set(found.values()) == {"pass"}


NASTY = "<script>alert(1)</script>\"'&\x1b[31m\n=cmd()"


def test_a_node_name_with_html_in_it(tmp_path: Path) -> None:
    values = fleet(10)
    machines = [
        {
            "node": NASTY if node == "n1" else node,
            "commands": [NASTY],
            "links": [{"name": NASTY, "now": NASTY, "can": "x16"}],
            "results": [
                {"metric": metric, "value": value * (0.7 if node == "n1" else 1), "run": str(run)}
                for metric, runs in metrics.items()
                for run, value in enumerate(runs)
            ],
        }
        for node, metrics in values.items()
    ]
    (tmp_path / "all.json").write_text(json.dumps({"machines": machines}))
    analysis = judge(tmp_path)
    assert analysis.judgements[0].verdict.word == "fail"
    page = as_html(analysis)
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    for text in (page, as_json(analysis), as_csv(analysis), as_junit(analysis), as_text(analysis)):
        assert "\x1b" not in text
    assert "<script" not in as_junit(analysis)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ('{"node": "a"', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[1, 2]", "a list, not an object"),
        ('{"machines": 3}', "`machines` is not a list"),
        ('{"machines": [3]}', "a int, not a machine"),
        ('{"results": []}', "neither a `report` nor a `node`"),
        ('{"node": "' + "x" * 1000 + '"}', "neither a `report` nor a `node`"),
        ('{"report": [["a", "b"]]}', "2 items instead of 4"),
        ('{"node": "a", "results": {"x": 1}}', "`results` is not a list"),
        ('{"node": "a", "results": [1]}', "a result is no object"),
        ('{"node": "a", "results": [{"value": 1}]}', "a result without a metric"),
        ('{"node": "a", "results": [{"metric": "m", "value": "9"}]}', "a str, not a number"),
        ('{"node": "a", "results": [{"metric": "m", "value": true}]}', "a bool, not a number"),
        ('{"node": "a", "results": [{"metric": "m", "value": NaN}]}', "m is nan: left out"),
        ('{"node": "a", "results": [{"metric": "m", "value": -1}]}', "m is -1: left out"),
        (
            '{"node": "a", "results": [{"metric": "m", "value": 1' + "0" * 400 + "}]}",
            "left out",
        ),
    ],
    ids=range(17),
)
def test_documents_that_are_wrong(text: str, said: str) -> None:
    analysis = analyze(gather([("odd.json", text.encode())]))
    assert [one.verdict.word for one in analysis.judgements] == ["no-data"]
    assert said in analysis.judgements[0].why
    as_html(analysis)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column node, metric, value"),
        ("a,b\n1,2\n", "no column node, metric, value"),
        ("node,value\na,1\n", "no column metric"),
        ("\0\0\0\0", "no column"),
        ("node,metric,value\rn1,cpu,5\r", "the first line is no CSV"),
        ("x" * 200_000, "the first line is no CSV"),
    ],
)
def test_tables_without_their_columns(tmp_path: Path, text: str, said: str) -> None:
    analysis = judge_csv(tmp_path, text)
    assert [one.verdict.word for one in analysis.judgements] == ["no-data"]
    assert said in analysis.judgements[0].why


def test_a_table_with_torn_lines_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    text = csv_of(fleet(9)) + "n1,rack\n\n,,cpu/loops,,,1,5\n" + 'n2,rack,"cpu'
    analysis = judge_csv(tmp_path, text)
    assert set(verdicts(analysis).values()) == {"pass"}
    told = "\n".join(analysis.evidence.problems)
    assert "lines with too few columns: left out" in told
    assert "lines without a usable node or metric: left out" in told


def test_spreadsheets_write_semicolons_and_a_mark(tmp_path: Path) -> None:
    text = "\ufeff" + csv_of(fleet(9)).replace(",", ";").replace("\n", "\r\n")
    assert set(verdicts(judge_csv(tmp_path, text)).values()) == {"pass"}
    assert len(verdicts(judge_csv(tmp_path, text))) == 9


def test_only_three_columns_are_needed(tmp_path: Path) -> None:
    lines = [f"{node},{v['cpu/loops'][0]},cpu/loops" for node, v in fleet(9, runs=1).items()]
    analysis = judge_csv(tmp_path, "\n".join(["node,value,metric", *lines]))
    assert set(verdicts(analysis).values()) == {"pass"}


def test_other_files_in_a_folder_are_told_and_left_out(tmp_path: Path) -> None:
    write_rack(tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / ".hidden").write_text("hello")
    analysis = judge(tmp_path)
    assert len(analysis.judgements) == 8
    (problem,) = analysis.evidence.problems
    assert "notes.txt" in problem and ".hidden" not in problem


def test_an_earlier_result_in_the_folder_is_not_measured_again(tmp_path: Path) -> None:
    write_rack(tmp_path)
    first = judge(tmp_path)
    (tmp_path / "verdicts.json").write_text(as_json(first))
    (tmp_path / "verdicts.csv").write_text(as_csv(first))
    again = judge(tmp_path)
    assert verdicts(again) == verdicts(first)
    assert len([one for one in again.evidence.problems if "earlier analysis" in one]) == 2


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EdeployError, match="no such file or folder"):
        read([tmp_path / "nothing"])


def test_a_failing_part_fails_without_statistics() -> None:
    documents = [
        (
            node,
            json.dumps(
                {
                    "node": node,
                    "errors": ["2 uncorrected memory errors"] if node == "n2" else [],
                    "results": [{"metric": "cpu/loops", "value": v["cpu/loops"][0]}],
                }
            ).encode(),
        )
        for node, v in fleet(9, runs=1).items()
    ]
    analysis = analyze(gather(documents))
    found = verdicts(analysis)
    assert found.pop("n2") == "fail"
    assert set(found.values()) == {"pass"}
    assert "2 uncorrected memory errors" in analysis.judgements[0].why
