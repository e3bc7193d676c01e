"""Speaks to a running QEMU through its monitor socket."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from edeploy.errors import EdeployError
from edeploy.lab import timeouts


class MonitorError(EdeployError):
    """QEMU's monitor can not be reached, or refused a command."""


class Monitor:
    """An open monitor: one command at a time, events in between kept until asked for."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("rb")
        self._events: list[str] = []

    def execute(self, command: str, **arguments: object) -> None:
        """Raises MonitorError with QEMU's own words."""
        request = {"execute": command, "arguments": arguments}
        self._connection.sendall(json.dumps(request).encode() + b"\n")
        while True:
            answer = self._read()
            if "error" in answer:
                raise MonitorError(f"QEMU refused {command}: {answer['error']}")
            if "return" in answer:
                return

    def wait_event(self, name: str) -> None:
        """Return once QEMU told the event. Raises MonitorError."""
        while name not in self._events:
            self._read()
        self._events.remove(name)

    def _read(self) -> dict[str, object]:
        try:
            line = self._lines.readline()
        except TimeoutError as error:
            raise MonitorError("QEMU does not answer its monitor") from error
        if not line:
            raise MonitorError("QEMU ended while its monitor was in use")
        answer = cast(dict[str, object], json.loads(line))
        if "event" in answer:
            self._events.append(str(answer["event"]))
        return answer


@contextmanager
def monitor(path: Path) -> Iterator[Monitor]:
    """Connect to the monitor at a unix socket. Raises MonitorError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeouts.QMP_ANSWER)
        try:
            connection.connect(str(path))
        except OSError as error:
            raise MonitorError(f"{path}: no QEMU answers: {error.strerror}") from error
        opened = Monitor(connection)
        opened.execute("qmp_capabilities")
        yield opened
