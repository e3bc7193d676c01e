"""A whole test: what becomes of stages that end well, fail, hang, or are stopped."""

import io
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from folder_machine import block, fake, machine
from machines_api import machines_api

from edeploy.inventory.items import Item, Report
from edeploy.node import agent, cmdline
from edeploy.node.bench import counters, cpu, disks, memory, tester
from edeploy.node.bench.order import TestOrder
from edeploy.node.bench.plan import Plan, in_order
from edeploy.node.bench.profiles import PROFILES
from edeploy.node.bench.programs import Bench, StageFailed, Stop, TestStopped
from edeploy.node.bench.results import MOST_SAMPLES, Ended, Findings, Outcome, Part, Result, thinned
from edeploy.node.bench.stage import OVERHEAD, Stage
from edeploy.node.bench.telling import Telling
from edeploy.node.bench.tester import Test
from edeploy.node.bench.topology import Node, Package, Topology
from edeploy.node.console import Console
from edeploy.node.detect.tree import Tree
from edeploy.node.http import BadAnswer, Retry, Server

HARDWARE = Report((Item("system", "product", "name", "R640"),))
PROGRESS, RESULTS = "/v1/health/progress", "/v1/health/results"


def a_test(root: Path, **order: object) -> Test:
    stop = Stop()
    tree = machine(root, {"proc/meminfo": "MemTotal: 2097152 kB\nMemAvailable: 1048576 kB\n"})
    wanted = TestOrder.from_answer({"profile": "lab", **order})
    return Test(wanted, tree, HARDWARE, ("", 0), stop, Telling(Console([]), None, stop))


def a_stage(work: Callable[[Bench, int], Outcome], grace: float = 5) -> Stage:
    return Stage("cpu/all", Part.CPU, 0.01, work, grace=grace)


def one_stage(test: Test, work: Callable[[Bench, int], Outcome], grace: float = 5) -> Ended:
    return tester.run_stage(test, a_stage(work, grace), 1, 1.0)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def test_a_stage_without_figures_shows_that_it_works(tmp_path: Path, programs: Path) -> None:
    fake(programs, "stressapptest", "sleep 3; echo Status: PASS")
    tree = machine(tmp_path / "root", {"proc/meminfo": "MemAvailable: 1048576 kB\n"})
    told: list[tuple[float, str]] = []
    bench = Bench(tree, time.monotonic() + 60, Stop(), lambda *news: told.append(news))
    (stage,) = memory.stages(Topology((), ()), PROFILES["lab"], tree)
    assert stage.work(bench, 1).errors == ()
    assert told and set(told) == {(44, "MiB")}


def test_a_program_that_hangs_is_ended_and_the_stage_is_missing(
    tmp_path: Path, programs: Path
) -> None:
    fake(programs, "slow", f"echo $$ > {tmp_path}/pid; sleep 600 & wait")
    test = a_test(tmp_path / "m")

    def work(bench: Bench, _run: int) -> Outcome:
        bench.run(["slow"])
        return Outcome()

    ended = one_stage(test, work, grace=1)
    assert (ended.state, ended.reason) == ("missing", "not done in its time, ended")
    assert ended.commands == ("slow",)
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


def test_a_stage_that_nothing_ends_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edeploy.node.timeouts.BENCH_KILLED", 0.1)
    release = threading.Event()

    def work(_bench: Bench, _run: int) -> Outcome:
        # As a thread does that waits for a disk which never answers.
        release.wait(60)
        return Outcome()

    ended = one_stage(a_test(tmp_path), work, grace=0.1)
    release.set()
    assert (ended.state, ended.reason) == (
        "missing", "it hangs in the kernel and can not be ended",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("work", "reason"),
    [
        (lambda bench, _: bench.run(["no-such-program"]), "no-such-program: not found in PATH"),
        (lambda _bench, _run: 1 / 0, "unexpected ZeroDivisionError"),
        (
            lambda _bench, _run: Outcome((Result("cpu/all_events", "1/s", float("nan")),)),
            "no figure: cpu/all_events",
        ),
        (lambda _bench, _run: Outcome((Result("a/b", "1/s", 0.0),)), "no figure: a/b"),
        (lambda _bench, _run: Outcome((Result("a/b", "1/s", -3.0),)), "no figure: a/b"),
    ],
)
def test_what_fails_is_missing_with_its_reason(
    tmp_path: Path, work: Callable[[Bench, int], Outcome], reason: str
) -> None:
    test = a_test(tmp_path)
    ended = one_stage(test, work)
    assert ended.state == "missing"
    assert reason in ended.reason
    assert test.found.results == []


def test_one_of_several_programs_that_fails_ends_the_others(tmp_path: Path, programs: Path) -> None:
    fake(programs, "slow", "exec sleep 600")

    def work(bench: Bench, _run: int) -> Outcome:
        bench.run(["slow"], ["no-such-program"], ["slow"])
        return Outcome()

    assert "no-such-program" in one_stage(a_test(tmp_path / "m"), work).reason


def test_a_wrong_result_is_a_hard_error_of_a_stage_that_is_done(tmp_path: Path) -> None:
    test = a_test(tmp_path)
    ended = one_stage(test, lambda _bench, _run: Outcome(errors=("memory: 2 wrong words",)))
    assert ended.state == "done"
    assert test.found.errors == ["memory: 2 wrong words"]


def test_what_does_not_fit_into_the_time_is_missing(tmp_path: Path) -> None:
    test = a_test(tmp_path, seconds=0.001)
    assert one_stage(test, lambda _bench, _run: Outcome()).reason.startswith("no time left")


def test_the_servers_word_ends_a_stage_and_the_test(tmp_path: Path, programs: Path) -> None:
    fake(programs, "slow", "echo begun; exec sleep 600")
    test = a_test(tmp_path / "m")

    def work(bench: Bench, _run: int) -> Outcome:
        def begun(_number: int, _line: str) -> None:
            test.stop.why = "an operator ended it"

        bench.run(["slow"], on_line=begun)
        return Outcome()

    with pytest.raises(TestStopped, match="an operator ended it"):
        one_stage(test, work)


def test_a_counter_that_rises_in_a_stage_is_told_with_it(tmp_path: Path) -> None:
    test = a_test(tmp_path)
    count = tmp_path / "sys/devices/system/edac/mc/mc0/ue_count"
    count.parent.mkdir(parents=True)
    count.write_text("0\n")

    def work(_bench: Bench, _run: int) -> Outcome:
        count.write_text("2\n")
        return Outcome()

    made = Plan((a_stage(work),), ())
    tester.run_stages(test, made, 1, counters.Health({}))
    assert test.found.errors == ["memory: 2 uncorrected errors (mc0/ue) during cpu/all"]
    assert [vars(change) for change in test.found.counters] == [
        {"name": "edac/mc0/ue", "before": 0, "after": 2, "stage": "cpu/all", "run": 1}
    ]


def test_the_same_seed_gives_the_same_order_and_what_writes_comes_last() -> None:
    stages = [
        Stage(f"disk/{n}", Part.DISK, 1, lambda _b, _r: Outcome(), late=n >= 8) for n in range(10)
    ]
    order = TestOrder.from_answer({"profile": "full", "seed": 7})
    names = [[stage.name for stage in in_order(stages, order, run)] for run in (1, 1, 2)]
    assert names[0] == names[1] != names[2]
    assert sorted(names[0]) == sorted(stage.name for stage in stages)
    assert set(names[0][-2:]) == set(names[2][-2:]) == {"disk/8", "disk/9"}
    quick = TestOrder.from_answer({"profile": "quick", "seed": 7})
    assert in_order(stages, quick, 1) == stages


def test_samples_of_hours_become_means_of_seconds() -> None:
    points, every = thinned([1.0, 3.0] * MOST_SAMPLES)
    assert (len(points), every, set(points)) == (MOST_SAMPLES, 2.0, {2.0})
    assert thinned([1.23456789]) == ([1.23457], 1.0)
    assert thinned([]) == ([], 1.0)


@pytest.mark.parametrize("count", [1, 2, 3, 12, 64])
@pytest.mark.parametrize("nodes", [1, 2, 8])
@pytest.mark.parametrize(("name", "minutes"), [("quick", 2.0), ("full", 60.0)])
def test_a_test_keeps_its_time_on_any_machine(
    tmp_path: Path, count: int, nodes: int, name: str, minutes: float
) -> None:
    files = {"proc/meminfo": "MemAvailable: 60000000 kB\n"}
    for number in range(count):
        files |= block(f"disk{number}", 10**9, device__model="D")
    profile = PROFILES[name]
    tree = machine(tmp_path, files)
    found = Topology(
        (Package(0, (0,)), Package(1, (1,))),
        tuple(Node(number, (number,), 64 << 30, 32 << 20, True) for number in range(nodes)),
    )
    stages = [
        *cpu.stages(found, profile),
        *memory.stages(found, profile, tree),
        *disks.stages(disks.measurable(tree)[0], profile),
    ]
    # With the two ways of a network card. Programs take half a second to begin and to end where
    # OVERHEAD leaves room for slow machines.
    seconds = sum(stage.seconds - OVERHEAD + 0.5 for stage in stages)
    seconds += 2 * (profile.network + 1.5)
    assert profile.runs * seconds / 60 < minutes
    # Every stage has room after the ramp.
    assert all(stage.seconds > profile.ramp + 2 for stage in stages)


@pytest.mark.parametrize(
    "test",
    [
        None, [], {"profile": "slow"}, {"profile": "quick", "runs": -1},
        {"profile": "quick", "first_run": "1"}, {"profile": "quick", "seconds": 0},
        {"profile": "quick", "only": "cpu/all"}, {"profile": "quick", "network": {"port": 1}},
        {"profile": "quick", "network": {"address": "a", "port": 70000}},
    ],
)  # fmt: skip
def test_an_order_that_is_not_understood_is_refused(test: object) -> None:
    with pytest.raises(BadAnswer):
        TestOrder.from_answer(test)


def measuring_programs(folder: Path) -> None:
    """The programs of the profile `lab` on a machine without disks and cards."""
    fake(
        folder,
        "stressapptest",
        "echo 'Stats: SAT revision 1.0.6_autoconf'\n"
        "echo 'Stats: Completed: with 0 hardware incidents, 0 errors'; echo 'Status: PASS'",
    )


def test_a_whole_test_is_one_document(tmp_path: Path, programs: Path) -> None:
    measuring_programs(programs)
    document = tester.run_test(a_test(tmp_path / "m", runs=2, first_run=4))
    assert json.loads(json.dumps(document)) == document
    assert document["schema"] == 1
    stages = document["stages"]
    assert isinstance(stages, list)
    done = [(one["name"], one["run"]) for one in stages if one["state"] == "done"]
    assert done == [("memory/correctness", "4"), ("memory/correctness", "5")]
    skipped = {one["name"] for one in stages if one["state"] == "skipped"}
    assert skipped == {"cpu", "memory"}
    assert all(one["reason"] for one in stages if one["state"] == "skipped")
    assert document["errors"] == []


def test_only_the_stages_that_are_wanted_are_run(tmp_path: Path, programs: Path) -> None:
    measuring_programs(programs)
    test = a_test(tmp_path / "m", only=["memory/all"])
    assert tester.run_test(test)["stages"] == []


def test_the_agent_tests_sends_and_asks_again(
    tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measuring_programs(programs)
    monkeypatch.setattr(agent, "Tree", lambda: machine(tmp_path / "m", {}))
    orders: list[dict[str, object]] = [
        {"do": "test", "token": "T1", "test": {"profile": "lab"}, "retry_seconds": 1},
        {"do": "local"},
    ]
    seen: list[str] = []

    def answer(path: str, _body: bytes) -> tuple[int, dict[str, object]]:
        seen.append(path)
        if path == "/v1/report":
            return 200, orders.pop(0)
        return 200, {"go": True} if path == PROGRESS else {}

    with machines_api(answer) as api:
        server = Server(api.url, retry=Retry(0.01, 0.05, 20))
        known = agent.Known(HARDWARE, tuple)
        end = agent.serve_orders(server, cmdline.parse(""), Console([]), known, 0.0)
        assert end == "reboot"
        (sent,) = api.bodies(RESULTS)
        progress = api.bodies(PROGRESS)
    assert seen[0] == seen[-1] == "/v1/report"
    assert sent["profile"] == "lab"
    # The newest is told: how many come depends on how quick the stages are.
    assert progress and all(body["stage"] for body in progress)


def test_progress_is_told_and_go_false_stops() -> None:
    def answer(_path: str, _body: bytes) -> tuple[int, dict[str, object]]:
        return 200, {"go": False, "why": "the machine was retired"}

    screen = io.BytesIO()
    with machines_api(answer) as api:
        stop = Stop()
        telling = Telling(Console([screen]), Server(api.url), stop)
        telling.begin("cpu/all", 1, 0, 3, 71.0)
        telling.value(70.0, 1234.5678, "1/s")
        deadline = time.monotonic() + 30
        while not stop.why and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        telling.close()
        body = api.bodies(PROGRESS)[-1]
    assert stop.why == "the machine was retired"
    assert body["stage"] == "cpu/all"
    assert body["stages_total"] == 3
    text = screen.getvalue().decode()
    assert "test: 1 of 3: cpu/all, 71 s left" in text
    assert "1235 1/s" in text


def test_a_server_that_is_away_does_not_stop_a_measurement() -> None:
    stop = Stop()
    away = Server("http://127.0.0.1:1", retry=Retry(0.01, 0.02, 0.05))
    telling = Telling(Console([]), away, stop)
    telling.begin("cpu/all", 1, 0, 3, 71.0)
    telling.close()
    assert not stop.why


def test_findings_are_told_once() -> None:
    found = Findings()
    for _ in range(2):
        found.error("a")
        found.warning("b")
    document = found.document()
    assert (document["errors"], document["warnings"]) == (["a"], ["b"])


def test_a_stage_can_fail_by_itself(tmp_path: Path) -> None:
    def work(_bench: Bench, _run: int) -> Outcome:
        raise StageFailed("the disk is in use")

    assert one_stage(a_test(tmp_path), work).reason == "the disk is in use"
    assert Tree(tmp_path).exists("proc/meminfo")
