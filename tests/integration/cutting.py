"""A network that breaks: every byte of a server's answers goes through here, and some connections
end in the middle of one."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit


class Cuts:
    """Between machines and a server: `sent` counts bytes to machines. After each of `plan` bytes
    (counted from the cut before) the connection that is in use ends."""

    def __init__(self, url: str) -> None:
        place = urlsplit(url)
        self._server = (place.hostname or "", place.port or 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._plan: list[int] = []
        self.sent = 0
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def start(self, plan: Sequence[int] = ()) -> None:
        """Count anew, with these cuts."""
        with self._lock:
            self._plan, self.sent = list(plan), 0

    @property
    def left(self) -> int:
        """Cuts that have not come yet."""
        return len(self._plan)

    def close(self) -> None:
        self._listener.close()

    def _listen(self) -> None:
        while True:
            try:
                machine, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(machine,), daemon=True).start()

    def _carry(self, machine: socket.socket) -> None:
        with machine, socket.create_connection(self._server) as server:
            threading.Thread(target=_pass_on, args=(machine, server), daemon=True).start()
            while data := server.recv(1 << 14):
                allowed = self._allowed(len(data))
                machine.sendall(data[:allowed])
                if allowed < len(data):
                    break
            for end in (machine, server):
                _shut(end)

    def _allowed(self, count: int) -> int:
        with self._lock:
            if self._plan and self._plan[0] < count:
                count = self._plan.pop(0)
            elif self._plan:
                self._plan[0] -= count
            self.sent += count
            return count


@contextmanager
def cuts(url: str) -> Iterator[Cuts]:
    """Such a network in front of the server at `url`."""
    made = Cuts(url)
    try:
        yield made
    finally:
        made.close()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(1 << 14):
            target.sendall(data)
    except OSError:
        return


def _shut(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
