"""A real server as a process, a store and profiles for it, and an agent that speaks its API."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import httpx

EDEPLOY = Path(sys.executable).with_name("edeploy")
ROLE, VERSION = "web", "1.0"
ARCHIVE = bytes(range(256)) * 4096


def make_store(folder: Path) -> Path:
    """A store with one image and one ramdisk, small but whole."""
    tree = folder / "install" / VERSION / ROLE
    tree.mkdir(parents=True)
    (tree / "etc").mkdir()
    (tree / "etc" / "shadow").write_text("root:*:1:0:::::\n")
    (tree / "etc" / "shadow").chmod(0o600)
    stem = tree.parent / f"{ROLE}-{VERSION}"
    Path(f"{stem}.edeploy").write_bytes(ARCHIVE)
    Path(f"{stem}.manifest").write_text("#edeploy-manifest 1\n")
    record = {
        "inputs": "0" * 64,
        "files": 1,
        "size": 1,
        "archive_size": len(ARCHIVE),
        "archive_sha256": "1" * 64,
        "manifest_sha256": "2" * 64,
        "seconds": 1.0,
    }
    Path(f"{stem}.json").write_text(json.dumps(record))
    ramdisk = folder / "ramdisk" / "cloud"
    ramdisk.mkdir(parents=True)
    (ramdisk / "vmlinuz").write_bytes(b"kernel")
    (ramdisk / "initrd").write_bytes(b"initrd")
    return folder


def make_profiles(folder: Path, *, quota: str = "'*'", addresses: int = 4) -> Path:
    """One profile `web` with a CMDB, for machines made by Lab Makers."""
    folder.mkdir()
    (folder / "state").write_text(f"[('web', {quota})]\n")
    (folder / "web.specs").write_text(
        "[('system', 'product', 'vendor', 'Lab Makers'),\n"
        " ('system', 'product', 'serial', '$serial'),\n"
        " ('disk', '$disk', 'size', 'gt(4)')]\n"
    )
    entries = [{"ip": f"10.0.0.{n}", "hostname": f"web-{n}"} for n in range(1, addresses + 1)]
    (folder / "web.cmdb").write_text(repr(entries))
    (folder / "web.configure").write_text(f"set_role({ROLE!r}, {VERSION!r}, var['disk'])\n")
    return folder


def hardware(number: int, vendor: str = "Lab Makers") -> list[list[str]]:
    """The report of a machine."""
    return [
        ["system", "product", "vendor", vendor],
        ["system", "product", "name", "Box"],
        ["system", "product", "serial", f"EDL{number:04}"],
        ["system", "product", "uuid", f"00000000-0000-4000-8000-{number:012}"],
        ["network", "eth0", "serial", mac(number)],
        ["disk", "vda", "size", "8"],
        ["disk", "vda", "serial", f"DISK{number:04}"],
    ]


def mac(number: int) -> str:
    """The network card of a machine."""
    return f"52:54:00:00:{number >> 8:02x}:{number & 255:02x}"


def plan(number: int) -> dict[str, object]:
    """What an agent will write."""
    disk = {
        "path": "/dev/vda",
        "by_id": f"/dev/disk/by-id/virtio-DISK{number:04}",
        "serial": f"DISK{number:04}",
        "wwn": "",
        "size": 8_000_000_000,
        "fingerprint": "empty",
    }
    return {"disks": [disk], "text": "vda: GPT, root ext4"}


def free_port() -> int:
    """A port that nobody has right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """`edeploy serve` on a folder of its own; may be killed and started again."""

    folder: Path
    port: int
    address: str = "127.0.0.1"
    prefix: tuple[str, ...] = ()
    process: "subprocess.Popen[str] | None" = None
    lines: list[str] = field(default_factory=list)

    @property
    def config(self) -> Path:
        return self.folder / "edeploy.toml"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}"

    def start(self) -> "Server":
        """Returns when it is ready; fails with its output when it ends instead."""
        self.process = subprocess.Popen(
            [*self.prefix, str(EDEPLOY), "serve", "--config", str(self.config)],
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        stream: IO[str] | None = self.process.stderr
        assert stream is not None
        for line in stream:
            self.lines.append(line)
            if "ready:" in line:
                return self
        raise AssertionError("".join(self.lines))

    def kill(self) -> None:
        """As a power cut does it."""
        assert self.process is not None
        self.process.kill()
        self._gone()

    def stop(self) -> str:
        """SIGTERM; all that it said since it was ready."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self._gone()

    def _gone(self) -> str:
        assert self.process is not None and self.process.stderr is not None
        with self.process.stderr as stream:
            rest = stream.read()
        self.process.wait(30)
        self.process = None
        return rest

    def operators(self) -> httpx.Client:
        """A client of the operators' API."""
        transport = httpx.HTTPTransport(uds=str(self.folder / "api.sock"))
        return httpx.Client(transport=transport, base_url="http://edeploy", timeout=30)

    def edeploy(self, *words: str, noun: str = "machine", code: int = 0) -> str:
        """`edeploy NOUN …`; its output, or its errors when it has none."""
        done = subprocess.run(
            [str(EDEPLOY), noun, *words],
            env=os.environ | {"EDEPLOY_SOCKET": str(self.folder / "api.sock")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout or done.stderr


@contextmanager
def serving(
    folder: Path, more: str = "", *, quota: str = "'*'", addresses: int = 4
) -> Iterator[Server]:
    """A folder with settings, store and profiles; the server is started by the test."""
    server = Server(folder, free_port())
    make_store(folder / "store")
    make_profiles(folder / "profiles", quota=quota, addresses=addresses)
    server.config.write_text(
        f'[server]\naddress = "127.0.0.1"\nport = {server.port}\n'
        'socket = "api.sock"\nstate_dir = "state"\n'
        '[store]\npath = "store"\n[profiles]\npath = "profiles"\n'
        '[boot]\nkernel = "cloud"\n[rsync]\nenabled = false\n'
        "[images]\nallow_unsigned = true\n[health]\nnetwork = false\n" + more
    )
    try:
        yield server
    finally:
        if server.process is not None:
            server.kill()


class Agent:
    """The machine's side of the API."""

    def __init__(self, url: str, number: int) -> None:
        self.number = number
        self.client = httpx.Client(base_url=url, timeout=30)
        self.secret = ""

    def boot(self, platform: str = "pcbios") -> str:
        """Ask for the boot script."""
        asked = {
            "mac": mac(self.number),
            "uuid": f"00000000-0000-4000-8000-{self.number:012}",
            "serial": f"EDL{self.number:04}",
            "platform": platform,
        }
        return self.client.get("/boot/script", params=asked).raise_for_status().text

    def report(self) -> dict[str, object]:
        """Report; the answer."""
        answer = self.client.post("/v1/report", json=hardware(self.number))
        found: dict[str, object] = answer.raise_for_status().json()
        return found

    def redeem(self, token: object) -> httpx.Response:
        """Redeem a token; the session is kept when it was good."""
        answer = self.client.post("/v1/install", headers=bearer(token))
        if answer.is_success:
            self.secret = answer.json()["session"]
        return answer

    def post(self, path: str, body: object = None) -> httpx.Response:
        """Something of the install."""
        return self.client.post(path, json=body or {}, headers=bearer(self.secret))

    def phase(self, name: str, event: str, **more: object) -> dict[str, object]:
        """News of a phase; the answer."""
        body = {"phase": name, "event": event, **more}
        found: dict[str, object] = self.post("/v1/install/phase", body).raise_for_status().json()
        return found

    def run(self, *names: str) -> None:
        """Phases that go well."""
        for name in names:
            assert self.phase(name, "start")["go"]
            assert self.phase(name, "end", seconds=1.5)["go"]

    def finish(self) -> str:
        """The last phase; the secret for the installed system."""
        self.phase("finish", "start")
        secret: str = self.post("/v1/install/finish").raise_for_status().json()["call_home"]
        self.phase("finish", "end", seconds=0.5)
        return secret

    def call_home(self, secret: str) -> httpx.Response:
        """What the installed system says."""
        body = {
            "role": ROLE,
            "version": VERSION,
            "boot_id": "b",
            "kernel": "6.1",
            "uptime_seconds": 12.5,
        }
        return self.client.post("/v1/call-home", json=body, headers=bearer(secret))

    def install(self) -> str:
        """From the report to the end of the last phase; the secret for the installed system."""
        assert self.redeem(self.report()["token"]).is_success
        self.run("discover", "configure")
        self.post("/v1/install/plan", plan(self.number)).raise_for_status()
        self.run("fetch", "verify", "bootloader")
        return self.finish()


def bearer(secret: object) -> dict[str, str]:
    """The header that carries a secret."""
    return {"Authorization": f"Bearer {secret}"}


def program(folder: Path, name: str, script: str) -> None:
    """A fake program for PATH."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def root() -> bool:
    """Whether this test may make namespaces."""
    return os.geteuid() == 0 and shutil.which("ip") is not None
