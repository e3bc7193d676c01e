"""A server of a few lines that installations are tried with, and who hears of them."""

import hashlib
import json
import subprocess
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from edeploy.images import manifest, signature, trees
from edeploy.node.install.context import InstallContext, InstallStopped

SECRET = "quite-secret-password"


@dataclass
class Desk:
    """What the server has and heard."""

    image: dict[str, object] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    plans: list[dict[str, object]] = field(default_factory=list)
    refuse_plans: bool = False
    on_plan: object = None
    cut_after: int = 0


class Told:
    """Tell, remembered; ends the install once `stop` is set."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.shares: list[tuple[int, int, str]] = []
        self.stop = False

    def progress(self, done: int, total: int, unit: str) -> None:
        self.shares.append((done, total, unit))
        if self.stop:
            raise InstallStopped("the server ended this install")

    def log(self, line: str) -> None:
        self.lines.append(line)

    say = log


def handler(desk: Desk) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def answer(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/v1/install/image":
                self.answer(200, json.dumps(desk.image).encode())
                return
            data = desk.files[path]
            begin = int(self.headers.get("Range", "bytes=0-")[len("bytes=") : -1])
            if desk.cut_after and not begin:
                # The server dies in the middle.
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.send_header("ETag", '"1"')
                self.end_headers()
                self.wfile.write(data[: desk.cut_after])
                self.close_connection = True
                return
            span = f"bytes {begin}-{len(data) - 1}/{len(data)}"
            status = 206 if begin else 200
            self.answer(status, data[begin:], ETag='"1"', Content_Range=span)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/v1/install/plan":
                desk.plans.append(body)
                if callable(desk.on_plan):
                    desk.on_plan()
                if desk.refuse_plans:
                    self.answer(409, b'{"error": "no such disk", "hint": "look"}')
                    return
            answer = {"call_home": "first-call"} if self.path == "/v1/install/finish" else {}
            self.answer(200, json.dumps(answer).encode())

    return Handler


def publish(desk: Desk, tree: Path, image: str = "web 1.0") -> None:
    words = ["tar", "-C", str(tree), "--sort=name", "--xattrs", "--xattrs-include=*", "--acls"]
    plain = subprocess.run(
        [*words, "--numeric-owner", "--sparse", "--format=posix", "-c", "."],
        check=True, capture_output=True,
    ).stdout  # fmt: skip
    archive = subprocess.run(["zstd", "-q"], input=plain, check=True, capture_output=True).stdout
    text = manifest.dump(trees.scan(tree), image)
    desk.files.update({"/images/a": archive, "/images/m": text})
    desk.image = {
        "archive": "/images/a",
        "archive_size": len(archive),
        "archive_sha256": hashlib.sha256(archive).hexdigest(),
        "manifest": "/images/m",
        "manifest_sha256": hashlib.sha256(text).hexdigest(),
        "rsync": None,
        "signature": None,
        "allow_unsigned": True,
    }


def script(context: InstallContext, source: str) -> None:
    object.__setattr__(context.job, "configure", source)


def device(loop: str) -> bytes:
    with open(loop, "rb") as stream:
        return stream.read(1 << 20)


def sign_published(desk: Desk, folder: Path, key: Path) -> None:
    text, sig = folder / "manifest", folder / "sig"
    text.write_bytes(desk.files["/images/m"])
    signature.sign(text, sig, key)
    desk.files["/images/s"] = sig.read_bytes()
    desk.image["signature"] = "/images/s"
    desk.image["allow_unsigned"] = False
