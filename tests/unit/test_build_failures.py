"""Builds that fail: one clear message, and a store as it was. mmdebstrap is a fake in PATH."""

import fcntl
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edeploy.errors import EdeployError
from edeploy.images.build import build_image
from edeploy.images.debian import Mirrors, NoSuchPackage
from edeploy.images.inputs import inputs_digest
from edeploy.images.recipe import Recipe, load_recipe
from edeploy.images.store import Record, Store, record_text
from edeploy.run import ProgramFailed, ProgramMissing

MIRRORS = Mirrors("http://mirror.example/debian", "http://mirror.example/security")

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("apt-config"), reason="builds need root and apt"
)


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    folder = tmp_path / "roles/app"
    folder.mkdir(parents=True)
    (folder / "role.yaml").write_text("suite: bookworm\npackages:\n  - hello\n  - no-such-one\n")
    return load_recipe(tmp_path / "roles", "app")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The fake mmdebstrap: a shell script; its last argument but sources is the tree."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    path = tmp_path / "bin/mmdebstrap"
    path.touch(mode=0o755)
    return path


def failing(fake: Path, body: str) -> None:
    fake.write_text(f"#!/bin/sh\n{body}\n")


def shown(store: Store) -> list[str]:
    return [str(path.relative_to(store.root)) for path in store.root.glob("install/*/[!.]*")]


def assert_nothing_but_the_log(store: Store) -> None:
    assert store.images() == []
    assert shown(store) == ["install/1/app-1.failed-log"]
    assert list(store.root.glob("install/*/.app.building*")) == []


def test_a_package_that_does_not_exist(recipe: Recipe, store: Store, fake: Path) -> None:
    failing(fake, "echo 'E: Unable to locate package no-such-one' >&2; exit 100")
    with pytest.raises(NoSuchPackage) as error:
        build_image(recipe, "1", store, mirrors=MIRRORS)
    assert "app/role.yaml:4: bookworm has no package 'no-such-one'" in str(error.value)
    assert_nothing_but_the_log(store)


def test_the_last_lines_of_a_failure(recipe: Recipe, store: Store, fake: Path) -> None:
    failing(fake, "seq 1 50; echo 'E: the mirror is gone'; exit 25")
    with pytest.raises(ProgramFailed) as error:
        build_image(recipe, "1", store, mirrors=MIRRORS)
    assert "exit status 25" in str(error.value)
    assert "| E: the mirror is gone" in str(error.value)
    assert "| 12\n" not in str(error.value)
    assert_nothing_but_the_log(store)


def test_a_full_store(recipe: Recipe, store: Store, fake: Path) -> None:
    failing(fake, "echo 'E: write error: No space left on device'; exit 25")
    with pytest.raises(EdeployError, match="the store is full"):
        build_image(recipe, "1", store, mirrors=MIRRORS)
    assert_nothing_but_the_log(store)


def test_a_read_only_store(recipe: Recipe, store: Store, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path;"
        "from edeploy.images.build import build_image; from edeploy.images.store import Store;"
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


def test_no_mmdebstrap(recipe: Recipe, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = store.root.parent / "tools"
    tools.mkdir()
    for name in ("setpriv", "unshare", "apt-config"):
        found = shutil.which(name)
        assert found
        (tools / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(ProgramMissing, match="mmdebstrap: not found in PATH"):
        build_image(recipe, "1", store, mirrors=MIRRORS)
    assert store.images() == []


def test_two_builds_of_one_image(recipe: Recipe, store: Store) -> None:
    folder = store.place("app", "1").tree.parent
    folder.mkdir(parents=True)
    with open(folder / ".app.lock", "w") as lock:
        lock.write("4711\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(EdeployError, match=r"another process \(4711\) builds app 1"):
            build_image(recipe, "1", store, mirrors=MIRRORS)


def test_unchanged_inputs_are_not_built_again(recipe: Recipe, store: Store, fake: Path) -> None:
    failing(fake, "exit 1")
    image = store.place("app", "1")
    image.tree.mkdir(parents=True)
    record = Record(inputs_digest(recipe, "bookworm"), 1, 1, 1, "a", "b", 1)
    image.record_file.write_text(record_text(record))
    said: list[str] = []
    assert build_image(recipe, "1", store, on_step=said.append) == image
    assert said == ["app 1: unchanged"]
    (recipe.parts[0].folder / "files/etc").mkdir(parents=True)
    (recipe.parts[0].folder / "files/etc/motd").write_text("hello\n")
    changed = load_recipe(recipe.parts[0].folder.parent, "app")
    with pytest.raises(ProgramFailed):
        build_image(changed, "1", store, mirrors=MIRRORS)
    # A build that fails leaves the image of before.
    assert store.image("app", "1").record() == record


@pytest.mark.parametrize("ended_by", [signal.SIGKILL, signal.SIGINT])
def test_a_builder_that_is_ended_leaves_nothing_running(
    recipe: Recipe, store: Store, fake: Path, tmp_path: Path, ended_by: signal.Signals
) -> None:
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    mount = 'mkdir -p "$word" && mount -t tmpfs none "$word"'
    failing(
        fake,
        f"for word; do case $word in */app) {mount};; esac; done\n"
        f"echo started > {ready}; exec sleep 1000",
    )
    program = (
        "from pathlib import Path; from edeploy.images.build import build_image;"
        "from edeploy.images.debian import Mirrors; from edeploy.images.store import Store;"
        "from edeploy.images.recipe import load_recipe\n"
        f"build_image(load_recipe(Path('{tmp_path}/roles'), 'app'), '1',"
        f" Store(Path('{store.root}')), mirrors=Mirrors('http://m.example/d', 'http://m.example/s'))"
    )
    builder = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
    assert ready.read_text() == "started\n"
    (sleeper,) = _running(b"sleep\x001000", under=builder.pid)
    handle = os.pidfd_open(sleeper)
    builder.send_signal(ended_by)
    builder.wait()
    # The kernel ends what was started; the pidfd becomes readable then.
    assert select.select([handle], [], [], 30)[0]
    os.close(handle)
    left = list(store.root.glob("install/1/.app.building-*"))
    assert bool(left) == (ended_by == signal.SIGKILL)
    assert store.images() == []
    assert str(store.root) not in Path("/proc/self/mounts").read_text()
    failing(fake, "exit 3")
    with pytest.raises(ProgramFailed):
        build_image(recipe, "1", store, mirrors=MIRRORS)
    assert_nothing_but_the_log(store)


def test_secrets_of_the_network_stay_out_of_the_arguments(
    recipe: Recipe, store: Store, fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "apt.conf"
    settings.write_text('Acquire::http::Proxy "http://user:pw4711@proxy.example:3128";\n')
    monkeypatch.setenv("APT_CONFIG", str(settings))
    words = tmp_path / "words"
    failing(fake, f'printf "%s\\n" "$@" > {words}; exit 1')
    with pytest.raises(ProgramFailed):
        build_image(recipe, "1", store, mirrors=MIRRORS)
    assert "pw4711" not in words.read_text()
    assert "deb http://mirror.example/security bookworm-security" in words.read_text()
    assert "--include=hello,no-such-one\n" in words.read_text()


def _running(command: bytes, *, under: int) -> list[int]:
    """The processes with this command line that descend from process `under`."""
    parents: dict[int, int] = {}
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text()
            line = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        parents[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
        if line.rstrip(b"\0") == command:
            found.append(int(folder.name))

    def descends(pid: int) -> bool:
        return pid == under or (pid in parents and descends(parents[pid]))

    return [pid for pid in found if descends(pid)]
