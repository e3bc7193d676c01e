"""`edeploy specs` and `edeploy cmdb`, through the real program."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HW = '[["disk","sda","size","278"],["disk","sdb","size",150]]'


def edeploy(*words: object) -> subprocess.CompletedProcess[str]:
    program = "from edeploy.cli.main import main; main()"
    argv = [sys.executable, "-c", program, *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "m.json").write_text(HW)
    for name, size in (("big", "gt(300)"), ("small", "lt(300)")):
        (tmp_path / f"{name}.specs").write_text(f"[('disk', '$$d', 'size', '$s={size}')]")
        (tmp_path / f"{name}.configure").write_text("set_role('web', '1', '/dev/' + var['d'])\n")
    (tmp_path / "state").write_text("[('big', '*'), ('small', 3)]")
    return tmp_path


def test_match(folder: Path) -> None:
    done = edeploy(
        "specs", "match", "--specs", folder / "small.specs", "--hw", folder / "m.json", "--json"
    )
    expected = {"matched": True, "vars": {"d": "sda", "s": "278"}, "keys": {"d": "sda"}}
    assert json.loads(done.stdout) == expected
    done = edeploy("specs", "match", "--specs", folder / "big.specs", "--hw", folder / "m.json")
    assert done.returncode == 0
    assert "disk sda size 278 is not > 300; disk sdb size 150 is not > 300" in done.stdout


def test_a_mismatch_explained(folder: Path) -> None:
    words = ["specs", "match", "--specs", folder / "big.specs", "--hw", folder / "m.json"]
    assert json.loads(edeploy(*words, "--json").stdout) == {
        "matched": False,
        "vars": {},
        "keys": {},
    }
    told = edeploy(*words, "--explain").stdout.splitlines()
    assert told == [
        "no match: rule 1 ('disk', '$$d', 'size', '$s=gt(300)') cannot be met",
        "  disk sda size 278 is not > 300",
        "  disk sdb size 150 is not > 300",
    ]
    document = json.loads(edeploy(*words, "--explain", "--json").stdout)
    assert document["rules"] == [1]
    assert document["details"] == [line.strip() for line in told[1:]]
    assert document["reason"].startswith("rule 1 (")


def test_a_match_explained(folder: Path) -> None:
    words = ["specs", "match", "--specs", folder / "small.specs", "--hw", folder / "m.json"]
    told = edeploy(*words, "--explain").stdout.splitlines()
    assert told == [
        "match",
        "  rule 1 ('disk', '$$d', 'size', '$s=lt(300)') takes disk sda size 278",
        "  d = sda",
        "  s = 278",
    ]
    document = json.loads(edeploy(*words, "--explain", "--json").stdout)
    assert document["lines"] == [
        {
            "rule": 1,
            "spec": ["disk", "$$d", "size", "$s=lt(300)"],
            "line": ["disk", "sda", "size", "278"],
        }
    ]


def test_a_refusal_explained(folder: Path) -> None:
    (folder / "small.specs.py").write_text("def accept(report, var):\n    return 'too old'\n")
    words = ["specs", "match", "--specs", folder / "small.specs", "--hw", folder / "m.json"]
    told = edeploy(*words, "--explain").stdout.splitlines()
    assert told[0] == "no match: small.specs.py: too old"
    assert told[1].endswith("takes disk sda size 278")
    document = json.loads(edeploy(*words, "--explain", "--json").stdout)
    assert (document["matched"], document["reason"]) == (False, "small.specs.py: too old")


def test_pick(folder: Path) -> None:
    done = edeploy("specs", "pick", "--dir", folder, "--hw", folder / "m.json")
    assert done.stdout.splitlines()[0].startswith("big: no match: rule 1")
    assert done.stdout.splitlines()[-1] == "picked: small"
    answer = json.loads(
        edeploy("specs", "pick", "--dir", folder, "--hw", folder / "m.json", "--json").stdout
    )
    assert answer["picked"] == "small"
    assert [one["matched"] for one in answer["profiles"]] == [False, True]


def test_lint_and_its_exit_status(folder: Path) -> None:
    assert edeploy("specs", "lint", folder).returncode == 0
    done = edeploy("specs", "lint", folder, "--store", folder / "store")
    assert done.returncode == 1
    assert f"{folder}/big.configure:1:1: the store has no image web 1" in done.stdout
    (folder / "state").unlink()
    done = edeploy("specs", "lint", folder)
    assert done.returncode == 2
    assert "No such file" in done.stderr


def test_lint_as_json_and_with_findings_left_out(folder: Path) -> None:
    (folder / "big.configure").write_text("\nx = var['nic']\n")
    document = json.loads(edeploy("specs", "lint", folder, "--json").stdout)
    (finding,) = document["findings"]
    assert finding["file"] == str(folder / "big.configure")
    assert (finding["line"], finding["column"]) == (2, 5)
    assert finding["message"].startswith("the variable 'nic' is bound by nothing")
    done = edeploy("specs", "lint", folder, "--ignore", "big.configure:2:5")
    assert (done.returncode, done.stdout) == (0, "")


def test_upgrade(folder: Path) -> None:
    script = folder / "old.configure"
    script.write_text("print 'a'\n")
    done = edeploy("specs", "upgrade", script)
    assert done.returncode == 0
    assert "-print 'a'\n+print('a')\n" in done.stdout
    assert script.read_text() == "print 'a'\n"
    done = edeploy("specs", "upgrade", script, "--write", "--json")
    assert json.loads(done.stdout)["written"] is True
    assert script.read_text() == "print('a')\n"
    done = edeploy("specs", "upgrade", script)
    assert (done.returncode, done.stdout) == (0, "")


def test_upgrade_names_what_is_left_and_does_not_write_half(folder: Path) -> None:
    script = folder / "old.configure"
    script.write_text("print hpacucli\n")
    done = edeploy("specs", "upgrade", script, "--write")
    assert done.returncode == 1
    assert f"left to you: {script}:1:7: nothing defines hpacucli" in done.stderr
    assert script.read_text() == "print(hpacucli)\n"
    script.write_text("print 'a'\ndef f((a, b)): pass\n")
    done = edeploy("specs", "upgrade", script, "--write")
    assert done.returncode == 1
    assert f"no Python 3: {script}:2:7: " in done.stderr
    assert script.read_text().startswith("print 'a'")


def test_errors_are_told_without_a_traceback(folder: Path) -> None:
    (folder / "bad.specs").write_text("[('a', 'b', 'c')]")
    done = edeploy("specs", "match", "--specs", folder / "bad.specs", "--hw", folder / "m.json")
    assert done.returncode == 1
    assert done.stderr.startswith(f"edeploy: {folder}/bad.specs:1:2: 3 items instead of 4")
    assert "Traceback" not in done.stderr


def test_cmdb_expand(folder: Path) -> None:
    (folder / "a.cmdb").write_text("generate({'ip': '10.0.0.1-2', 'net': ('a', 1)})")
    done = edeploy("cmdb", "expand", folder / "a.cmdb", "--json")
    assert json.loads(done.stdout) == [
        {"ip": "10.0.0.1", "net": ["a", 1]},
        {"ip": "10.0.0.2", "net": ["a", 1]},
    ]
    assert "10.0.0.2" in edeploy("cmdb", "expand", folder / "a.cmdb").stdout
