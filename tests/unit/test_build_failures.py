"""Builds that fail: one clear message, and a store as it was. mmdebstrap is a fake in PATH."""

import fcntl
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import FileIO
from pathlib import Path
from urllib.parse import unquote

import pytest
from apt_repo import NEEDED, Repository

from edeploy import timeouts
from edeploy.errors import EdeployError
from edeploy.images.build.image import build_image
from edeploy.images.build.line import Settings
from edeploy.images.packages.apt import NoAnswer, NoSuchPackage
from edeploy.images.packages.debian import Mirrors
from edeploy.images.recipe import Recipe
from edeploy.images.store import Store
from edeploy.run import ProgramFailed, ProgramMissing

pytestmark = NEEDED
pytest_plugins = ["building"]


@pytest.fixture
def settings(repository: Repository) -> Settings:
    return Settings(Mirrors(repository.url, repository.url, str(repository.key)))


def shown(store: Store) -> list[str]:
    return [str(path.relative_to(store.root)) for path in store.root.glob("install/*/[!.]*")]


def assert_nothing_but_the_log(store: Store) -> None:
    assert store.images() == []
    assert shown(store) == ["install/1/app-1.failed-log"]
    assert_nothing_half_made(store)


def assert_nothing_half_made(store: Store) -> None:
    assert list(store.root.glob("install/*/.app.building*")) == []
    assert [path for path in store.root.glob("layers/*") if path.is_dir()] == []
    assert str(store.root) not in Path("/proc/self/mounts").read_text()


def assert_nobody_writes_to(lines: FileIO) -> None:
    """A fifo ends when the last process that holds it has ended."""
    assert select.select([lines], [], [], 30)[0]
    assert lines.read(1) == b""


def test_a_package_that_does_not_exist(
    recipe: Recipe, store: Store, settings: Settings, repository: Repository
) -> None:
    repository.publish({"hello": "1.0", "apt": "3.0"})
    with pytest.raises(NoSuchPackage) as error:
        build_image(recipe, "1", store, settings)
    assert "app/role.yaml:4:5: bookworm has no package 'other-one'" in str(error.value)
    assert shown(store) == []
    assert_nothing_half_made(store)


def test_a_package_that_vanished_from_the_mirror(
    recipe: Recipe, store: Store, settings: Settings, repository: Repository
) -> None:
    repository.file("hello").unlink()
    with pytest.raises(NoAnswer) as error:
        build_image(recipe, "1", store, settings)
    assert "hello_1.0_amd64.deb" in str(error.value)
    assert shown(store) == []
    assert_nothing_half_made(store)


@pytest.mark.parametrize("where", ["InRelease", "Packages", "hello_1.0_amd64.deb"])
def test_a_mirror_that_stalls_half_way(
    recipe: Recipe,
    store: Store,
    repository: Repository,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    monkeypatch.setattr(timeouts, "MIRROR_STALL", 1.0)
    with stalling(repository.root, where) as url:
        slow = Settings(Mirrors(url, url, str(repository.key)))
        with pytest.raises(NoAnswer, match=url) as error:
            build_image(recipe, "1", store, slow)
    assert "\n  | E" in str(error.value)
    assert "Try again later, or another mirror" in str(error.value)
    assert shown(store) == []
    assert_nothing_half_made(store)
    assert list(store.pool.glob("hello*")) == []


@contextmanager
def stalling(root: Path, where: str) -> Iterator[str]:
    """A mirror of the files in `root`; of those with `where` in their name it sends a half."""
    is_over = threading.Event()

    class Mirror(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = root / unquote(self.path).lstrip("/")
            if not path.is_file():
                self.send_error(404)
                return
            data = path.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if where not in path.name:
                self.wfile.write(data)
                return
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            is_over.wait()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        is_over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_package_that_is_not_what_the_index_says(
    recipe: Recipe, store: Store, settings: Settings, repository: Repository
) -> None:
    file = repository.file("hello")
    file.write_bytes(bytes(reversed(file.read_bytes())))
    with pytest.raises(EdeployError, match="hello"):
        build_image(recipe, "1", store, settings)
    assert list(store.pool.glob("hello_*")) == []
    assert_nothing_half_made(store)


def test_an_index_that_nobody_signed(
    recipe: Recipe, store: Store, settings: Settings, repository: Repository
) -> None:
    release = repository.root / "dists/bookworm/InRelease"
    release.write_text(release.read_text().replace("Codename: bookworm", "Codename: bookwork"))
    with pytest.raises(NoAnswer, match=r"(?i)signature|signed"):
        build_image(recipe, "1", store, settings)
    assert_nothing_half_made(store)


def test_the_last_lines_of_a_failure(
    recipe: Recipe, store: Store, settings: Settings, mmdebstrap: Callable[[str], None]
) -> None:
    mmdebstrap("seq 1 50; echo 'E: the mirror is gone'; exit 25")
    with pytest.raises(ProgramFailed) as error:
        build_image(recipe, "1", store, settings)
    assert "exit status 25" in str(error.value)
    assert "| E: the mirror is gone" in str(error.value)
    assert "| 12\n" not in str(error.value)
    assert_nothing_but_the_log(store)
    assert "E: the mirror is gone\n" in (store.root / "install/1/app-1.failed-log").read_text()


def test_a_full_store(
    recipe: Recipe, store: Store, settings: Settings, mmdebstrap: Callable[[str], None]
) -> None:
    mmdebstrap("echo 'E: write error: No space left on device'; exit 25")
    with pytest.raises(EdeployError, match="the store is full"):
        build_image(recipe, "1", store, settings)
    assert_nothing_but_the_log(store)


def test_a_read_only_store(recipe: Recipe, store: Store, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path;"
        "from edeploy.images.build.image import build_image;"
        "from edeploy.images.store import Store;"
        "from edeploy.images.recipe import load_recipe\n"
        f"app = load_recipe(Path('{tmp_path}/roles'), 'app')\n"
        f"build_image(app, '1', Store(Path('{store.root}')))"
    )
    store.root.mkdir()
    script = f'mount -t tmpfs -o ro none "{store.root}" && exec "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert f"EdeployError: {store.root}: the store is read-only" in done.stderr


def test_no_mmdebstrap(
    recipe: Recipe, store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = store.root.parent / "tools"
    tools.mkdir()
    for folder in ("/usr/sbin", "/usr/bin"):
        for path in Path(folder).iterdir():
            if path.name != "mmdebstrap" and not (tools / path.name).exists():
                (tools / path.name).symlink_to(path)
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(ProgramMissing, match="mmdebstrap: not found in PATH"):
        build_image(recipe, "1", store, settings)
    assert store.images() == []


def test_two_builds_of_one_image(recipe: Recipe, store: Store) -> None:
    place = store.place("app", "1")
    place.tree.parent.mkdir(parents=True)
    with open(place.build_lock, "w") as lock:
        lock.write("4711\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(EdeployError, match=r"another process \(4711\) builds or removes app 1"):
            build_image(recipe, "1", store)


@pytest.mark.parametrize("ended_by", [signal.SIGKILL, signal.SIGINT])
def test_a_builder_that_is_ended_leaves_nothing_running(
    recipe: Recipe,
    store: Store,
    settings: Settings,
    mmdebstrap: Callable[[str], None],
    tmp_path: Path,
    ended_by: signal.Signals,
) -> None:
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    mount = 'mkdir -p "$word/mnt" && mount -t tmpfs none "$word/mnt"'
    mmdebstrap(
        f"for word; do case $word in */bench/tree) {mount};; esac; done\n"
        f"exec 9> {ready}; sleep 1000 & echo started >&9; wait",
    )
    program = (
        "from pathlib import Path; from edeploy.images.build.image import build_image;"
        "from edeploy.images.build.line import Settings;"
        "from edeploy.images.packages.debian import Mirrors;"
        "from edeploy.images.store import Store;"
        "from edeploy.images.recipe import load_recipe\n"
        f"build_image(load_recipe(Path('{tmp_path}/roles'), 'app'), '1',"
        f" Store(Path('{store.root}')), Settings({settings.mirrors!r}))"
    )
    builder = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
    with open(ready, "rb", buffering=0) as lines:
        assert lines.readline() == b"started\n"
        builder.send_signal(ended_by)
        builder.wait()
        assert_nobody_writes_to(lines)
    left = list(store.root.glob("layers/.*.making"))
    assert bool(left) == (ended_by == signal.SIGKILL)
    assert store.images() == []
    assert str(store.root) not in Path("/proc/self/mounts").read_text()
    mmdebstrap("exit 3")
    with pytest.raises(ProgramFailed):
        build_image(recipe, "1", store, settings)
    assert_nothing_but_the_log(store)


@pytest.mark.parametrize(
    ("ended_by", "jobs"), [(signal.SIGTERM, 1), (signal.SIGTERM, 2), (signal.SIGINT, 2)]
)
def test_a_command_that_is_ended_cleans_up(
    recipe: Recipe,
    store: Store,
    repository: Repository,
    mmdebstrap: Callable[[str], None],
    tmp_path: Path,
    ended_by: signal.Signals,
    jobs: int,
) -> None:
    roles = recipe.parts[-1].folder.parent
    shutil.copytree(roles / "app", roles / "other")
    (roles / "other/role.yaml").write_text("suite: bookworm\npackages:\n  - hello\n")
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    mmdebstrap(f"exec 9> {ready}; sleep 1000 & echo started >&9; wait")
    program = "from edeploy.cli.main import main; main()"
    builder = subprocess.Popen(
        [
            sys.executable, "-c", program, "image", "build", "app", "other", "-j", str(jobs),
            "--roles", roles, "--store", store.root, "--mirror", repository.url,
            "--security-mirror", repository.url, "--mirror-key", repository.key,
        ],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    with open(ready, "rb", buffering=0) as lines:
        assert [lines.readline() for _ in range(jobs)] == [b"started\n"] * jobs
        builder.send_signal(ended_by)
        _, said = builder.communicate()
        assert builder.returncode == 128 + ended_by
        assert_nobody_writes_to(lines)
    assert said.splitlines()[-1] == ("terminated" if ended_by == signal.SIGTERM else "interrupted")
    assert_nothing_half_made(store)
    assert list(store.root.glob("layers/.*.making")) == []


def test_secrets_of_the_network_stay_out_of_arguments_and_store(
    recipe: Recipe,
    store: Store,
    settings: Settings,
    mmdebstrap: Callable[[str], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    apt_conf = tmp_path / "apt.conf"
    apt_conf.write_text('Acquire::http::Proxy "http://user:pw4711@proxy.example:3128";\n')
    monkeypatch.setenv("APT_CONFIG", str(apt_conf))
    words = tmp_path / "words"
    mmdebstrap(f'printf "%s\\n" "$@" > {words}; env >> {words}; exit 1')
    with pytest.raises(ProgramFailed):
        build_image(recipe, "1", store, settings)
    assert "pw4711" not in words.read_text()
    assert "--include=hello,other-one\n" in words.read_text()
    for path in store.root.rglob("*"):
        if path.is_file() and b"pw4711" in path.read_bytes():
            # apt reads it there, and nobody else can.
            assert path.stat().st_mode & 0o077 == 0, path
