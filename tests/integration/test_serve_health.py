"""A real server: machines that have to pass a test, measured by an agent that speaks the API."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypedDict

import pytest
from serving import Agent, Server, hardware, serving

GOOD = {"cpu/all_events": 1000.0, "memory/all_write": 9000.0, "disk/vda/read_1M": 200000.0}
UNITS = {"cpu": "1/s", "memory": "MB/s", "disk": "KB/s", "network": "Mbit/s"}


class Machine:
    """The agent in the ramdisk of one machine."""

    def __init__(self, server: Server, number: int, **worse: float) -> None:
        self.server = server
        self.number = number
        self.client = Agent(server.url, number).client
        self.values = GOOD | {key.replace("__", "/"): value for key, value in worse.items()}

    def report(self) -> dict[str, object]:
        answer = self.client.post("/v1/report", json=hardware(self.number))
        found: dict[str, object] = answer.raise_for_status().json()
        return found

    def post(self, what: str, body: object, token: object, status: int = 200) -> dict[str, object]:
        headers = {"Authorization": f"Bearer {token}"}
        answer = self.client.post(f"/v1/health/{what}", json=body, headers=headers)
        assert answer.status_code == status, answer.text
        found: dict[str, object] = answer.json()
        return found

    def results(self, order: dict[str, object]) -> dict[str, object]:
        """What this machine measures when it is told so."""
        only, first = order["only"], int(str(order["first_run"]))
        runs = range(first, first + int(str(order["runs"])))
        stages = [name for name in self.values if not only or name in only]  # type: ignore[operator]
        return {
            "schema": 1,
            "profile": order["profile"],
            "stages": [
                {"name": name, "run": str(run), "state": "done"} for name in stages for run in runs
            ],
            "results": [
                {
                    "stage": name,
                    "metric": name,
                    "unit": UNITS[name.partition("/")[0]],
                    "better": "higher",
                    "run": str(run),
                    # Equal machines are not equal to the last digit.
                    "value": self.values[name] * (1 + 0.0005 * ((self.number * 7 + run) % 5)),
                    "samples": [1.0, 2.0],
                }
                for name in stages
                for run in runs
            ],
        }

    def measure(self) -> dict[str, object]:
        """Report, measure and send, until the server has something else to do; its answer."""
        answer = self.report()
        while answer["do"] == "test":
            order = answer["test"]
            assert isinstance(order, dict)
            self.post("results", self.results(order), answer["token"])
            answer = self.until(lambda found: "to be judged" not in str(found["why"]))
        return answer

    def until(self, good: Callable[[dict[str, object]], bool]) -> dict[str, object]:
        """Report until the answer is so: the judgement is made beside the requests."""
        end = time.monotonic() + 30
        while not good(answer := self.report()):
            assert time.monotonic() < end, answer
        return answer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path, addresses=9) as server:
        (tmp_path / "profiles" / "state").write_text("[('web', '*', {'health': 'quick'})]\n")
        yield server.start()


class Evidence(TypedDict):
    """A part of what a verdict is founded on."""

    component: str


class Round(TypedDict):
    """A part of what is told of a round; no stage in `only`: all."""

    runs: int
    only: list[str]


class Told(TypedDict):
    """A part of what is told of a test."""

    verdict: str | None
    reason: str | None
    evidence: Evidence
    rounds: list[Round]


def told_of(server: Server, *words: str) -> list[Told]:
    found: list[Told] = json.loads(server.edeploy(*words, "--json", noun="health"))
    return found


def shown(server: Server, *words: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(server.edeploy(*words, "--json"))
    return found


def test_five_machines_of_which_one_is_slow(server: Server, tmp_path: Path) -> None:
    rack = [Machine(server, number) for number in range(1, 5)]
    sheep = Machine(server, 5, disk__vda__read_1M=40000.0)
    for count, machine in enumerate(rack, 1):
        answer = machine.measure()
        assert answer["do"] == "wait" and answer["state"] == "testing"
        assert f"{count} of 5" in str(answer["why"])
    answer = sheep.measure()
    assert answer["do"] == "hold" and answer["state"] == "rejected"
    assert "disk/vda/read_1M" in str(answer["why"]) and "80.0 %" in str(answer["why"])
    for machine in rack:
        assert machine.report()["do"] == "install"
    text = server.edeploy("show", "EDL0005")
    assert "rejected" in text and "disk/vda/read_1M" in text
    [test] = told_of(server, "show", "EDL0005")
    assert test["evidence"]["component"] == "disk" and test["verdict"] == "fail"
    assert [one["runs"] for one in test["rounds"]] == [1, 3]
    assert test["rounds"][1]["only"] == ["disk/vda/read_1M"]
    # What the server keeps says the same offline.
    results = tmp_path / "results.json"
    results.write_text(server.edeploy("results", noun="health"))
    offline = json.loads(server.edeploy("analyze", str(results), "--json", noun="health", code=1))
    verdicts = {one["node"]: one["verdict"] for one in offline["verdicts"]}
    assert verdicts == {f"EDL000{n}": "fail" if n == 5 else "pass" for n in range(1, 6)}
    # The next one of the kind waits for nobody.
    assert Machine(server, 6).measure()["do"] == "install"


def test_the_ways_out_of_a_rejection(server: Server) -> None:
    rack = [Machine(server, number) for number in range(1, 6)]
    sheep = Machine(server, 6, cpu__all_events=700.0)
    for machine in [*rack, sheep]:
        machine.measure()
    assert sheep.report()["do"] == "hold"
    name = str(sheep.report()["machine"])
    assert "/ramdisk/" in sheep.client.get("/boot/script").text
    assert "no date" in server.edeploy(
        "accept", name, "--reason", "spare", "--until", "soon", code=2
    )
    assert "no reason" in server.edeploy("accept", name, "--reason", " ", code=1)
    assert "discovered" in server.edeploy("accept", name, "--reason", "a test rack")
    assert sheep.report()["do"] == "install"
    assert "a test rack" in server.edeploy("show", name)
    [event] = [e for e in shown(server, "log", name)["events"] if e["kind"] == "accept"]  # type: ignore[attr-defined]
    assert "a test rack" in event["text"]
    other = Machine(server, 7, memory__all_write=5000.0)
    assert other.measure()["do"] == "hold"
    other.values = GOOD
    assert "testing" in server.edeploy("retest", "EDL0007")
    assert other.measure()["do"] == "install"


def test_few_machines_and_an_operators_word(server: Server) -> None:
    machines = [Machine(server, 1), Machine(server, 2)]
    for machine in machines:
        assert machine.measure()["do"] == "wait"
    assert "quick" in server.edeploy("watch", "--once", noun="health")
    waits = told_of(server, "watch")
    assert len(waits) == 2 and all("health go" in str(test["reason"]) for test in waits)
    server.edeploy("go", "EDL0001", noun="health")
    for machine in machines:
        assert machine.until(lambda answer: answer["do"] != "wait")["do"] == "install"
    server.edeploy("go", "EDL0001", noun="health", code=1)
    server.edeploy("run", "EDL0001", noun="health")
    said = server.edeploy("retest", "EDL0002", "NOBODY", code=1)
    assert "no machine is called 'NOBODY'; done before it: EDL0002" in said


def test_missing_is_never_a_pass(server: Server) -> None:
    machine = Machine(server, 1)
    answer = machine.report()
    for only in ([], ["cpu/all_events"]):
        assert answer["do"] == "test" and answer["test"]["only"] == only  # type: ignore[index]
        results = machine.results(answer["test"])  # type: ignore[arg-type]
        results["results"] = [r for r in results["results"] if r["stage"] != "cpu/all_events"]  # type: ignore[attr-defined]
        for stage in results["stages"]:  # type: ignore[attr-defined]
            if stage["name"] == "cpu/all_events":
                stage.update(state="missing", reason="killed after 25 s")
        machine.post("results", results, answer["token"])
        answer = machine.until(lambda found: found["do"] != "wait")
    assert answer["do"] == "hold" and "killed after 25 s" in str(answer["why"])


def test_a_wrong_result_needs_no_peers(server: Server) -> None:
    machine = Machine(server, 1)
    answer = machine.report()
    results = machine.results(answer["test"])  # type: ignore[arg-type]
    results["errors"] = ["memory: stressapptest found 2 wrong words"]
    machine.post("results", results, answer["token"])
    answer = machine.until(lambda found: found["do"] != "wait")
    assert answer["do"] == "hold" and "2 wrong words" in str(answer["why"])


def test_progress_and_secrets(server: Server) -> None:
    machine = Machine(server, 1)
    first = machine.report()
    news = {"stage": "cpu/all", "run": "1", "stages_done": 2, "stages_total": 9, "value": 5.5}
    assert machine.post("progress", news, first["token"]) == {"go": True, "why": ""}
    assert "2 of 9" in server.edeploy("watch", "--once", noun="health")
    assert "cpu/all" in server.edeploy("ls")
    # The ramdisk starts again: the secret of before is dead, the test begins again.
    second = machine.report()
    assert second["do"] == "test"
    machine.post("progress", news, first["token"], status=401)
    results = machine.results(second["test"])  # type: ignore[arg-type]
    machine.post("results", results, first["token"], status=401)
    assert machine.post("results", results, second["token"]) == {}
    assert machine.post("results", results, second["token"]) == {}
    assert machine.post("progress", news, second["token"])["go"] is False
    kinds = [event["kind"] for event in shown(server, "log", "EDL0001")["events"]]  # type: ignore[attr-defined]
    assert "health-stage" in kinds and kinds.count("tested") == 1


def test_one_after_the_other(tmp_path: Path) -> None:
    with serving(tmp_path, "at_once = 1\n") as server:
        (tmp_path / "profiles" / "state").write_text("[('web', '*', {'health': 'quick'})]\n")
        first, second = Machine(server.start(), 1), Machine(server, 2)
        answer = first.report()
        assert answer["do"] == "test"
        waits = second.report()
        assert waits["do"] == "wait" and "turn" in str(waits["why"])
        first.post("results", first.results(answer["test"]), answer["token"])  # type: ignore[arg-type]
        assert second.report()["do"] == "test"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"results": 5}',
        b"[" * 100_000,
        b'{"stages": {}}',
    ],
)
def test_results_that_are_none(server: Server, body: bytes) -> None:
    machine = Machine(server, 1)
    token = machine.report()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    answer = machine.client.post("/v1/health/results", content=body, headers=headers)
    assert answer.status_code == 400 and "results" in answer.json()["error"]


def test_odd_results_are_kept_and_said(server: Server) -> None:
    machine = Machine(server, 1)
    token = machine.report()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    body = (
        b'{"results": [{"metric": "cpu/all_events", "run": "1", "value": NaN},'
        b' {"metric": "cpu/all_events", "value": 1e999}, 5, {"metric": "\\ud800", "value": -1}]}'
    )
    answer = machine.client.post("/v1/health/results", content=body, headers=headers)
    assert answer.status_code == 200
    machine.until(lambda found: found["do"] == "test")
    assert server.edeploy("results", noun="health")


def test_compared_with_its_birth(server: Server) -> None:
    machines = [Machine(server, number) for number in range(1, 6)]
    for machine in machines:
        machine.measure()
    assert "tested once" in server.edeploy("compare", noun="health", code=2)
    agents = [Agent(server.url, number) for number in range(1, 6)]
    for agent in agents:
        agent.call_home(agent.install())
    machines[4].values = GOOD | {"memory/all_write": 7000.0}
    server.edeploy("run", *(f"EDL000{n}" for n in range(1, 6)), noun="health")
    for machine, agent in zip(machines, agents, strict=True):
        assert "/ramdisk/" in agent.boot()
        machine.measure()
    machines[4].until(lambda found: found["state"] == "active")
    for agent in agents:
        assert agent.report()["do"] == "local"
        assert "/ramdisk/" not in agent.boot()
    found = json.loads(server.edeploy("compare", "--json", noun="health", code=1))
    drifted = [one["machine"] for one in found["machines"] if one["drifted"]]
    assert drifted == [machines[4].report()["machine"]]
    assert "22." in server.edeploy("compare", "EDL0005", noun="health", code=1)
