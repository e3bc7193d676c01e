"""`edeploy specs replay`: who would get what, against a record in a file or a server's."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from house import House, hardware
from test_cli_specs import edeploy

from edeploy.machines.recorded import BadRecord, Recorded, from_json, read_recorded, write_recorded
from edeploy.machines.replay import Outcome, replay

ENTRIES = "generate({'hostname': 'c1-4', 'ip': '10.0.0.1-4'})"


@pytest.fixture
def house(tmp_path: Path) -> House:
    found = House(tmp_path)
    found.profile("compute", ENTRIES)
    found.state(("compute", "*"))
    return found


def replayed(house: House, recorded: list[Recorded], *numbers: int) -> dict[str, Outcome]:
    reports = [(f"{number}.json", hardware(number)) for number in numbers]
    return {one.machine: one for one in replay(house.profiles, recorded, reports)}


def kept(outcomes: dict[str, Outcome]) -> list[Recorded]:
    return [one.kept for one in outcomes.values() if one.kept is not None]


def changes(outcomes: dict[str, Outcome]) -> dict[str, str]:
    return {name: str(one.change) for name, one in outcomes.items()}


def got(outcomes: dict[str, Outcome]) -> dict[str, object]:
    """The profile and hostname that each would get."""
    return {
        name: (one.now.profile, one.now.vars.get("hostname"))
        for name, one in outcomes.items()
        if one.now is not None
    }


def test_what_was_recorded_is_the_same_again_whatever_the_order(house: House) -> None:
    first = replayed(house, [], 3, 1, 2)
    assert changes(first) == dict.fromkeys(["EDL1", "EDL2", "EDL3"], "new")
    assert got(first)["EDL3"] == ("compute", "c1")
    write_recorded(house.folder / "recorded.json", kept(first))
    recorded = read_recorded(house.folder / "recorded.json")
    again = replayed(house, recorded, 2, 4, 1, 3)
    assert changes(again) == {"EDL1": "same", "EDL2": "same", "EDL3": "same", "EDL4": "new"}
    assert got(again)["EDL4"] == ("compute", "c4")


def test_what_a_server_did_is_no_change(house: House) -> None:
    for number in (1, 2):
        house.install(number)
    house.report(3)
    house.assign("compute", "c4", 2)
    recorded = from_json([house.machine(number) for number in (1, 2, 3)], "the server")
    outcomes = replayed(house, recorded, 3, 1, 2)
    assert got(outcomes) == {
        "EDL1": ("compute", "c1"),
        "EDL2": ("compute", "c4"),
        "EDL3": ("compute", "c3"),
    }
    assert changes(outcomes) == {"EDL1": "same", "EDL2": "changed", "EDL3": "same"}
    assert ("ip", "10.0.0.2", "10.0.0.4") in outcomes["EDL2"].values


def test_other_profiles(house: House) -> None:
    recorded = kept(replayed(house, [], 1, 2, 3))
    house.profile("first", None, "[('system', 'product', 'serial', 'in(EDL2, EDL9)')]")
    house.state(("first", 1), ("compute", "*"))
    outcomes = replayed(house, recorded, 1, 2)
    assert changes(outcomes) == {"EDL1": "same", "EDL2": "changed", "EDL3": "no report"}
    assert got(outcomes)["EDL2"] == ("first", None)
    assert outcomes["EDL2"].why == ("first: yes",)
    # An entry more or less moves nobody.
    house.profile("compute", "generate({'hostname': 'c0-4', 'ip': '10.0.0.0-4'})")
    assert changes(replayed(house, recorded, 1, 3))["EDL1"] == "same"
    house.state(("first", 1))
    outcomes = replayed(house, recorded, 1)
    assert got(outcomes) == {"EDL1": (None, None)}
    assert changes(outcomes) == {"EDL1": "changed", "EDL2": "lost", "EDL3": "lost"}
    assert outcomes["EDL1"].why[0].startswith("first: no: rule 1")


def test_recorded_machines_lose_nothing_to_new_ones(house: House) -> None:
    house.state(("compute", 2))
    recorded = kept(replayed(house, [], 1, 2))
    outcomes = replayed(house, recorded, 3, 2, 1)
    assert changes(outcomes) == {"EDL1": "same", "EDL2": "same", "EDL3": "new"}
    assert outcomes["EDL3"].why == ("compute matches, but its quota of 2 is spent: EDL1, EDL2",)
    # One that the profile fits no more leaves its place at once.
    house.profile("compute", ENTRIES, "[('system', 'product', 'serial', 'in(EDL2, EDL3)')]")
    assert got(replayed(house, recorded, 3, 2, 1))["EDL3"] == ("compute", "c3")


def test_a_machine_is_known_by_its_marks(house: House) -> None:
    recorded = kept(replayed(house, [], 1))
    renamed = [replace(recorded[0], name="old-name")]
    assert changes(replayed(house, renamed, 1)) == {"old-name": "same"}


def test_two_machines_recorded_with_one_entry(house: House) -> None:
    both = [one.as_json() for one in kept(replayed(house, [], 1, 2))]
    both[1]["holds"] = both[0]["holds"]
    told = "EDL2 has compute's entry c1 10.0.0.1, and so has EDL1"
    with pytest.raises(BadRecord, match=told):
        from_json(both, "file")


def test_equal_entries_are_counted(house: House) -> None:
    house.profile("compute", "[{'net': 'a'}, {'net': 'a'}, {'net': 'b'}]")
    recorded = from_json([one.as_json() for one in kept(replayed(house, [], 1, 2))], "file")
    outcomes = replayed(house, recorded, 3, 2, 1)
    assert changes(outcomes) == {"EDL1": "same", "EDL2": "same", "EDL3": "new"}
    assert outcomes["EDL3"].now is not None
    assert outcomes["EDL3"].now.vars["net"] == "b"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is not JSON"),
        ("[" * 10**5, "is not JSON"),
        ("[]", 'no {"machines": […]}'),
        ('{"machines": [1]}', "machine 1: no object"),
        ('{"machines": [{}]}', "machine 1: no machine"),
        ('{"machines": [{"name": "a/b"}]}', "machine 1: 'a/b' is no name for a machine"),
        ('{"machines": [{"name": "a"}, {"name": "a"}]}', "machine 2: a is there twice"),
        ('{"machines": [{"name": "a", "lease": 1}]}', "machine 1, lease: no object"),
        ('{"machines": [{"name": "a", "lease": {"x": 1}}]}', "machine 1, lease: no profile"),
        ('{"machines": [{"name": "a", "marks": 1}]}', "marks is no list"),
        ('{"machines": [{"name": "a", "marks": [{"kind": "x"}]}]}', "a mark is one of serial"),
        ('{"machines": [{"name": "a", "marks": [{"kind": [], "value": ""}]}]}', "a mark is one"),
        ('{"machines": [{"name": "a", "marks": [{"kind": "mac"}]}]}', "the mark mac has no text"),
        ('{"machines": [{"name": "a", "holds": [{"profile": "p"}]}]}', "entry: no object"),
        (
            '{"machines": [{"name": "a", "holds": [{"profile": "p", "entry": {}, "origin": 1}]}]}',
            "an entry's origin is one of match",
        ),
    ],
)
def test_a_record_of_another_form(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "recorded.json").write_text(text)
    with pytest.raises(BadRecord) as caught:
        read_recorded(tmp_path / "recorded.json")
    assert str(caught.value).startswith(f"{tmp_path}/recorded.json")
    assert told in str(caught.value)


@pytest.fixture
def folder(house: House) -> Path:
    reports = house.folder / "reports"
    reports.mkdir()
    for number in (1, 2):
        rows = hardware(number).rows()
        (reports / f"{number}.json").write_text(json.dumps(rows))
    (reports / "README").write_text("no report")
    return house.folder


def test_in_ci(folder: Path) -> None:
    words = ("specs", "replay", "--dir", folder, folder / "reports")
    done = edeploy(*words)
    assert done.returncode == 1
    assert "2 machines: 2 new" in done.stdout
    assert f"--write records it in {folder}/recorded.json" in done.stderr
    done = edeploy(*words, "--write")
    assert (done.returncode, done.stderr) == (0, f"{folder}/recorded.json: written\n")
    before = (folder / "recorded.json").read_bytes()
    done = edeploy(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 machines: 2 same" in done.stdout
    assert edeploy(*words, "--write").returncode == 0
    assert (folder / "recorded.json").read_bytes() == before
    (folder / "compute.cmdb").write_text(ENTRIES.replace("10.0.0.", "10.0.9."))
    done = edeploy(*words)
    assert done.returncode == 1
    assert "ip 10.0.0.1 → 10.0.9.1" in " ".join(done.stdout.split())


def test_as_json(folder: Path) -> None:
    words = ("specs", "replay", "--json", "--dir", folder)
    document = json.loads(edeploy(*words, folder / "reports/1.json", "--write").stdout)
    (machine,) = document["machines"]
    assert (machine["machine"], machine["change"]) == ("EDL1", "new")
    assert machine["report"] == f"{folder}/reports/1.json"
    assert machine["recorded"] is None
    assert machine["now"]["profile"] == "compute"
    assert {"key": "ip", "before": None, "after": "10.0.0.1"} in machine["changes"]
    assert machine["why"] == ["compute: yes, CMDB entry c1 10.0.0.1"]
    document = json.loads(edeploy(*words, folder / "reports/1.json").stdout)
    assert [one["change"] for one in document["machines"]] == ["same"]
    assert document["problems"] == []


def test_what_cannot_be_used_does_not_stop_the_rest(folder: Path) -> None:
    reports = folder / "reports"
    (reports / "bad.json").write_text("[[1]]")
    (reports / "large.hw").write_text(" " * (1 << 21))
    (reports / "nobody.json").write_text('[["disk", "sda", "size", "8"]]')
    (reports / "twin.json").write_text((reports / "1.json").read_text())
    (folder / "broken.specs").write_text("[('a', 'b')]")
    (folder / "state").write_text("[('broken', 1), ('compute', '*')]")
    words = ("specs", "replay", "--dir", folder, reports)
    done = edeploy(*words, "--write")
    assert done.returncode == 1
    assert f"left out: {reports}/bad.json, row 1: 1 items instead of 4" in done.stderr
    assert f"left out: {reports}/large.hw: the report is too large" in done.stderr
    assert f"left out: {folder}/broken.specs:1:2: 2 items instead of 4" in done.stderr
    assert "the report has nothing to know this machine by" in done.stdout
    assert f"it is of EDL1, and so is {reports}/1.json: keep one" in done.stdout
    assert "4 machines: 2 new, 2 in doubt" in done.stdout
    assert {one.name for one in read_recorded(folder / "recorded.json")} == {"EDL1", "EDL2"}


def test_unusable(folder: Path) -> None:
    reports = folder / "reports"
    for words, told in (
        (["--dir", folder], "Give REPORT files or folders, or --server."),
        (["--dir", folder / "none", reports], "No such file"),
        (["--dir", folder, "--server", "--socket", folder / "none"], "no server answers on"),
        (["--dir", folder, "--recorded", folder / "state", reports], "state is not JSON"),
    ):
        done = edeploy("specs", "replay", *words)
        assert done.returncode == 2
        assert told in done.stderr
        assert "Traceback" not in done.stderr
    (folder / "state").write_text("[")
    done = edeploy("specs", "replay", "--dir", folder, reports)
    assert (done.returncode, done.stdout) == (2, "")
