"""A real server: whose report it is, what an operator sees of it, and the ways out of a doubt."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import Agent, Server, hardware, serving

Rows = list[list[str]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path) as server:
        yield server.start()


def post(server: Server, rows: Rows) -> dict[str, object]:
    answer = Agent(server.url, 1).client.post("/v1/report", json=rows)
    found: dict[str, object] = answer.raise_for_status().json()
    return found


def but(rows: Rows, *changed: tuple[str, str, str, str]) -> Rows:
    """The report with other values, or with more."""
    values = {row[:3]: row[3] for row in changed}
    known = {(row[0], row[1], row[2]) for row in rows}
    more = [list(row) for row in changed if row[:3] not in known]
    return [[*row[:3], values.get((row[0], row[1], row[2]), row[3])] for row in rows] + more


def changes(server: Server, *words: str) -> list[dict[str, str]]:
    """What `edeploy machine diff` tells."""
    found: dict[str, list[dict[str, str]]] = json.loads(server.edeploy("diff", *words, "--json"))
    return found["changes"]


def shown(server: Server, *words: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(server.edeploy(*words, "--json"))
    return found


CARRIED = but(hardware(2), ("disk", "vda", "serial", "DISK0001"))


def test_a_doubt_and_its_ways_out(server: Server) -> None:
    first = str(post(server, hardware(1))["machine"])
    answer = post(server, CARRIED)
    held = str(answer["machine"])
    assert answer["do"] == "hold" and held != first
    listed = server.edeploy("ls")
    assert "held" in listed and held in listed
    text = server.edeploy("show", held)
    assert first in text and "1 of 1 disks +100" in text and "other serial -30" in text
    assert f"edeploy machine same {held} {first} --yes" in text
    assert held in server.edeploy("show", first)
    assert shown(server, "show", first)["in_doubt"] == [held]
    assert "for ever" in server.edeploy("same", held, first, code=1)
    assert shown(server, "show", held)["hold"]
    server.edeploy("new", held)
    assert post(server, CARRIED)["do"] == "install"
    assert "not held" in server.edeploy("new", held, code=1)


def test_the_other_way_out(server: Server) -> None:
    first = str(post(server, hardware(1))["machine"])
    held = str(post(server, CARRIED)["machine"])
    assert "reserved" in server.edeploy("same", held, first, "--yes")
    answer = post(server, CARRIED)
    assert (answer["machine"], answer["do"]) == (first, "install")
    assert len(json.loads(server.edeploy("ls", "--json"))) == 1


def test_by_which_marks_a_machine_is_known(server: Server) -> None:
    name = str(post(server, hardware(1))["machine"])
    post(server, but(hardware(1), ("network", "eth0", "serial", "52:54:00:00:99:99")))
    found = shown(server, "show", name)
    assert found["verdict"]["same"]["points"] == 160  # type: ignore[index]
    text = server.edeploy("show", name)
    for word in ("known by", "edl0001", "52:54:00:00:99:99", "160 points", "UUID", "+50"):
        assert word in text


def test_facts(server: Server) -> None:
    post(server, hardware(1))
    assert "DISK0001" in server.edeploy("show", "EDL0001", "--facts")
    assert "Lab Makers" not in server.edeploy("show", "EDL0001", "--facts", "disk")
    items = shown(server, "show", "EDL0001", "--facts", "disk", "vda")["items"]
    assert items == [["disk", "vda", "size", "8"], ["disk", "vda", "serial", "DISK0001"]]
    assert "nothing of gpu" in server.edeploy("show", "EDL0001", "--facts", "gpu", code=1)
    server.edeploy("show", "EDL0001", "disk", code=2)


def test_diff(server: Server) -> None:
    name = str(post(server, hardware(1))["machine"])
    assert "no other report" in server.edeploy("diff", name)
    post(server, but(hardware(1), ("network", "eth0", "link", "no")))
    assert "no other report" in server.edeploy("diff", name)
    post(server, but(hardware(1), ("disk", "vdb", "size", "100"), ("disk", "vdb", "serial", "D9")))
    post(server, but(hardware(1), ("disk", "vda", "size", "16")))
    [last] = [one for one in changes(server, name) if one["change"] == "gone"]
    assert last["text"] == "disk vdb (D9) gone"
    assert "D9" in server.edeploy("diff", name)
    first = shown(server, "show", name)["reports"][-1]["id"]  # type: ignore[index]
    for since in (str(first), "2001-01-01", "2001-01-01 10:00"):
        [change] = changes(server, name, "--since", since)
        assert change["text"] == "disk vda size 8 → 16"
    assert "no report 99" in server.edeploy("diff", name, "--since", "99", code=1)
    server.edeploy("diff", name, "--since", "yesterday", code=2)
    events = shown(server, "log", name)["events"]
    texts = [one["text"] for one in events if one["kind"] == "hardware-changed"]  # type: ignore[attr-defined]
    assert texts == ["disk vdb (D9) is new", "disk vda size 8 → 16; disk vdb (D9) gone"]
    other = str(post(server, hardware(2))["machine"])
    assert "size" in server.edeploy("diff", name, other)
    post(server, but(hardware(2), ("disk", "vda", "size", "16")))
    assert "nothing differs" in server.edeploy("diff", name, other)
    assert "EDL0002" in server.edeploy("diff", name, other, "--all")
    server.edeploy("diff", name, other, "--since", "1", code=2)


def test_a_report_of_nobody(server: Server) -> None:
    junk = but(
        hardware(1),
        ("system", "product", "serial", "To be filled by O.E.M."),
        ("system", "product", "uuid", "00000000-0000-0000-0000-000000000000"),
        ("network", "eth0", "serial", "00:00:00:00:00:00"),
    )
    answer = Agent(server.url, 1).client.post("/v1/report", json=junk)
    assert answer.status_code == 400
    assert "nothing to know this machine by" in answer.json()["error"]
    assert json.loads(server.edeploy("ls", "--json")) == []


def test_first_reports_at_the_same_moment_are_one_machine(server: Server) -> None:
    gate = threading.Barrier(6)
    names = []

    def report() -> None:
        gate.wait()
        names.append(post(server, hardware(1))["machine"])

    threads = [threading.Thread(target=report) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names) == 6 and len(set(names)) == 1


def test_the_boot_script_of_a_held_machine_is_its_own(server: Server) -> None:
    agent = Agent(server.url, 1)
    agent.call_home(agent.install())
    assert "/ramdisk/" not in agent.boot()
    assert post(server, CARRIED)["do"] == "hold"
    stranger = Agent(server.url, 2).boot()
    assert "/ramdisk/cloud/vmlinuz" in stranger and "Box-LabMakers-EDL0002" in stranger
    assert "/ramdisk/" not in agent.boot()


def test_power_is_never_given_to_another_machine_with_the_serial(tmp_path: Path) -> None:
    bmcs = tmp_path / "bmcs.yaml"
    bmcs.write_text(
        "- {name: b1, address: 127.0.0.1, port: 1, username: u, password: p, serial: EDL0001}\n"
    )
    bmcs.chmod(0o600)
    with serving(tmp_path, '[bmc]\nfile = "bmcs.yaml"\n') as server:
        server.start()
        post(server, hardware(1))
        twin = post(server, but(hardware(2), ("system", "product", "serial", "EDL0001")))
        said = server.edeploy("power", "status", str(twin["machine"]), code=1)
        assert "BMC b1 has the serial of more than one machine: EDL0001" in said
