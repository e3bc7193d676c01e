"""A mirror's password reaches no image, no log, no argument list; the real apt asks the mirror."""

import base64
import os
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from apt_repo import NEEDED, Repository

from edeploy.images.build.image import build_image
from edeploy.images.build.line import Settings
from edeploy.images.packages.apt import NoAnswer
from edeploy.images.packages.debian import Mirrors
from edeploy.images.recipe import load_recipe
from edeploy.images.store import Store
from edeploy.run import ProgramFailed

pytestmark = NEEDED

CANARY = "s3cret-canary-7261"
ENTRY = base64.b64encode(f"builder:{CANARY}".encode()).decode()


class Guarded(SimpleHTTPRequestHandler):
    """Gives files only to who knows the password."""

    def do_GET(self) -> None:
        if self.headers.get("Authorization") == f"Basic {ENTRY}":
            return super().do_GET()
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="mirror"')
        self.send_header("Content-Length", "0")
        self.end_headers()
        return None

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path)
    made.publish({"hello": "1.0", "apt": "3.0"})
    return made


@pytest.fixture
def url(repository: Repository) -> Iterator[str]:
    handler = partial(Guarded, directory=str(repository.root))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What programs of the build are called with: arguments and environments of all processes."""
    folder, log = tmp_path / "bin", tmp_path / "seen"
    folder.mkdir()
    for name in ("apt-get", "apt-cache", "mmdebstrap"):
        real = shutil.which(name)
        after = f'exec {real} "$@"' if name != "mmdebstrap" else "exit 9"
        look = f"cat /proc/[0-9]*/cmdline /proc/self/environ | tr '\\0' '\\n' >> {log}"
        (folder / name).write_text(f"#!/bin/sh\n{{ {look}; }} 2>/dev/null\n{after}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return log


def test_a_password_is_used_and_left_nowhere(
    tmp_path: Path, repository: Repository, url: str, seen: Path
) -> None:
    role = tmp_path / "roles/app"
    role.mkdir(parents=True)
    (role / "role.yaml").write_text("suite: bookworm\npackages:\n  - hello\n")
    recipe = load_recipe(tmp_path / "roles", "app")
    store = Store(tmp_path / "store")
    with pytest.raises(NoAnswer, match="401"):
        build_image(recipe, "1", store, Settings(Mirrors(url, url, str(repository.key))))
    auth = tmp_path / "auth.conf"
    auth.write_text(f"machine {url} login builder password {CANARY}\n")
    auth.chmod(0o600)
    settings = Settings(Mirrors(url, url, str(repository.key), str(auth)))
    # The packages are there; the installation is a fake that fails, so its log is kept.
    said: list[str] = []
    with pytest.raises(ProgramFailed, match="exit status 9") as error:
        build_image(recipe, "1", store, settings, on_step=said.append)
    assert list(store.pool.glob("hello_1.0_*")) != []
    assert "--print-uris" in seen.read_text()
    for secret in (CANARY, ENTRY):
        assert secret not in seen.read_text()
        assert secret not in "\n".join([str(error.value), *said])
        held = [path for path in store.root.rglob("*")
                if path.is_file() and secret.encode() in path.read_bytes()]  # fmt: skip
        assert held == []
