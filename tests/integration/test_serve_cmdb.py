"""CMDB and quotas with a real server: leased once whatever happens, and in operators' hands."""

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from serving import EDEPLOY, Agent, Server, mac, serving

NAME = "Box-LabMakers-EDL{:04}"
# For the first answer, on a machine that does much else.
PATIENCE = 60.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path) as made:
        yield made.start()


def at_once(agents: list[Agent], do: Callable[[Agent], object]) -> None:
    start = threading.Barrier(len(agents))

    def work(agent: Agent) -> None:
        start.wait()
        do(agent)

    threads = [threading.Thread(target=work, args=(agent,)) for agent in agents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def rows(server: Server, *words: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(server.edeploy("ls", *words, "--json", noun="cmdb"))
    return found


def holders(server: Server) -> dict[object, object]:
    return {row["name"]: row["machine"] for row in rows(server, "web")}


def reinstalled(server: Server, agent: Agent) -> object:
    """The address of the next install."""
    server.edeploy("reinstall", NAME.format(agent.number), "--yes")
    return agent.redeem(agent.report()["token"]).json()["vars"]["ip"]


def test_a_race_for_the_last_place(tmp_path: Path) -> None:
    with serving(tmp_path, quota="1") as server:
        server.start()
        agents = [Agent(server.url, number) for number in range(1, 9)]
        answers: dict[int, list[dict[str, object]]] = {agent.number: [] for agent in agents}
        for _ in range(2):
            at_once(agents * 2, lambda agent: answers[agent.number].append(agent.report()))
        [lucky] = [n for n, told in answers.items() if any(a["do"] == "install" for a in told)]
        assert {a["do"] for a in answers.pop(lucky)} == {"install"}
        why = f"web matches, but its quota of 1 is spent: {NAME.format(lucky)}"
        assert {str(a["why"]) for told in answers.values() for a in told} == {why}
        assert [row["machine"] for row in rows(server) if row["status"] == "held"] == [
            NAME.format(lucky)
        ]


def test_killed_while_all_report(server: Server) -> None:
    agents = [Agent(server.url, number) for number in range(1, 7)]
    first = threading.Event()

    def until_it_is_gone(agent: Agent) -> None:
        try:
            while True:
                agent.report()
                first.set()
        except httpx.HTTPError:
            pass  # the answer is lost, and nobody knows whether the report was taken

    def kill_it_then() -> None:
        first.wait(PATIENCE)
        server.kill()

    killer = threading.Thread(target=kill_it_then)
    killer.start()
    at_once(agents, until_it_is_gone)
    killer.join()
    assert first.is_set(), "no report was answered before the server was killed"
    server.start()
    before = {name: machine for name, machine in holders(server).items() if machine}
    orders = {agent.number: agent.report() for agent in agents}
    after = holders(server)
    assert before and before.items() <= after.items()
    assert len(set(after.values())) == 4 and None not in after.values()
    for agent in agents:
        if orders[agent.number]["do"] == "install":
            values = agent.redeem(orders[agent.number]["token"]).json()["vars"]
            assert after[f"{values['hostname']} {values['ip']}"] == NAME.format(agent.number)
        else:
            assert "(4 of 4 held by" in str(orders[agent.number]["why"])


def test_an_operators_hands(server: Server) -> None:
    one, two = Agent(server.url, 1), Agent(server.url, 2)
    one.call_home(one.install())
    two.report()
    assert holders(server) == {
        "web-1 10.0.0.1": NAME.format(1),
        "web-2 10.0.0.2": NAME.format(2),
        "web-3 10.0.0.3": None,
        "web-4 10.0.0.4": None,
    }
    [row] = [row for row in rows(server) if row["number"] == 1]
    assert (row["why"], row["lease"], row["lasting"]) == ("matched", "spent", True)
    assert isinstance(row["since"], float)
    assert "free: web 2 of 4" in server.edeploy("ls", noun="cmdb")

    told = server.edeploy("assign", "web", "web-4", "EDL0001", noun="cmdb")
    assert told == f"web-4 10.0.0.4 of web is {NAME.format(1)}'s, from its next install on\n"
    assert "10.0.0.4 of web, assigned" in server.edeploy("show", "EDL0001")
    assert "is held by" in server.edeploy("assign", "web", "web-2", "EDL0001", noun="cmdb", code=1)
    assert "no entry 'web-9'" in server.edeploy(
        "assign", "web", "web-9", "EDL0001", noun="cmdb", code=1
    )
    assert reinstalled(server, one) == "10.0.0.4"

    assert "is installing" in server.edeploy("release", "EDL0001", noun="cmdb", code=1)
    freed = json.loads(server.edeploy("release", "web-2", "--json", noun="cmdb"))
    assert (freed["machine"], freed["place"]) == (NAME.format(2), "web")
    assert json.loads(server.edeploy("show", "EDL0002", "--json"))["state"] == "discovered"
    assert "no machine and no held" in server.edeploy("release", "what", noun="cmdb", code=1)
    with server.operators() as client:
        kinds = [event["kind"] for event in client.get("/events").json()]
    assert {"assigned", "entry-released"} <= set(kinds)


def test_what_an_old_installation_gave(server: Server, tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    used = {"hostname": "web-3", "ip": "10.0.0.3", "mac": mac(7), "disk": "sda", "used": 1}
    (old / "web.cmdb").write_text(repr([{"hostname": "web-1", "ip": "10.0.0.1"}, used]))
    (old / "db.cmdb").write_text("[{'ip': '1', 'used': 1}]")
    (old / "bad.cmdb").write_text("[{'ip': ]")
    bad = server.edeploy("import", str(old), noun="cmdb", code=1)
    assert "not read" in bad and "bad.cmdb:1:" in bad
    (old / "bad.cmdb").unlink()
    told = json.loads(server.edeploy("import", str(old), "--json", noun="cmdb"))
    assert [one["why"] for one in told["refused"]] == [
        "there is no such profile, or it has an error",
        "is held by a machine of the old installation already",  # the call before took it over
    ]
    assert (told["taken"], told["broken"]) == ([], [])
    [row] = [row for row in rows(server, "web") if row["status"] == "waiting"]
    assert row["why"] == f"used in {old / 'web.cmdb'}"
    agents = {number: Agent(server.url, number) for number in (1, 2, 3, 7)}
    found = {n: a.redeem(a.report()["token"]).json()["vars"]["ip"] for n, a in agents.items()}
    assert found == {1: "10.0.0.1", 2: "10.0.0.2", 3: "10.0.0.4", 7: "10.0.0.3"}


def test_the_operators_files_are_never_written(server: Server) -> None:
    folder = server.folder / "profiles"
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    agent = Agent(server.url, 1)
    agent.call_home(agent.install())
    server.edeploy("assign", "web", "web-2", "EDL0001", noun="cmdb")
    server.edeploy("release", "EDL0001", "--yes", noun="cmdb")
    after = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    assert after == before


def test_lists_need_a_server_and_expand_does_not(tmp_path: Path) -> None:
    (tmp_path / "a.cmdb").write_text("generate: {ip: 10.0.0.1-3, name: n1-2}\n")
    done = subprocess.run(
        [str(EDEPLOY), "cmdb", "expand", str(tmp_path / "a.cmdb"), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [
        {"ip": "10.0.0.1", "name": "n1"},
        {"ip": "10.0.0.2", "name": "n2"},
    ]
    assert "ranges of different lengths (ip 3, name 2)" in done.stderr
    none = Server(tmp_path, 1)
    assert "api.sock" in none.edeploy("ls", noun="cmdb", code=1)
