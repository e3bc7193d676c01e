"""Reports: what is read, and how a bad one is told."""

import json
from pathlib import Path

import pytest

from edeploy.inventory.items import MAX_REPORT_BYTES, BadReport, Item, parse_report, read_report


def test_values_become_text() -> None:
    report = parse_report(b'[["cpu","logical","number",2],["a","b","c",1.5],["a","b","d",true]]')
    assert report.items[0] == Item("cpu", "logical", "number", "2")
    assert [item.value for item in report.items] == ["2", "1.5", "True"]
    assert parse_report(json.dumps(report.rows()).encode()) == report


def test_questions_to_a_report() -> None:
    report = parse_report(
        b'[["disk","sda","id","x"],["disk","sda","id","y"],["disk","sdb","size","8"]]'
    )
    assert report.value("disk", "sda", "id") == "x"
    assert report.value("disk", "sdc", "id") is None
    assert [item.value for item in report.all("disk", key="id")] == ["x", "y"]
    assert report.all(id="sdb") == [Item("disk", "sdb", "size", "8")]
    assert len(report.all()) == 3


def test_what_machine_show_prints_is_a_report(tmp_path: Path) -> None:
    rows = [["disk", "sda", "size", "8"]]
    for name, shown in (
        ("show", {"report": rows}),
        ("facts", {"report": {"id": 1}, "items": rows}),
    ):
        (tmp_path / name).write_text(json.dumps({"name": "web", **shown}, indent=2))
        assert read_report(tmp_path / name).rows() == rows
    long = [["disk", f"sd{n}", "model", "x" * 200] for n in range(6000)]
    (tmp_path / "long").write_text(json.dumps({"report": long}))
    assert len(read_report(tmp_path / "long").items) == 6000
    (tmp_path / "long").write_text(json.dumps(long))
    with pytest.raises(BadReport, match="too large"):
        read_report(tmp_path / "long")
    (tmp_path / "other").write_text('{"name": "web"}')
    with pytest.raises(BadReport, match="is a dict, not a list of rows"):
        read_report(tmp_path / "other")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"hello", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"{}", "is a dict, not a list"),
        (b'[["a","b","c","d"],["a","b","c"]]', "row 2: 3 items instead of 4"),
        (b'["abcd"]', "row 1: a str, not a row"),
        (b'[["a","b","c",null]]', "row 1: a NoneType where text"),
        (b'[["a","b","c",["d"]]]', "row 1: a list where text"),
        (b" " * (MAX_REPORT_BYTES + 1), "too large"),
    ],
)
def test_bad_reports(data: bytes, message: str) -> None:
    with pytest.raises(BadReport, match=message):
        parse_report(data)


def test_what_breaks_terminals_and_databases_is_replaced() -> None:
    report = parse_report(b'[["a","b","c","\\u0000x\\u001b[2J\\ud800\\ty"]]')
    assert report.items[0].value == "\ufffdx\ufffd[2J\ufffd\ty"


def test_a_file_is_json_or_an_old_python_literal(tmp_path: Path) -> None:
    old, new = tmp_path / "old.hw", tmp_path / "new.json"
    old.write_text("# seen 2014\n[('disk', 'sda', 'size', 8),\n ('a', 'b', 'c', 'd')]\n")
    new.write_text('[["disk","sda","size","8"],["a","b","c","d"]]')
    assert read_report(old) == read_report(new)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[('a', 'b', 'c', 'd')\n ('e', 'f', 'g', 'h')]", "neither JSON nor"),
        ("[('a', 'b',\n 'c', ]", r"bad\.hw:2:"),
        ("__import__('os').getcwd()", "neither JSON nor"),
        ("-" * 100_000 + "1", "neither JSON nor"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.hw"
    path.write_text(text)
    with pytest.raises(BadReport, match=message):
        read_report(path)
    with pytest.raises(BadReport, match="No such file"):
        read_report(tmp_path / "missing.hw")
