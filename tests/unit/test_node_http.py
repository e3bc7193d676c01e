"""The node's HTTP client against a real server on loopback that misbehaves, dies and returns."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from edeploy.node.http import (
    BadAnswer,
    Retry,
    Server,
    ServerAway,
    ServerRefused,
    url_of,
)

CONTENT = b"".join(number.to_bytes(4, "big") for number in range(750_000))
QUICK = Retry(first=0.01, longest=0.05, give_up=20)
Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def served(answer: Answer, port: int = 0) -> Iterator[ThreadingHTTPServer]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer(self)

        do_POST = do_GET

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def client(server: ThreadingHTTPServer) -> Server:
    return Server(f"http://127.0.0.1:{server.server_port}", retry=QUICK)


def send(handler: BaseHTTPRequestHandler, code: int, body: bytes = b"{}", **headers: str) -> None:
    handler.send_response(code)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def in_turn(*answers: Answer) -> Answer:
    left = list(answers)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(handler)

    return answer


def cut_after(count: int, *, tag: str = '"a"') -> Answer:
    """Serves CONTENT by range, and drops the connection after `count` bytes."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        begin = int(handler.headers.get("Range", "bytes=0-")[6:-1])
        handler.send_response(206 if begin else 200)
        if begin:
            handler.send_header("Content-Range", f"bytes {begin}-{len(CONTENT) - 1}/{len(CONTENT)}")
        handler.send_header("ETag", tag)
        handler.send_header("Content-Length", str(len(CONTENT) - begin))
        handler.end_headers()
        handler.wfile.write(CONTENT[begin : begin + count])
        handler.close_connection = True

    return answer


def test_an_answer_and_the_secret() -> None:
    seen = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        seen.append((handler.path, handler.headers["Authorization"], body))
        send(handler, 200, b'{"go": true}')

    with served(answer) as server:
        assert client(server).with_bearer("s3cret").post("/x", [1]) == {"go": True}
    assert seen == [("/x", "Bearer s3cret", b"[1]")]
    assert "s3cret" not in str(seen[0][0])


def test_a_query_is_quoted() -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        send(handler, 200, b'{"path": "%s"}' % handler.path.encode())

    with served(answer) as server:
        assert client(server).get("/image", {"role": "a&b"}) == {"path": "/image?role=a%26b"}


def test_a_server_that_is_not_there_yet_is_waited_for() -> None:
    with served(lambda handler: send(handler, 200)) as first:
        port = first.server_port
    told: list[str] = []
    came = threading.Event()

    def on_wait(line: str) -> None:
        told.append(line)
        came.set()

    def come_back() -> None:
        came.wait(10)
        with served(lambda handler: send(handler, 200, b'{"back": 1}'), port):
            done.wait(10)

    done = threading.Event()
    thread = threading.Thread(target=come_back)
    thread.start()
    answer = Server(f"http://127.0.0.1:{port}", retry=QUICK, on_wait=on_wait).get("/")
    done.set()
    thread.join()
    assert answer == {"back": 1}
    assert "trying again" in told[0] and "answers again" in told[-1]
    assert len(told) == 2


def test_waiting_has_an_end_that_says_what_to_look_at() -> None:
    with served(lambda handler: send(handler, 200)) as server:
        port = server.server_port
    with pytest.raises(ServerAway, match="refused.*gave up after 0 s") as caught:
        Server(f"http://127.0.0.1:{port}", retry=Retry(0.01, 0.02, 0.1)).get("/")
    assert "edeploy serve" in caught.value.hint


def test_busy_answers_are_tried_again_and_retry_after_is_kept() -> None:
    answer = in_turn(
        lambda handler: send(handler, 503, Retry_After="0"),
        lambda handler: send(handler, 500),
        lambda handler: send(handler, 429, Retry_After="soon"),
        lambda handler: send(handler, 200, b'{"n": 4}'),
    )
    with served(answer) as server:
        assert client(server).get("/") == {"n": 4}


def test_a_retry_after_beyond_our_patience_ends_it_at_once() -> None:
    with served(lambda handler: send(handler, 503, Retry_After="9999")) as server:
        with pytest.raises(ServerAway, match="503"):
            client(server).get("/")


def test_a_refusal_is_told_in_the_servers_words_without_the_query() -> None:
    body = b'{"error": "no such image web 9", "hint": "There is: web 1."}'
    with served(lambda handler: send(handler, 404, body)) as server:
        with pytest.raises(ServerRefused, match="404 no such image web 9") as caught:
            client(server).get("/image", {"role": "web"})
    assert caught.value.status == 404
    assert caught.value.hint == "There is: web 1."
    assert "role=" not in caught.value.message


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b"\xff"])
def test_what_is_no_json_object_is_told(body: bytes) -> None:
    with served(lambda handler: send(handler, 200, body)) as server:
        with pytest.raises(BadAnswer, match="no JSON"):
            client(server).get("/x")


def test_an_answer_that_is_cut_is_asked_for_again() -> None:
    def cut(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.close_connection = True

    with served(in_turn(cut, lambda handler: send(handler, 200, b'{"n": 2}'))) as server:
        assert client(server).get("/") == {"n": 2}


def test_a_head_that_is_cut_at_any_byte_is_none() -> None:
    head = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 1000\r\n\r\n"

    def cut(at: int) -> Answer:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.wfile.write(head[:at])
            handler.close_connection = True

        return answer

    whole = b"x" * 1000
    for at in range(len(head) + 1):
        with served(in_turn(cut(at), lambda handler: send(handler, 200, whole))) as server:
            assert client(server).read("/image") == whole, at


def test_a_stream_goes_on_where_it_was() -> None:
    with served(in_turn(*[cut_after(700_001)] * 5)) as server:
        with client(server).open("/image") as stream:
            digest = hashlib.sha256()
            for chunk in stream.chunks(65536):
                digest.update(chunk)
            assert stream.size == stream.position == len(CONTENT)
    assert digest.digest() == hashlib.sha256(CONTENT).digest()


def test_a_stream_survives_the_servers_death() -> None:
    told = threading.Event()
    with served(cut_after(1_000_000)) as server:
        port = server.server_port
        where = Server(f"http://127.0.0.1:{port}", retry=QUICK, on_wait=lambda _: told.set())
        stream = where.open("/image")
        got = stream.read(500_000)
    done = threading.Event()

    def come_back() -> None:
        told.wait(10)
        with served(cut_after(len(CONTENT)), port):
            done.wait(10)

    thread = threading.Thread(target=come_back)
    thread.start()
    with closing(stream):
        while len(got) < len(CONTENT):
            got += stream.read(100_000)
    done.set()
    thread.join()
    assert got == CONTENT


def test_a_server_without_ranges_is_read_over_again() -> None:
    def whole(handler: BaseHTTPRequestHandler) -> None:
        send(handler, 200, CONTENT)

    def cut(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(CONTENT)))
        handler.end_headers()
        handler.wfile.write(CONTENT[:12345])
        handler.close_connection = True

    with served(in_turn(cut, whole)) as server:
        assert client(server).read("/image") == CONTENT


def test_a_file_that_changed_meanwhile_is_refused() -> None:
    answer = in_turn(cut_after(10), cut_after(len(CONTENT), tag='"b"'))
    with served(answer) as server:
        with pytest.raises(BadAnswer, match="changed on the server"):
            client(server).read("/image")


def test_a_range_that_begins_elsewhere_is_refused() -> None:
    def elsewhere(handler: BaseHTTPRequestHandler) -> None:
        send(handler, 206, CONTENT[5:], Content_Range=f"bytes 5-{len(CONTENT) - 1}/{len(CONTENT)}")

    with served(in_turn(cut_after(10), elsewhere)) as server:
        with pytest.raises(BadAnswer, match="changed on the server"):
            client(server).read("/image")


def test_a_missing_file_is_a_refusal() -> None:
    with served(lambda handler: send(handler, 404, b"gone")) as server:
        with pytest.raises(ServerRefused, match="404 gone"):
            client(server).read("/image")


def test_an_empty_file() -> None:
    with served(lambda handler: send(handler, 200, b"")) as server:
        assert client(server).read("/empty") == b""


def test_pauses_grow_and_are_spread() -> None:
    pauses = Retry(first=1, longest=8).pauses()
    found = [next(pauses) for _ in range(8)]
    for pause, full in zip(found, [1, 2, 4, 8, 8, 8, 8, 8], strict=True):
        assert full / 2 <= pause <= full
    assert len(set(found)) == 8


def test_addresses() -> None:
    assert url_of("10.0.0.1", 80) == "http://10.0.0.1:80"
    assert url_of("fd00::1", 80) == "http://[fd00::1]:80"
