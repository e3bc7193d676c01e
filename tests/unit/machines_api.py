"""A server that answers the machines' API from a script, and remembers what it was asked."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[str, bytes], tuple[int, dict[str, object]]]


class MachinesApi(ThreadingHTTPServer):
    """`answer(path, body)` gives status and JSON; `asked` holds (path, secret, body)."""

    daemon_threads = True

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.asked: list[tuple[str, str, bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def bodies(self, path: str) -> list[dict[str, object]]:
        """The objects that were posted to `path`."""
        return [json.loads(body) for asked, _, body in self.asked if asked == path]

    def reports(self, path: str) -> list[list[list[str]]]:
        """The reports that were posted to `path`, rows of texts each."""
        return [json.loads(body) for asked, _, body in self.asked if asked == path]


class _Handler(BaseHTTPRequestHandler):
    server: MachinesApi

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.path, self.headers.get("Authorization", ""), body))
        status, answer = self.server.answer(self.path, body)
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def machines_api(answer: Answer) -> Iterator[MachinesApi]:
    """The server on loopback, until the end of `with`."""
    server = MachinesApi(answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
