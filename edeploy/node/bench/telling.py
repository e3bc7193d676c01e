"""Where a test stands: to the console at once, to the server about once a second."""

from __future__ import annotations

import threading
from typing import Optional

from edeploy.errors import EdeployError
from edeploy.node import timeouts
from edeploy.node.bench.programs import Stop
from edeploy.node.console import Console
from edeploy.node.http import Retry, Server, ServerRefused

_PROGRESS = "/v1/health/progress"
# The server takes no longer text with progress; the whole is in the results.
_LONGEST = 900
Body = dict[str, object]


class Telling:
    """Tells of one test. No method waits for the network; of what is not sent yet the newest
    stands for all. Sets `stop` once the server has ended the test."""

    def __init__(self, console: Console, server: Server | None, stop: Stop) -> None:
        self._console = console
        self._server = server and server.with_retry(Retry(give_up=timeouts.BENCH_PROGRESS))
        self._stop = stop
        self._about: Body = {}
        self._latest: Optional[Body] = None  # noqa: UP045 - Python 3.9 on machines
        self._changed = threading.Condition()
        self._over = False
        self._thread = threading.Thread(target=self._work, name="telling", daemon=True)
        self._thread.start()

    def begin(self, stage: str, run: int, done: int, total: int, seconds_left: float) -> None:
        """A stage begins."""
        self._about = {
            "stage": stage,
            "run": str(run),
            "stages_done": done,
            "stages_total": total,
            "seconds_left": round(seconds_left, 1),
        }
        self._console.say(f"test: {done + 1} of {total}: {stage}, {seconds_left:.0f} s left")
        self._put({**self._about, "text": "begins"})

    def value(self, seconds_left: float, value: float, unit: str) -> None:
        """What is measured right now."""
        self._about = {**self._about, "seconds_left": round(seconds_left, 1)}
        self._console.live(
            str(self._about.get("stage")), f"{_figure(value)} {unit}, {seconds_left:.0f} s left"
        )
        self._put({**self._about, "value": float(f"{value:.6g}"), "unit": unit})

    def end(self, stage: str, text: str) -> None:
        """A stage is over; `text` is its values, or why it has none."""
        self._console.say(f"test: {stage}: {text}")
        self._put({**self._about, "text": text[:_LONGEST]})

    def close(self) -> None:
        """Tell no more."""
        with self._changed:
            self._over = True
            self._changed.notify()
        self._thread.join(timeouts.BENCH_PROGRESS)

    def _put(self, body: Body) -> None:
        with self._changed:
            self._latest = body
            self._changed.notify()

    def _work(self) -> None:
        pause = threading.Event()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._over or self._latest is not None)
                if self._over:
                    return
                body, self._latest = self._latest, None
            if body is not None:
                self._send(body)
            pause.wait(timeouts.REPORT_EVERY)

    def _send(self, body: Body) -> None:
        if self._server is None:
            return
        try:
            answer = self._server.post(_PROGRESS, body)
        except ServerRefused as error:
            if error.status in (401, 403, 404, 409, 410):
                # The server knows this test no more: as if it had said so.
                self._stop.why = self._stop.why or error.message
            return
        except EdeployError:
            # The measurement goes on while the server is away.
            return
        if answer.get("go") is False:
            self._stop.why = self._stop.why or str(answer.get("why") or "it gave no reason")


def _figure(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
