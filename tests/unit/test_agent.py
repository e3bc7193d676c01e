"""The agent's loop and reports against a real server on loopback."""

import io
import threading
import time
from pathlib import Path

import pytest
from machines_api import Answer, machines_api

from edeploy.errors import EdeployError
from edeploy.inventory.items import Item, Report
from edeploy.node import agent, cmdline
from edeploy.node.console import Console
from edeploy.node.http import BadAnswer, Retry, Server
from edeploy.node.install.context import (
    BadJob,
    InstallContext,
    InstallJob,
    InstallStopped,
)
from edeploy.node.reporter import Reporter

HARDWARE = Report((Item("system", "product", "name", "R640"),))
SWITCH = Item("lldp", "eth0", "switch", "rack-7")
PHASE = "/v1/install/phase"
JOB = {
    "session": "s3cret",
    "machine": "m1",
    "profile": "web",
    "vars": {"disk": "sda"},
    "configure": "",
    "fetch": "http",
    "on_success": "halt",
    "on_failure": "console",
    "kernel_arguments": "",
    "deadline": time.time() + 3600,
    "done": [],
}


def go(_path: str, _body: bytes) -> tuple[int, dict[str, object]]:
    return 200, {"go": True, "why": ""}


def server_at(url: str) -> Server:
    return Server(url, retry=Retry(0.01, 0.05, 20))


def context_of(reporter: Reporter, server: Server) -> InstallContext:
    return InstallContext(
        InstallJob.from_answer(JOB), server, cmdline.parse(""), HARDWARE, reporter
    )


def test_phases_are_reported_in_order_with_what_they_said() -> None:
    def fetch(context: InstallContext) -> None:
        for done in range(1001):
            context.progress(done, 1000, "bytes")
        context.log("one")
        context.log("two")

    with machines_api(go) as api:
        reporter = Reporter(server_at(api.url), Console([]))
        agent.discovered(reporter, 4.5)
        context = context_of(reporter, server_at(api.url))
        assert agent.run_phases(context, reporter, [("fetch", fetch), ("verify", lambda _: None)])
        assert agent.finish_reports(reporter, Console([]))
    bodies = api.bodies(PHASE)
    kinds = [(body["phase"], body["event"]) for body in bodies]
    assert kinds[:3] == [("discover", "start"), ("discover", "end"), ("fetch", "start")]
    assert kinds[-3:] == [("fetch", "end"), ("verify", "start"), ("verify", "end")]
    assert float(str(bodies[1]["seconds"])) >= 4.5
    progress = [body for body in bodies if body["event"] == "progress"]
    assert progress[-1]["done"] == progress[-1]["total"] == 1000
    assert len(progress) < 100
    logs = [body["log"] for body in bodies if body["event"] == "log"]
    lines = [line for log in logs if isinstance(log, list) for line in log]
    assert lines == ["one", "two"]


def test_reports_wait_for_no_network() -> None:
    release = threading.Event()

    def slow(path: str, body: bytes) -> tuple[int, dict[str, object]]:
        release.wait(20)
        return go(path, body)

    with machines_api(slow) as api:
        reporter = Reporter(server_at(api.url), Console([]))
        reporter.start("fetch")
        for done in range(10_000):
            reporter.progress(done, 10_000, "bytes")
        reporter.end()
        assert len(api.asked) <= 1
        release.set()
        reporter.close()
    assert api.bodies(PHASE)[-1]["event"] == "end"


@pytest.mark.parametrize("answer", [(200, {"go": False, "why": "deadline"}), (409, {"error": "x"})])
def test_an_install_that_the_server_ended_stops(
    answer: tuple[int, dict[str, object]],
) -> None:
    reached: list[InstallContext] = []

    def endless(context: InstallContext) -> None:
        while True:
            context.log("still at it")

    with machines_api(lambda path, body: answer) as api:
        reporter = Reporter(server_at(api.url), Console([]))
        context = context_of(reporter, server_at(api.url))
        assert not agent.run_phases(
            context, reporter, [("fetch", endless), ("verify", reached.append)]
        )
        assert not agent.finish_reports(reporter, Console([]))
    assert reached == []
    assert api.bodies(PHASE)[-1]["event"] == "fail"


def test_a_failed_phase_is_told_with_its_reason_and_ends_the_install() -> None:
    def broken(context: InstallContext) -> None:
        raise EdeployError("disk EDL1 is gone", "Look at the cables.")

    reached: list[InstallContext] = []
    output = io.BytesIO()
    with machines_api(go) as api:
        reporter = Reporter(server_at(api.url), Console([output]))
        context = context_of(reporter, server_at(api.url))
        phases: agent.Phases = [("bootloader", broken), ("finish", reached.append)]
        assert not agent.run_phases(context, reporter, phases)
        assert agent.finish_reports(reporter, Console([]))
    body = api.bodies(PHASE)[-1]
    assert (body["phase"], body["event"]) == ("bootloader", "fail")
    assert "disk EDL1 is gone" in str(body["reason"]) and "cables" in str(body["reason"])
    assert reached == []
    assert b"bootloader: FAILED" in output.getvalue()


def test_a_bug_in_a_phase_is_a_failure_with_its_place() -> None:
    def bug(context: InstallContext) -> None:
        raise KeyError("disks")

    with machines_api(go) as api:
        reporter = Reporter(server_at(api.url), Console([]))
        context = context_of(reporter, server_at(api.url))
        assert not agent.run_phases(context, reporter, [("configure", bug)])
        agent.finish_reports(reporter, Console([]))
    reason = str(api.bodies(PHASE)[-1]["reason"])
    assert "unexpected KeyError" in reason and "test_agent.py" in reason


def test_a_reporter_without_a_server_ends_the_work_at_the_end_of_patience() -> None:
    with machines_api(go) as api:
        url = api.url
    reporter = Reporter(Server(url, retry=Retry(0.01, 0.02, 0.1)), Console([]))
    reporter.start("fetch")
    with pytest.raises(EdeployError, match="gave up"):
        while True:
            reporter.log("x")


def orders(*answers: dict[str, object]) -> Answer:
    left = list(answers)

    def answer(path: str, body: bytes) -> tuple[int, dict[str, object]]:
        if path == "/v1/report":
            return 200, left.pop(0)
        return (409, {"error": "token was used"}) if path == "/v1/install" else go(path, body)

    return answer


def order(do: str) -> dict[str, object]:
    return {"machine": "m1", "state": "x", "do": do, "why": "because", "token": "t",
            "retry_seconds": 0}  # fmt: skip


def test_waiting_holding_and_a_lost_token_lead_to_new_reports_until_the_disk_boots() -> None:
    output = io.BytesIO()
    answers = [order("wait"), order("install"), order("local")]
    with machines_api(orders(*answers)) as api:
        end = agent.serve_orders(
            server_at(api.url),
            cmdline.parse(""),
            Console([output]),
            agent.Known(HARDWARE, list),
            1.0,
        )
    assert end == "reboot"
    assert [path for path, _, _ in api.asked] == [
        "/v1/report", "/v1/report", "/v1/install", "/v1/report",
    ]  # fmt: skip
    assert api.asked[0][2] == b'[["system", "product", "name", "R640"]]'
    assert api.asked[2][1] == "Bearer t"
    assert b"m1 is x: wait" in output.getvalue() and b"because" in output.getvalue()


def test_neighbours_heard_meanwhile_are_in_the_next_report() -> None:
    heard: list[list[Item]] = [[], [SWITCH]]
    known = agent.Known(HARDWARE, lambda: heard.pop(0))
    with machines_api(orders(order("wait"), order("local"))) as api:
        agent.serve_orders(server_at(api.url), cmdline.parse(""), Console([]), known, 1.0)
    assert api.reports("/v1/report") == [HARDWARE.rows(), [*HARDWARE.rows(), list(SWITCH)]]


def test_neighbours_heard_in_an_install_are_told_at_its_end() -> None:
    with machines_api(go) as api:
        agent.tell_neighbours(server_at(api.url), agent.Known(HARDWARE, list), Console([]))
        assert api.asked == []
        known = agent.Known(HARDWARE, lambda: [SWITCH])
        agent.tell_neighbours(server_at(api.url), known, Console([]))
    assert api.reports("/v1/install/report") == [[*HARDWARE.rows(), list(SWITCH)]]


def test_a_server_that_does_not_want_neighbours_is_no_failure() -> None:
    with machines_api(lambda path, body: (404, {"error": "no such thing"})) as api:
        known = agent.Known(HARDWARE, lambda: [SWITCH])
        agent.tell_neighbours(server_at(api.url), known, Console([]))


def test_an_order_of_a_newer_server_is_an_error() -> None:
    with pytest.raises(BadAnswer, match="do='dance'"):
        agent.order_of(order("dance"))


def test_the_log_is_sent_unless_told_otherwise() -> None:
    console = Console([])
    console.say("hello")
    with machines_api(go) as api:
        agent.upload_log(server_at(api.url), cmdline.parse("UPLOAD_LOG=0"), console)
        agent.upload_log(server_at(api.url), cmdline.parse(""), console)
    assert [path for path, _, _ in api.asked] == ["/v1/install/log"]
    assert b"hello" in api.asked[0][2]


@pytest.mark.parametrize(
    ("words", "wanted", "end"),
    [
        ("", "", "halt"),
        ("ONFAILURE=reboot", "", "reboot"),
        ("ONFAILURE=reboot", "console", "console"),
        ("DEBUG=1", "reboot", "console"),
        ("", "kexec", "halt"),
    ],
)
def test_how_a_failure_ends(words: str, wanted: str, end: str) -> None:
    assert agent.on_failure(cmdline.parse(words), wanted) == end


def test_a_job_is_checked_and_hides_its_secrets() -> None:
    job = InstallJob.from_answer(JOB)
    assert job.vars == {"disk": "sda"}
    assert "s3cret" not in repr(job)
    for name in ("session", "vars", "deadline", "done", "configure"):
        with pytest.raises(BadJob, match=name):
            InstallJob.from_answer({**JOB, name: None})


def test_what_must_be_undone_is_undone() -> None:
    undone: list[str] = []
    with machines_api(go) as api:
        reporter = Reporter(server_at(api.url), Console([]))
        context = context_of(reporter, server_at(api.url))
        context.undo.callback(undone.append, "umount")
        context.undo.close()
        reporter.close()
    assert undone == ["umount"]
    assert context.root == Path("/chroot")
    assert issubclass(InstallStopped, EdeployError)
