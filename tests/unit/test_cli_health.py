"""`edeploy health analyze`: exit status, results in files, choices."""

import csv
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from health_cases import blade, csv_of, fleet, slowed

from edeploy.cli.health import command


def analyze(*arguments: object) -> Result:
    return CliRunner().invoke(command, ["analyze", *map(str, arguments)])


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.csv"
    path.write_text(csv_of(fleet(9)))
    return path


@pytest.fixture
def sheep(tmp_path: Path) -> Path:
    values = fleet(9, ["cpu/loops", "memory/copy"])
    values["n4"]["memory/copy"] = slowed(values["n4"]["memory/copy"], 0.2)
    path = tmp_path / "sheep.csv"
    path.write_text(csv_of(values))
    return path


def test_all_pass_is_0(good: Path) -> None:
    found = analyze(good)
    assert found.exit_code == 0
    assert found.stdout == "None of 9 machines fails; 9 pass.\n"


def test_a_sheep_is_1_with_its_ticket_line(sheep: Path) -> None:
    found = analyze(sheep)
    assert found.exit_code == 1
    first, second = found.stdout.splitlines()[:2]
    assert first == "1 of 9 machines should not be installed; 8 pass."
    assert second.startswith("fail: n4: memory/copy is 2")
    assert "below the median of 9 machines" in second
    assert "3 of 3 runs beyond noise" in second
    assert "likely cause: " in second and "next: " in second


@pytest.mark.parametrize("text", ["", "node,metric,value\n", "node,metric,value\na,cpu,fast\n"])
def test_nothing_to_judge_is_2(tmp_path: Path, text: str) -> None:
    (tmp_path / "empty.csv").write_text(text)
    found = analyze(tmp_path / "empty.csv")
    assert found.exit_code == 2
    assert "no usable data" in found.stderr


def test_an_empty_folder_is_2(tmp_path: Path) -> None:
    assert analyze(tmp_path).exit_code == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["nothing-there"], "no such file or folder"),
        (["--group-by", "colour"], "no such fact"),
        (["--ignore", "colour"], "no machine has such a fact"),
        (["--json", "no/folder/x.json"], "there is no folder"),
        # The system refuses to say whether it is there, as for a folder of somebody else.
        (["--json", "x" * 300], "File name too long"),
        (["x" * 300], "File name too long"),
        (["--json", "--csv"], "Only one result fits into standard output"),
    ],
)
def test_wrong_usage_is_2_and_said(good: Path, options: list[str], said: str) -> None:
    found = analyze(good, *options)
    assert found.exit_code == 2
    assert said in found.stderr
    assert "Traceback" not in found.stderr


def test_json_on_standard_output_is_one_document(sheep: Path) -> None:
    found = analyze(sheep, "--json")
    document = json.loads(found.stdout)
    assert list(document) == ["groups", "verdicts", "detectable"]
    assert len(document["verdicts"]) == 9
    first = document["verdicts"][0]
    expected = {"node": "n4", "verdict": "fail", "metric": "memory/copy", "n": 9, "runs": 3}
    assert {name: first[name] for name in expected} == expected
    assert first["loss"] == pytest.approx(0.2, abs=0.01)
    assert first["component"] == "memory"
    assert len(first["run_losses"]) == first["beyond"] == 3
    assert first["z"] < -3.5 and first["q"] < 0.05
    assert {"metric", "loss", "n", "runs", "group", "unit"} == set(document["detectable"][0])
    assert document["groups"][0]["n"] == 9


def test_all_results_at_once_into_files(sheep: Path, tmp_path: Path) -> None:
    files = {kind: tmp_path / f"out.{kind}" for kind in ("json", "csv", "html", "junit")}
    options = [word for kind, file in files.items() for word in (f"--{kind}", file)]
    assert analyze(sheep, *options).exit_code == 1
    assert json.loads(files["json"].read_text())["verdicts"][0]["node"] == "n4"
    rows = list(csv.DictReader(files["csv"].open()))
    assert len(rows) == 18
    assert rows[0]["node"] == "n4" and rows[0]["verdict"] == "fail"
    assert {row["metric_verdict"] for row in rows if row["metric"] == "cpu/loops"} == {"pass"}
    assert files["html"].read_text().startswith("<!doctype html>")
    suites = ElementTree.parse(files["junit"]).getroot()  # noqa: S314
    assert (suites.get("tests"), suites.get("failures"), suites.get("errors")) == ("9", "1", "0")
    (failed,) = suites.iter("failure")
    assert failed.get("type") == "fail"
    # Again over its own results: they are replaced.
    assert analyze(sheep, *options).exit_code == 1


def test_measurements_are_never_replaced_by_a_result(sheep: Path) -> None:
    before = sheep.read_text()
    found = analyze(sheep, "--csv", sheep)
    assert found.exit_code == 2
    assert "not replaced" in found.stderr
    assert sheep.read_text() == before


def test_group_by_and_ignore(tmp_path: Path) -> None:
    figure = "cpu/logical/forked_bandwidth_128M"
    for number in range(12):
        rows = blade(f"A{number}", modules=2 if number < 3 else 8, measured={figure: 30000})
        (tmp_path / f"{number}.hw").write_text(repr(rows))
    assert analyze(tmp_path).exit_code == 1
    assert analyze(tmp_path, "--group-by", "system,memory").exit_code == 0
    assert analyze(tmp_path, "--ignore", "memory").exit_code == 0


def test_no_data_of_one_machine_is_no_pass(tmp_path: Path) -> None:
    values = fleet(9, ["cpu/loops", "memory/copy"])
    del values["n4"]["memory/copy"]
    (tmp_path / "some.csv").write_text(csv_of(values))
    assert analyze(tmp_path).exit_code == 1
