"""Measures programs and the servers that they ask: CPU, memory, bytes sent, new disk."""

import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit


@dataclass
class Child:
    """A program that ended: CPU seconds, largest memory in bytes, output."""

    cpu: float
    memory: int
    out: str


# A process of its own: the kernel counts what a child's parent had in memory as the child's.
MEASURE = """
import json, resource, subprocess, sys
out = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, check=True, text=True).stdout
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, out]))
"""


def measured(argv: Sequence[object]) -> Child:
    """Run the program; what it and its children used."""
    words = [sys.executable, "-S", "-c", MEASURE, *map(str, argv)]
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True, text=True)
    return Child(*json.loads(done.stdout))


@contextmanager
def web(folder: Path) -> Iterator[tuple[str, Callable[[], int], Callable[[], float]]]:
    """Files of a folder by range, in a process of its own: url, bytes sent, CPU seconds."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    counted = Path(tempfile.mkstemp()[1])
    child = subprocess.Popen([sys.executable, __file__, str(port), str(folder), str(counted)])
    try:
        wait_for(port)
        # Starting Python is no part of it.
        started = cpu_of_process(child.pid)
        yield (
            f"http://127.0.0.1:{port}",
            lambda: int(counted.read_text() or 0),
            lambda: cpu_of_process(child.pid) - started,
        )
    finally:
        child.terminate()
        child.wait()
        counted.unlink()


def serve(port: int, folder: str, counted: Path) -> None:
    """The web server's side."""
    total = [0]
    lock = threading.Lock()

    class Handler(SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            path = Path(self.translate_path(self.path))
            if not path.is_file():
                self.send_error(404)
                return
            size, wanted = path.stat().st_size, self.headers.get("Range", "")
            begin, last = 0, size - 1
            if wanted:
                first, _, rest = wanted.removeprefix("bytes=").partition("-")
                begin, last = int(first), min(int(rest or size - 1), size - 1)
            self.send_response(206 if wanted else 200)
            if wanted:
                self.send_header("Content-Range", f"bytes {begin}-{last}/{size}")
            self.send_header("Content-Length", str(last - begin + 1))
            self.end_headers()
            with open(path, "rb") as stream:
                sent = os.sendfile(self.connection.fileno(), stream.fileno(), begin, 0) or 0
                while begin + sent <= last:
                    sent += os.sendfile(
                        self.connection.fileno(), stream.fileno(), begin + sent,
                        last - begin - sent + 1,
                    )  # fmt: skip
            with lock:
                total[0] += sent
                counted.write_text(str(total[0]))

    os.chdir(folder)
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


@contextmanager
def rsync_daemon(work: Path, tree: Path) -> Iterator[tuple[str, Callable[[], float]]]:
    """A stock daemon that serves a tree: url, CPU seconds of it and its children."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = work / "rsyncd.conf"
    config.write_text(
        f"use chroot = no\nuid = root\ngid = root\n[tree]\npath = {tree}\nread only = yes\n"
    )
    child = subprocess.Popen(
        ["rsync", "--daemon", "--no-detach", f"--port={port}", f"--config={config}",
         "--address=127.0.0.1"]
    )  # fmt: skip
    try:
        wait_for(port)
        started = cpu_of_process(child.pid)
        yield f"rsync://127.0.0.1:{port}/tree/", lambda: cpu_of_process(child.pid) - started
    finally:
        child.terminate()
        child.wait()


@contextmanager
def counted(url: str) -> Iterator[tuple[str, Callable[[], int]]]:
    """The same server behind a relay: its url, and the bytes that came from the server."""
    place = urlsplit(url)
    total = [0]
    listener = socket.create_server(("127.0.0.1", 0))

    def carry(source: socket.socket, target: socket.socket, count: bool) -> None:
        while data := source.recv(1 << 16):
            total[0] += len(data) if count else 0
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)

    def listen() -> None:
        while True:
            try:
                machine, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection((place.hostname or "", place.port or 0))
            for ends in ((machine, server, False), (server, machine, True)):
                threading.Thread(target=carry, args=ends, daemon=True).start()

    threading.Thread(target=listen, daemon=True).start()
    try:
        port = listener.getsockname()[1]
        yield place._replace(netloc=f"127.0.0.1:{port}").geturl(), lambda: total[0]
    finally:
        listener.close()


def wait_for(port: int) -> None:
    """Until somebody listens."""
    end = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            threading.Event().wait(0.05)


def cpu_of_process(pid: int) -> float:
    """CPU seconds of a process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def cpu_of(who: int) -> float:
    """CPU seconds of this process, or of its children that have ended."""
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def blocks(folder: Path, without: Container[int] = ()) -> dict[int, int]:
    """Bytes on the disk of each inode below a folder, but for those of `without`."""
    subprocess.run(["sync", "--file-system", folder], check=True)
    found = {}
    for where, _, names in os.walk(folder):
        for name in (".", *names):
            about = os.lstat(os.path.join(where, name))
            if about.st_ino not in without:
                found[about.st_ino] = about.st_blocks * 512
    return found


@contextmanager
def scratch(work: Path) -> Iterator[Path]:
    """A folder beside the trees, gone at the end."""
    with tempfile.TemporaryDirectory(dir=work, prefix="scratch-") as folder:
        yield Path(folder)


def run(*words: str) -> str:
    """A program's output."""
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
