"""Live mode on a machine in a folder: without a boot, there and back, and killed on the way."""

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from test_upgrade_client import Machine, installed
from test_upgrade_stage import VERSIONS, publish

from edeploy.errors import EdeployError
from edeploy.images.edges.make import Wishes, make_edge
from edeploy.node.upgrade.drift import drift
from edeploy.node.upgrade.live.live import read_live, rollback_live, upgrade_live
from edeploy.node.upgrade.upgrade import NotNow

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners of files")

HOOK = "#!/bin/sh\necho $EDEPLOY_FROM to $EDEPLOY_TO >> {log}\nexit {code}\n"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with installed(tmp_path, "1.1") as found:
        found.write("var/lib/app/data", "rows")
        found.write("etc/app.conf", "mine")
        yield found


def live_edge(machine: Machine, old: str = "1.1", new: str = "1.2", code: int = 0) -> Path:
    """An edge without a kernel, with hooks; where they write."""
    log = machine.store.root.parent / "hooks.log"
    hooks = {}
    for name in ("pre", "post"):
        hooks[name] = machine.store.root.parent / name
        hooks[name].write_text(HOOK.format(log=log, code=code if name == "post" else 0))
    exclude = machine.store.root.parent / "exclude"
    exclude.write_text("/var/lib/app/\n/etc/edeploy/\n/etc/app.conf\n/proc/\n")
    wishes = Wishes(exclude=exclude, pre=hooks["pre"], post=hooks["post"])
    make_edge(machine.store, "web", old, new, wishes)
    return log


def is_exactly(machine: Machine, version: str) -> bool:
    data = machine.store.image("web", version).manifest.read_bytes()
    own = ("etc/app.conf", "var/", "proc", "edeploy", "etc/edeploy")
    return not [
        item
        for item in drift(machine.root, data, without={b"edeploy"})
        if not item.path.startswith(own)
    ]


def test_there_and_back(machine: Machine) -> None:
    log = live_edge(machine, code=100)
    done = upgrade_live(machine.here(), "1.2", machine)
    assert (done.version, done.reboot) == ("1.2", True)
    assert log.read_text() == "1.1 to 1.2\n1.1 to 1.2\n"
    assert is_exactly(machine, "1.2") and machine.here().node.version == "1.2"
    assert (machine.root / "var/lib/app/data").read_text() == "rows"
    assert (machine.root / "var/lib/new/file").read_text() == "new"
    assert (machine.root / "etc/app.conf").read_text() == "mine"
    assert "web is 1.1 again" in rollback_live(machine.here())
    assert is_exactly(machine, "1.1") and machine.here().node.version == "1.1"
    assert not (machine.root / "var/lib/new").exists()
    with pytest.raises(NotNow, match="no live upgrade"):
        rollback_live(machine.here())


def test_a_kernel_needs_a_boot(machine: Machine) -> None:
    (machine.store.image("web", "1.0").tree / "x").touch()
    publish(machine.store, "2.0", {**VERSIONS["1.1"], "boot/vmlinuz-6": b"kernel"})
    make_edge(machine.store, "web", "1.1", "2.0", Wishes())
    with pytest.raises(NotNow, match="needs a boot: the kernel"):
        upgrade_live(machine.here(), "2.0", machine)


def test_a_hook_that_fails(machine: Machine) -> None:
    live_edge(machine, code=3)
    with pytest.raises(EdeployError, match="post: exit status 3"):
        upgrade_live(machine.here(), "1.2", machine)
    with pytest.raises(NotNow, match=r"to 1\.2 was begun"):
        upgrade_live(machine.here(), "1.0", machine)
    rollback_live(machine.here())
    assert is_exactly(machine, "1.1")


@pytest.mark.parametrize("back", [False, True])
def test_killed_again_and_again_it_converges(machine: Machine, back: bool) -> None:
    live_edge(machine)
    words = "rollback" if back else "upgrade --live 1.2"
    if back:
        upgrade_live(machine.here(), "1.2", machine)
    code = (
        "import sys; from pathlib import Path;"
        "from edeploy.node.upgrade.verbs import run_verb;"
        "sys.exit(run_verb(sys.argv[2:], Path(sys.argv[1])))"
    )
    argv = [sys.executable, "-c", code, str(machine.root), *words.split()]
    killed = 0
    for step in range(30):
        child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            child.wait(0.05 * 1.25**step)
        except subprocess.TimeoutExpired:
            child.kill()
            killed += 1
        _, said = child.communicate()
        # Killed when it was done, it finds nothing to do: no live upgrade, and no other.
        nothing = (b"runs already", b"no live upgrade", b"not started by GRUB")
        if child.returncode == 0 or any(words in said for words in nothing):
            break
        assert child.returncode == -9, said
    version = "1.1" if back else "1.2"
    assert killed and is_exactly(machine, version)
    assert machine.here().node.version == version


CHANGES = ("os.mkdir", "os.remove", "os.rename", "os.rmdir")


def killed_at(number: int, work: Callable[[], object]) -> bool:
    """Whether `work` was killed: at this of its changes of names, counted from the first one in
    the folder of the last live upgrade, or of what was replaced."""
    child = os.fork()
    if child == 0:
        left: int | None = None

        def hear(event: str, names: tuple[object, ...]) -> None:
            nonlocal left
            if event not in CHANGES:
                return
            if left is None and any(part in str(names[0]) for part in ("/live/undo", "y/live")):
                left = number
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left = left and left - 1

        sys.addaudithook(hear)
        try:
            work()
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_until_the_next_one_is_there_the_last_can_be_taken_back(
    machine: Machine, tmp_path: Path
) -> None:
    live_edge(machine)
    upgrade_live(machine.here(), "1.2", machine)
    publish(machine.store, "1.3", {**VERSIONS["1.1"], "usr/bin/tool": b"tool 1.3\n"})
    live_edge(machine, "1.2", "1.3")
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-a", machine.root, copy], check=True)
    for number in itertools.count():
        assert killed_at(number, lambda: upgrade_live(machine.here(), "1.3", machine))
        live = read_live(machine.here())
        assert live
        rollback_live(machine.here())
        assert is_exactly(machine, live.old) and machine.here().node.version == live.old
        if live.new == "1.3":
            break
        subprocess.run(["rm", "-r", machine.root], check=True)
        subprocess.run(["cp", "-a", copy, machine.root], check=True)
    assert number
    # What is left of the one before has no part in what comes.
    assert (machine.here().places.stage("live") / "undo").is_dir()
    upgrade_live(machine.here(), "1.3", machine)
    assert is_exactly(machine, "1.3")
    rollback_live(machine.here())
    assert is_exactly(machine, "1.2")
