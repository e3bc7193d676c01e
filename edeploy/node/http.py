"""The one HTTP client of a machine: tries again until the server is back, and goes on by range."""

from __future__ import annotations

import http.client
import io
import json
import random
import socket
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Callable

from edeploy import __version__
from edeploy.errors import EdeployError
from edeploy.node import timeouts

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_ANSWER_BYTES = 4 << 20
CHUNK_BYTES = 1 << 20
_BUSY = (408, 425, 429)


class ServerAway(EdeployError):
    """The server was not reached, or was not able to answer, for as long as we try."""


class ServerRefused(EdeployError):
    """The server answered that it will not do this (`status` is 4xx)."""

    def __init__(self, message: str, hint: str = "", *, status: int) -> None:
        super().__init__(message, hint)
        self.status = status


class BadAnswer(EdeployError):
    """The server answered something that is not what was asked for."""


@dataclass(frozen=True)
class Retry:
    """How to try again: pauses from `first` to `longest` seconds, doubling, each shortened by
    chance by up to a half; the end is `give_up` seconds after the last byte that came."""

    first: float = timeouts.RETRY_FIRST
    longest: float = timeouts.RETRY_LONGEST
    give_up: float = timeouts.SERVER_AWAY

    def pauses(self) -> Iterator[float]:
        """The seconds to wait before the second attempt, the third, and so on, without end."""
        pause = self.first
        while True:
            yield pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads machines, hides nothing
            pause = min(pause * 2, self.longest)


def _silent(_: str) -> None:
    return None


@dataclass(frozen=True)
class Server:
    """The server at `base` (`http://address:port`). All methods may be used by several threads.

    Each waits while the server is away and raises ServerAway at the end, ServerRefused on a
    4xx answer, BadAnswer on an answer that makes no sense. `on_wait` gets a line for the
    operator when waiting begins and when it is over.
    """

    base: str
    bearer: str = ""
    retry: Retry = Retry()
    on_wait: Callable[[str], None] = _silent

    def with_bearer(self, secret: str) -> Server:
        """The same server, asked with another secret."""
        return replace(self, bearer=secret)

    def with_retry(self, retry: Retry) -> Server:
        """The same server, with other patience."""
        return replace(self, retry=retry)

    def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, object]:
        """GET a JSON object."""
        if query:
            path += "?" + urllib.parse.urlencode(query)
        return _object(self._ask("GET", path, b"", ""), path)

    def post(self, path: str, body: object) -> dict[str, object]:
        """POST `body` as JSON; returns the JSON object of the answer.

        It is sent again when no answer came, so the server may see it twice.
        """
        return _object(self._ask("POST", path, json.dumps(body).encode(), "application/json"), path)

    def post_text(self, path: str, text: str) -> dict[str, object]:
        """POST plain text; returns the JSON object of the answer."""
        return _object(self._ask("POST", path, text.encode(), "text/plain; charset=utf-8"), path)

    def read(self, path: str) -> bytes:
        """All bytes of a file that fits into memory, such as a manifest."""
        with self.open(path) as stream:
            return stream.read()

    def open(self, path: str, begin: int = 0, end: int = -1) -> Stream:
        """A file of any size, or its bytes from `begin` to before `end` (-1: all that follow), as
        a stream that goes on where it was after every interruption."""
        return Stream(self, path, begin, end)

    def connect(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """One attempt. Raises OSError or http.client.HTTPException when there is no answer."""
        url = urllib.parse.urlsplit(self.base)
        connection = http.client.HTTPConnection(
            url.hostname or "", url.port, timeout=timeouts.CONNECT
        )
        connection.response_class = _Answer
        try:
            connection.connect()
            connection.sock.settimeout(timeouts.STALL)
            connection.request(method, path, body or None, {**self._headers(), **headers})
            return Reply(connection, connection.getresponse())
        except BaseException:
            connection.close()
            raise

    def _headers(self) -> dict[str, str]:
        headers = {"User-Agent": f"edeploy-node/{__version__}", "Connection": "close"}
        if self.bearer:
            headers["Authorization"] = f"Bearer {self.bearer}"
        return headers

    def _ask(self, method: str, path: str, body: bytes, kind: str) -> bytes:
        headers = {"Content-Type": kind} if kind else {}
        patience = Patience(self, path)
        while True:
            try:
                with self.connect(method, path, body, headers) as reply:
                    if not reply.busy:
                        reply.refuse(self, path)
                        answer = reply.body(MAX_ANSWER_BYTES)
                        patience.over()
                        return answer
                    reason, pause = reply.why_busy()
            except (OSError, http.client.HTTPException) as error:
                reason, pause = _why(error), 0.0
            patience.wait(reason, pause)


class _WholeLines(io.BufferedReader):
    """Lines that are whole: http.client takes a head that was cut off for a shorter one."""

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        is_limit = size is not None and 0 <= size <= len(line)
        if not line.endswith(b"\n") and not is_limit:
            raise http.client.IncompleteRead(line)
        return line


class _Answer(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: object, **more: object) -> None:
        super().__init__(sock, *args, **more)  # type: ignore[arg-type]
        self.fp = _WholeLines(self.fp.detach())


class Patience:
    """Waits between attempts, tells the operator, and raises ServerAway when it has run out."""

    def __init__(self, server: Server, path: str) -> None:
        self._server = server
        self._path = path
        self._start_again()
        self._waiting = False

    def wait(self, reason: str, pause: float) -> None:
        """Wait before the next attempt, at least `pause` seconds (the server's Retry-After)."""
        pause = max(next(self._pauses), pause)
        left = self._end - time.monotonic()
        if left <= 0 or pause > left + self._server.retry.longest:
            raise ServerAway(
                f"{self._server.base}{self._path}: {reason}; "
                f"gave up after {self._server.retry.give_up:.0f} s",
                "Is `edeploy serve` running, and reachable from this machine?",
            )
        if not self._waiting:
            self._waiting = True
            self._server.on_wait(f"server {self._server.base}: {reason}; trying again")
        time.sleep(min(pause, max(left, 0.0)))

    def over(self) -> None:
        """There was an answer, or bytes came: the next trouble gets full patience."""
        self._start_again()
        if self._waiting:
            self._waiting = False
            self._server.on_wait(f"server {self._server.base}: answers again")

    def _start_again(self) -> None:
        self._pauses = self._server.retry.pauses()
        self._end = time.monotonic() + self._server.retry.give_up


class Reply:
    """An answer whose head has come; closes its connection at the end of `with`."""

    def __init__(
        self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse
    ) -> None:
        self._connection = connection
        self.response = response

    def __enter__(self) -> Reply:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.response.close()
        self._connection.close()

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.response.status

    @property
    def busy(self) -> bool:
        """Whether the server says that it cannot answer now."""
        return self.status >= 500 or self.status in _BUSY

    def why_busy(self) -> tuple[str, float]:
        """What to tell the operator, and the seconds that the server asks to wait (or 0)."""
        after = self.response.getheader("Retry-After", "")
        seconds = float(after) if after.isascii() and after.isdigit() and len(after) < 7 else 0.0
        return f"answered {self.status} {self.response.reason}", seconds

    def refuse(self, server: Server, path: str) -> None:
        """Raise ServerRefused when the answer is not 2xx, with the server's own words."""
        if 200 <= self.status < 300:
            return
        message, hint = _words(self.body(MAX_ANSWER_BYTES))
        shown = urllib.parse.urlsplit(path).path
        raise ServerRefused(
            f"{server.base}{shown}: {self.status} {message or self.response.reason}",
            hint,
            status=self.status,
        )

    def body(self, limit: int) -> bytes:
        """All of the body; raises BadAnswer when it has more than `limit` bytes."""
        data = self.response.read(limit + 1)
        if len(data) > limit:
            raise BadAnswer(f"the server's answer is longer than {limit} bytes")
        if self.response.length:
            raise http.client.IncompleteRead(data, self.response.length)
        return data


class Stream(io.RawIOBase):
    """A file on the server, or a part of it, to be read from its start to its end once.

    When the connection breaks it asks for the rest by range. Raises, from reads: ServerAway,
    ServerRefused, and BadAnswer when the file changed meanwhile.
    """

    def __init__(self, server: Server, path: str, begin: int = 0, end: int = -1) -> None:
        self._server = server
        self._path = path
        self._reply: Reply | None = None
        self._patience = Patience(server, path)
        self._tag = ""
        self._answered = False
        self._end = end
        self.position = begin
        # Where it ends, in bytes; known after the first read, -1 when the server does not say.
        self.size = end

    def readable(self) -> bool:
        """True: for the io module."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill `buffer` as far as bytes are there; 0 at the end of the file."""
        view = memoryview(buffer).cast("B")
        while True:
            try:
                count = self._read_some(view)
            except (OSError, http.client.HTTPException) as error:
                self._drop()
                self._patience.wait(_why(error), 0.0)
            except _Busy as busy:
                self._patience.wait(busy.reason, busy.pause)
            else:
                self._patience.over()
                return count

    def chunks(self, size: int = CHUNK_BYTES) -> Iterator[memoryview]:
        """The rest of the file in pieces of at most `size` bytes; each is good until the next."""
        buffer = bytearray(size)
        view = memoryview(buffer)
        while True:
            count = self.readinto(view)
            if not count:
                return
            yield view[:count]

    def close(self) -> None:
        """Close the connection; no more reads."""
        self._drop()
        super().close()

    def _read_some(self, view: memoryview) -> int:
        if self._reply is None:
            if self.position == self.size:
                return 0
            self._reply = self._ask()
        if self._end >= 0:
            # A server that knows no ranges gives more.
            view = view[: self._end - self.position]
        count: int = self._reply.response.readinto(view)
        self.position += count
        if not count and 0 <= self.position < self.size:
            raise http.client.IncompleteRead(b"", self.size - self.position)
        return count

    def _ask(self) -> Reply:
        headers = {}
        if self.position or self._end >= 0:
            last = str(self._end - 1) if self._end >= 0 else ""
            headers["Range"] = f"bytes={self.position}-{last}"
            if self._tag:
                headers["If-Range"] = self._tag
        reply = self._server.connect("GET", self._path, b"", headers)
        try:
            self._check(reply)
        except BaseException:
            reply.close()
            raise
        return reply

    def _check(self, reply: Reply) -> None:
        if reply.busy:
            raise _Busy(*reply.why_busy())
        reply.refuse(self._server, self._path)
        tag = reply.response.getheader("ETag", "")
        whole = not self.position and self._end < 0
        if whole or not self._answered:
            self._answered = True
            self._tag = "" if tag.startswith("W/") else tag
            if whole:
                length = reply.response.getheader("Content-Length", "")
                self.size = int(length) if length.isascii() and length.isdigit() else -1
                return
        begin = f"bytes {self.position}-"
        if (self._tag and tag and tag != self._tag) or (
            reply.status == 206
            and not (reply.response.getheader("Content-Range", "")).startswith(begin)
        ):
            raise BadAnswer(
                f"{self._server.base}{self._path}: changed on the server while it was fetched",
                "Publish a new version instead of changing one, then install again.",
            )
        if reply.status != 206:
            self._skip(reply)

    def _skip(self, reply: Reply) -> None:
        """Read over what is there already, when the server does not know ranges."""
        left = self.position
        while left:
            data = reply.response.read(min(left, CHUNK_BYTES))
            if not data:
                raise http.client.IncompleteRead(b"", left)
            left -= len(data)

    def _drop(self) -> None:
        if self._reply is not None:
            self._reply.close()
            self._reply = None


class _Busy(Exception):
    def __init__(self, reason: str, pause: float) -> None:
        super().__init__(reason)
        self.reason = reason
        self.pause = pause


def url_of(address: str, port: int) -> str:
    """`http://address:port`, with brackets around an IPv6 address."""
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


def _why(error: Exception) -> str:
    if isinstance(error, http.client.IncompleteRead):
        return "the connection ended too early"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _object(data: bytes, path: str) -> dict[str, object]:
    try:
        answer = json.loads(data)
    except ValueError as error:
        raise BadAnswer(f"{path}: the server's answer is no JSON") from error
    if not isinstance(answer, dict):
        raise BadAnswer(f"{path}: the server's answer is no JSON object")
    return answer


def _words(data: bytes) -> tuple[str, str]:
    """The server's message and hint, `{"error": …, "hint": …}`, or its first line of text."""
    try:
        answer = json.loads(data)
    except ValueError:
        return data.decode(errors="replace").strip().partition("\n")[0][:200], ""
    if not isinstance(answer, dict):
        return "", ""
    return str(answer.get("error", answer.get("detail", ""))), str(answer.get("hint", "") or "")
