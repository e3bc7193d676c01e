"""Sends what phases report to the server, in the background, about once a second."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass

from edeploy.errors import EdeployError
from edeploy.node import timeouts
from edeploy.node.console import Console
from edeploy.node.http import Server, ServerAway, ServerRefused
from edeploy.node.install.context import InstallStopped

MAX_LINES = 200
MAX_LINE = 2000


@dataclass(frozen=True)
class Event:
    """One thing to report; `body` is that of POST /v1/install/phase."""

    phase: str
    kind: str
    body: dict[str, object]


class Reporter:
    """The phase that runs, as told to the console at once and to the server soon.

    `progress`, `log` and `say` never wait for the network and raise InstallStopped once the server
    has ended the install. What is not reported yet is kept while the server is away: of progress
    only the newest.
    """

    def __init__(self, server: Server, console: Console) -> None:
        self._server = server
        self._console = console
        self._queue: queue.Queue[Event | None] = queue.Queue()
        self._stopped = ""
        self._phase = ""
        self._began = 0.0
        self._trouble: EdeployError | None = None
        self._thread = threading.Thread(target=self._work, name="reporter", daemon=True)
        self._thread.start()

    def start(self, phase: str, *, ago: float = 0.0) -> None:
        """A phase begins, or began `ago` seconds before."""
        self._check()
        self._phase = phase
        self._began = time.monotonic() - ago
        self._console.say(f"{phase}: start")
        self._put("start")

    def progress(self, done: int, total: int, unit: str) -> None:
        """See `Tell.progress`."""
        self._check()
        self._console.progress(self._phase, done, total, unit)
        self._put("progress", done=done, total=total, unit=unit)

    def log(self, line: str) -> None:
        """See `Tell.log`."""
        self._check()
        self._console.detail(f"{self._phase}: {line}")
        self._put("log", log=[line[:MAX_LINE]])

    def say(self, line: str) -> None:
        """See `Tell.say`."""
        self._check()
        self._console.say(f"{self._phase}: {line}")
        self._put("log", log=[line[:MAX_LINE]])

    def end(self) -> None:
        """The phase is done."""
        self._check()
        seconds = time.monotonic() - self._began
        self._console.say(f"{self._phase}: done in {seconds:.1f} s")
        self._put("end", seconds=round(seconds, 3))

    def fail(self, reason: str) -> None:
        """The phase failed; tells the server even of an install that it has ended."""
        seconds = time.monotonic() - self._began
        self._console.say(f"{self._phase}: FAILED after {seconds:.1f} s")
        self._console.say(reason)
        self._put("fail", reason=reason, seconds=round(seconds, 3))

    def close(self) -> None:
        """Wait until all is reported. Raises InstallStopped, and the EdeployError that kept
        reports from arriving."""
        self._queue.put(None)
        self._thread.join(timeouts.LAST_REPORTS)
        if self._thread.is_alive():
            raise ServerAway(
                f"the last reports did not reach the server in {timeouts.LAST_REPORTS:.0f} s"
            )
        self._check()

    def _check(self) -> None:
        if self._stopped:
            raise InstallStopped(f"the server ended this install: {self._stopped}")
        if self._trouble is not None:
            raise self._trouble

    def _put(self, kind: str, **body: object) -> None:
        self._queue.put(Event(self._phase, kind, {"phase": self._phase, "event": kind, **body}))

    def _work(self) -> None:
        open_end = True
        while open_end:
            batch = [self._queue.get()]
            self._collect(batch)
            open_end = batch[-1] is not None
            try:
                for event in _together([item for item in batch if item is not None]):
                    self._send(event)
            except EdeployError as error:
                self._trouble = error
                return

    def _collect(self, batch: list[Event | None]) -> None:
        """Add what comes within a second, but send what decides something at once."""
        end = time.monotonic() + timeouts.REPORT_EVERY
        while batch[-1] is not None and batch[-1].kind in ("progress", "log"):
            try:
                batch.append(self._queue.get(timeout=max(0.0, end - time.monotonic())))
            except queue.Empty:
                return

    def _send(self, event: Event) -> None:
        try:
            answer = self._server.post("/v1/install/phase", event.body)
        except ServerRefused as error:
            if error.status not in (401, 403, 404, 409, 410):
                raise
            # The server knows this install no more: as if it had said so.
            self._stopped = error.message
            return
        if answer.get("go") is not True:
            self._stopped = str(answer.get("why") or "it gave no reason")


def _together(events: list[Event]) -> list[Event]:
    """Fewer events that say the same: log lines in one, of progress the newest, order kept."""
    found: list[Event] = []
    for event in events:
        last = found[-1] if found else None
        if last is not None and last.phase == event.phase and last.kind == event.kind:
            if event.kind == "progress":
                found[-1] = event
                continue
            lines, more = last.body.get("log"), event.body.get("log")
            if isinstance(lines, list) and isinstance(more, list) and len(lines) < MAX_LINES:
                found[-1] = Event(event.phase, "log", {**last.body, "log": [*lines, *more]})
                continue
        found.append(event)
    return found
