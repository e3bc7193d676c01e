"""The agent in the ramdisk: says what this machine is, and does what the server answers."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edeploy.errors import EdeployError
from edeploy.node import timeouts
from edeploy.node.cmdline import ON_FAILURE, ON_SUCCESS, Arguments
from edeploy.node.console import Console
from edeploy.node.detect.tree import Tree
from edeploy.node.http import BadAnswer, Retry, Server, ServerAway, ServerRefused, url_of
from edeploy.node.install.context import InstallContext, InstallJob, InstallStopped
from edeploy.node.kexec import load_kernel
from edeploy.node.links import Links
from edeploy.node.listener import Listener
from edeploy.node.reporter import Reporter
from edeploy.run import run

if TYPE_CHECKING:
    from edeploy.inventory.items import Item, Report
    from edeploy.node.detect.probes import Seconds

NEXT = Path("/run/edeploy/next")
TRIGGERED = Path("/run/edeploy/triggered")
LONGEST_WAIT = 3600.0
SLOWEST = 3
"""Probes that the line about the hardware names."""

Phases = Sequence[tuple[str, Callable[[InstallContext], None]]]


@dataclass(frozen=True)
class Known:
    """What is known of this machine; `heard` gives the items of neighbours heard until now."""

    hardware: Report
    heard: Callable[[], Sequence[Item]]

    def rows(self) -> list[list[str]]:
        """The body of a report."""
        return self.hardware.rows() + [list(item) for item in self.heard()]


@dataclass(frozen=True)
class Order:
    """What the server answered to a report: `do` is install, test, wait, hold or local; `test`
    says what to test."""

    machine: str
    state: str
    do: str
    why: str
    token: str
    retry_seconds: float
    test: object = None


def run_agent(arguments: Arguments, console: Console) -> str:
    """Work until it is decided how this boot ends: `reboot`, `kexec`, `halt` or `console`."""
    for problem in arguments.problems:
        console.say(problem)
    links = Links(arguments, console.say)
    listener = Listener()
    try:
        began = time.monotonic()
        links.wait_for_server()
        wait_for_devices(console)
        server = Server(url_of(arguments.server or "", arguments.http_port), on_wait=console.say)
        hardware = detect_hardware(console)
        known = Known(hardware, listener.items)
        return serve_orders(server, arguments, console, known, time.monotonic() - began)
    except EdeployError as error:
        console.say(str(error))
        return on_failure(arguments, "")
    finally:
        listener.close()
        links.close()


def wait_for_devices(console: Console) -> None:
    """Wait until udev has dealt with all that the machine had at its start."""
    # The event is udev's empty queue; it says nothing before everything was put into it.
    deadline = time.monotonic() + timeouts.UDEV_SETTLE
    while not TRIGGERED.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    done = run(
        ["udevadm", "settle", f"--timeout={timeouts.UDEV_SETTLE:.0f}"],
        timeout=timeouts.UDEV_SETTLE + timeouts.PROGRAM, check=False,
    )  # fmt: skip
    if done.code:
        console.say("some devices are not ready; going on with those that are")


def detect_hardware(console: Console) -> Report:
    """What this machine is."""
    # Here and not above: the first line on the console does not wait for it.
    from edeploy.node.detect import detect

    began = time.monotonic()
    probes: list[Seconds] = []
    report = detect(on_end=probes.extend)
    slowest = by_seconds(probes)
    console.say(
        f"hardware: {len(report.items)} facts in {time.monotonic() - began:.2f} s "
        f"({', '.join(slowest[:SLOWEST])})"
    )
    console.detail(f"probes: {', '.join(slowest)}")
    for item in report.all("probe", key="error"):
        console.say(f"probe {item.id}: {item.value}")
    return report


def by_seconds(probes: Sequence[Seconds]) -> list[str]:
    """`smart 2.31 s`, `network 0.40 s`, …: the slowest first."""
    slowest = sorted(probes, key=lambda probe: -probe.seconds)
    return [f"{probe.name} {probe.seconds:.2f} s" for probe in slowest]


def serve_orders(
    server: Server, arguments: Arguments, console: Console, known: Known, seconds: float
) -> str:
    """Report, and do what the server answers, until an install ended or the disk shall boot."""
    told = ""
    while True:
        order = order_of(server.post("/v1/report", known.rows()))
        line = f"{order.machine} is {order.state}: {order.do}\n{order.why}".rstrip()
        (console.say if line != told else console.detail)(line)
        told = line
        if order.do == "local":
            return "reboot"
        if order.do == "test":
            test(server, arguments, console, known, order)
            continue
        if order.do == "install":
            end = install(server, arguments, console, known, order, seconds)
            if end:
                return end
        threading.Event().wait(order.retry_seconds)


def install(
    server: Server,
    arguments: Arguments,
    console: Console,
    known: Known,
    order: Order,
    seconds: float,
) -> str:
    """Redeem the order and run the phases; how this boot ends, or "" to report again."""
    try:
        answer = server.with_bearer(order.token).post("/v1/install", {})
    except ServerRefused as error:
        # The answer to an earlier attempt may have been lost on its way: a new report tells.
        console.say(f"the install was not handed out: {error}")
        return ""
    job = InstallJob.from_answer(answer)
    session = server.with_bearer(job.session)
    reporter = Reporter(session, console)
    context = InstallContext(job, session, arguments, known.hardware, reporter)
    try:
        discovered(reporter, seconds)
        good = run_phases(context, reporter, phases_of_install())
        good = finish_reports(reporter, console) and good
        success = chosen(job.on_success, arguments.on_success, ON_SUCCESS)
        if good and success == "kexec":
            success = prepare_kexec(context, console)
    finally:
        context.undo.close()
    tell_neighbours(session, known, console)
    upload_log(session, arguments, console)
    return success if good else on_failure(arguments, job.on_failure)


def test(
    server: Server, arguments: Arguments, console: Console, known: Known, order: Order
) -> None:
    """Measure, and send the results; what goes wrong is told, and the next report tells more."""
    # Here and not above: an installation does without all this.
    from edeploy.node.bench.order import TestOrder
    from edeploy.node.bench.programs import Stop, TestStopped
    from edeploy.node.bench.telling import Telling
    from edeploy.node.bench.tester import Test, run_test
    from edeploy.node.bench.tools import fetch_tools

    session = server.with_bearer(order.token)
    try:
        wanted = TestOrder.from_answer(order.test)
        fetch_tools(server)
        stop = Stop()
        telling = Telling(console, session, stop)
        known_as = (arguments.server or "", arguments.http_port)
        try:
            document = run_test(Test(wanted, Tree(), known.hardware, known_as, stop, telling))
        finally:
            telling.close()
        session.post("/v1/health/results", document)
        console.say("test: the results are on the server")
    except TestStopped as stopped:
        console.say(f"test: ended: {stopped}")
    except EdeployError as error:
        console.say(f"test: {error}")
        threading.Event().wait(order.retry_seconds)
    except Exception:
        # The machine goes on asking; the server's deadline ends what never works.
        console.say(f"test: {traceback.format_exc()}")
        threading.Event().wait(order.retry_seconds)


def discovered(reporter: Reporter, seconds: float) -> None:
    """Report the phase that was over before there was anybody to report it to."""
    reporter.start("discover", ago=seconds)
    reporter.end()


def phases_of_install() -> Phases:
    """The phases in their order, as (name, function)."""
    # Here and not above: the first line on the console does not wait for it.
    from edeploy.node.install.phases import PHASES

    return PHASES


def run_phases(context: InstallContext, reporter: Reporter, phases: Phases) -> bool:
    """Run all phases, one at a time; False when one failed or the server ended the install."""
    for name, phase in phases:
        try:
            reporter.start(name)
            phase(context)
            reporter.end()
        except InstallStopped as stop:
            reporter.fail(str(stop))
            return False
        except EdeployError as error:
            reporter.fail(str(error))
            return False
        except Exception as error:
            reporter.fail(f"unexpected {type(error).__name__}: {error}\n{traceback.format_exc()}")
            return False
    return True


def finish_reports(reporter: Reporter, console: Console) -> bool:
    """Wait until the server has all reports; False when it has ended this install."""
    try:
        reporter.close()
    except ServerAway as error:
        # What is on the disk is whole, and the installed system tells the server itself.
        console.say(str(error))
    except EdeployError as error:
        console.say(str(error))
        return False
    return True


def prepare_kexec(context: InstallContext, console: Console) -> str:
    """Load the installed kernel; a reboot does as well when that fails."""
    try:
        console.say(f"kexec: {load_kernel(context)}")
        return "kexec"
    except (EdeployError, OSError) as error:
        console.say(f"kexec is not possible, rebooting instead: {error}")
        return "reboot"


def tell_neighbours(session: Server, known: Known, console: Console) -> None:
    """Report the neighbours that were heard meanwhile; a failure is only told."""
    if not known.heard():
        return
    try:
        hasty = session.with_retry(Retry(give_up=timeouts.LATE_FACTS))
        hasty.post("/v1/install/report", known.rows())
    except EdeployError as error:
        console.detail(f"neighbours were not reported: {error}")


def upload_log(session: Server, arguments: Arguments, console: Console) -> None:
    """Send the agent's whole log, unless UPLOAD_LOG=0; a failure is only told."""
    if not arguments.upload_log:
        return
    patient = session.with_retry(Retry(give_up=timeouts.LAST_REPORTS))
    try:
        patient.post_text("/v1/install/log", console.log())
    except EdeployError as error:
        console.say(f"the log was not sent: {error}")


def on_failure(arguments: Arguments, wanted: str) -> str:
    """How a failed boot ends: DEBUG=1 wins, then the server's word, then the kernel's."""
    if arguments.debug:
        return "console"
    return chosen(wanted, arguments.on_failure, ON_FAILURE)


def chosen(wanted: str, default: str, choices: Sequence[str]) -> str:
    """`wanted` when it is one of `choices`, else `default`."""
    return wanted if wanted in choices else default


def order_of(answer: Mapping[str, object]) -> Order:
    """The server's answer to a report. Raises BadAnswer."""
    retry = answer.get("retry_seconds", 10)
    order = Order(
        machine=str(answer.get("machine") or "this machine"),
        state=str(answer.get("state") or ""),
        do=str(answer.get("do") or ""),
        why=str(answer.get("why") or ""),
        token=str(answer.get("token") or ""),
        retry_seconds=float(retry) if isinstance(retry, (int, float)) else 10.0,
        test=answer.get("test"),
    )
    if order.do not in ("install", "test", "wait", "hold", "local"):
        raise BadAnswer(
            f"the server says do={order.do!r}, which this ramdisk does not know",
            "Ramdisk and server differ in age: run `edeploy ramdisk build`.",
        )
    return replace(order, retry_seconds=min(max(order.retry_seconds, 1.0), LONGEST_WAIT))
