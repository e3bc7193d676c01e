"""The client's verbs on a machine in a folder: from the first upgrade to the way back."""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from test_upgrade_stage import VERSIONS, publish, serve

from edeploy.images.edges.make import Wishes, make_edge
from edeploy.images.store import Store
from edeploy.node.boot import Loader
from edeploy.node.upgrade.drift import STATE, Cause, drift
from edeploy.node.upgrade.here import AnotherUpgrade, Here, alone, here, manifest_of_running
from edeploy.node.upgrade.preview import preview
from edeploy.node.upgrade.settle import confirmed, taken_back
from edeploy.node.upgrade.stage import versions
from edeploy.node.upgrade.state import Phase, read_state, write_state
from edeploy.node.upgrade.upgrade import NotNow, Upgraded, merge_late, rollback, upgrade

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners of files")


@dataclass
class Recording(Loader):
    """A boot loader that remembers what it was told."""

    told: list[str] = field(default_factory=list)
    trial: str = ""

    def prepare(self, names: Sequence[str], good: str) -> None:
        self.told.append(f"prepare {' '.join(sorted(names))}, good {good}")

    def arm(self, name: str, tries: int = 3) -> None:
        self.told.append(f"arm {name}")
        self.trial = name

    def confirm(self, name: str) -> None:
        self.told.append(f"confirm {name}")
        self.trial = ""

    def disarm(self) -> None:
        self.told.append("disarm")
        self.trial = ""

    def good(self) -> str:
        words = [line.split()[-1] for line in self.told if line[0] in "pc"]
        return words[-1] if words else ""

    def armed(self) -> str:
        return self.trial

    def refresh(self) -> None:
        self.told.append("refresh")

    def describe(self) -> str:
        return "a list"


@dataclass
class Machine:
    """A root in a folder: first as it was installed, then as the pivot shows it."""

    root: Path
    store: Store
    url: str
    loader: Recording = field(default_factory=Recording)
    lines: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        self.lines.append(line)

    def progress(self, done: int, total: int, unit: str) -> None:
        pass

    def here(self) -> Here:
        return here(self.root, self.lines.append)

    def upgrade(self, version: str) -> Upgraded:
        return upgrade(self.here(), version, self.loader, self)

    def boot(self, name: str) -> None:
        """As the initramfs leaves it: /etc of the version, the disk below /sysroot."""
        self.write("proc/cmdline", f"quiet edeploy={name}")
        sysroot, etc = self.root / "sysroot", self.root / "etc"
        if not sysroot.exists():
            sysroot.symlink_to(self.root)
        if not etc.is_symlink():
            etc.rename(self.root / "etc-classic")
        else:
            etc.unlink()
        etc.symlink_to(self.root / "edeploy/deploy" / name / "etc")

    def node(self, version: str) -> None:
        data = {"server": self.url, "machine": "r1", "role": "web", "version": version}
        self.write("etc/edeploy/node.json", json.dumps(data))

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@contextmanager
def installed(folder: Path, version: str) -> Iterator[Machine]:
    """A machine that was installed as this version, and a server that has others."""
    store = Store(folder / "store")
    for each, content in VERSIONS.items():
        publish(store, each, content)
    extra = {**VERSIONS["1.1"], "usr/bin/tool": b"1.2\n", "var/lib/new/file": b"new"}
    publish(store, "1.2", extra)
    root = folder / "machine"
    subprocess.run(["cp", "-a", store.image("web", version).tree, root], check=True)
    server = serve(store, folder)
    made = Machine(root, store, server.url)
    made.node(version)
    made.write("proc/cmdline", "quiet")
    try:
        yield made
    finally:
        server.stop()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with installed(tmp_path, "1.0") as found:
        yield found


def test_from_an_installed_root_to_two_versions_and_back(machine: Machine) -> None:
    make_edge(machine.store, "web", "1.0", "1.1", Wishes())
    make_edge(machine.store, "web", "1.1", "1.2", Wishes())
    machine.write("var/lib/app/data", "rows")
    machine.write("etc/app.conf", "mine")
    done = machine.upgrade("1.1")
    assert (done.name, done.overlaps) == ("web-1.1.1", ("app.conf",))
    assert machine.loader.told == [
        "prepare web-1.0.0 web-1.1.1, good web-1.0.0",
        "arm web-1.1.1",
    ]
    places = machine.here().places
    state = read_state(places.state)
    assert (state.phase, state.good, state.trial) == (Phase.ARMED, "web-1.0.0", "web-1.1.1")
    # The root that runs is untouched.
    assert (machine.root / "usr/bin/tool").read_bytes() == VERSIONS["1.0"]["usr/bin/tool"]

    # Edited between the upgrade and the reboot.
    machine.write("etc/late", "late")
    assert merge_late(machine.here()) == ["app.conf"]
    machine.boot("web-1.1.1")
    assert machine.here().node.version == "1.1"
    assert machine.here().deployed and machine.here().name == "web-1.1.1"
    assert (machine.root / "etc/late").read_text() == "late"
    assert (machine.root / "etc/app.conf").read_text() == "mine"
    with pytest.raises(NotNow, match="on trial and not confirmed"):
        machine.upgrade("1.2")
    assert confirmed(machine.here().places, "web-1.1.1").before == "web-1.0.0"

    done = machine.upgrade("1.2")
    assert done.name == "web-1.2.1" and done.ways[0].startswith("pack")
    assert (machine.root / "var/lib/new/file").read_text() == "new"
    assert (machine.root / "var/lib/app/data").read_text() == "rows"
    machine.boot("web-1.2.1")
    confirmed(machine.here().places, "web-1.2.1")
    assert list(versions(machine.here().places)) == ["web-1.1.1", "web-1.2.1"]
    assert "the next boot is web-1.1.1" in rollback(machine.here(), machine.loader)
    assert machine.loader.told[-1] == "confirm web-1.1.1"


def test_taken_back_before_it_was_booted(machine: Machine) -> None:
    machine.upgrade("1.1")
    assert "will not be tried" in rollback(machine.here(), machine.loader)
    assert machine.loader.told[-1] == "disarm"
    assert list(versions(machine.here().places)) == []
    with pytest.raises(NotNow, match="no version before"):
        rollback(machine.here(), machine.loader)


def test_an_upgrade_that_was_taken_back_is_told_and_removed(machine: Machine) -> None:
    machine.upgrade("1.1")
    state = taken_back(machine.here().places)
    assert (state.phase, state.good) == (Phase.ROLLED_BACK, "web-1.0.0")
    assert list(versions(machine.here().places)) == []
    assert machine.upgrade("1.1").name == "web-1.1.1"


def test_after_a_trial_that_failed_the_way_back_is_to_the_version_before(machine: Machine) -> None:
    machine.upgrade("1.1")
    machine.boot("web-1.1.1")
    places = machine.here().places
    confirmed(places, "web-1.1.1")
    machine.upgrade("1.2")
    # As the unit leaves it when the machine is back: what failed is still named.
    write_state(places.state, replace(read_state(places.state), phase=Phase.ROLLED_BACK))
    assert "the next boot is web-1.0.0" in rollback(machine.here(), machine.loader)


def test_again_after_an_interruption(machine: Machine) -> None:
    first = machine.upgrade("1.1")
    again = machine.upgrade("1.2")
    assert [*versions(machine.here().places)] == ["web-1.2.1"]
    assert (first.name, again.name) == ("web-1.1.1", "web-1.2.1")


def test_what_is_refused(machine: Machine) -> None:
    with pytest.raises(NotNow, match=r"web 1\.0 runs already"):
        machine.upgrade("1.0")
    with alone(machine.here().places), pytest.raises(AnotherUpgrade, match=str(os.getpid())):
        machine.upgrade("1.1")
    assert machine.loader.told == []


def test_a_barrier_is_a_stop_on_the_way(machine: Machine) -> None:
    make_edge(machine.store, "web", "1.0", "1.1", Wishes(barrier="new keys"))
    make_edge(machine.store, "web", "1.1", "1.2", Wishes())
    done = machine.upgrade("1.2")
    assert (done.version, done.goal) == ("1.1", "1.2")


def test_a_preview_changes_nothing_and_says_all(machine: Machine) -> None:
    make_edge(machine.store, "web", "1.0", "1.1", Wishes())
    machine.write("etc/app.conf", "mine")
    found = preview(machine.here(), "1.1", machine)
    assert found.edges == ("1.0 → 1.1",) and found.transfer > 0
    assert found.etc_overlaps == ("app.conf",) and found.etc_conflict == ""
    assert "usr/share/gone" in found.removed and "usr/bin/tool" in found.changed
    assert found.new_bytes == sum(
        len(VERSIONS["1.1"][name])
        for name in VERSIONS["1.1"]
        if VERSIONS["1.1"][name] not in VERSIONS["1.0"].values()
    )
    done = machine.upgrade("1.1")
    assert done.received <= found.transfer
    assert list(machine.here().places.top.glob("tmp*")) == []


def test_verify_tells_drift_by_cause(machine: Machine) -> None:
    root = machine.root
    data = manifest_of_running(machine.here())
    assert {item.path for item in drift(root, data, without=STATE) if not item.ours} == set()
    tool = root / "usr/bin/same"
    about = tool.stat()
    with open(tool, "r+b") as stream:
        stream.write(b"S")
    os.utime(tool, ns=(about.st_atime_ns, about.st_mtime_ns))
    (root / "usr/share/gone").unlink()
    machine.write("usr/share/extra", "x")
    (root / "usr/bin/tool").chmod(0o700)
    (root / "usr/lib/modules").chmod(0o755)
    os.chown(root / "usr/lib", 3, 3)
    machine.write("etc/app.conf", "mine")
    machine.write("var/lib/anything", "x")
    found = drift(root, data, ["/usr/share/extra"], STATE)
    told = {(item.path, item.cause) for item in found if not item.ours}
    assert told == {
        ("usr/bin/same", Cause.CHANGED),
        ("usr/bin/same", Cause.XATTR),
        ("usr/share/gone", Cause.MISSING),
        ("usr/bin/tool", Cause.MODE),
        ("usr/bin/tool2", Cause.MODE),
        ("usr/lib", Cause.OWNER),
    }
    ours = {item.path for item in found if item.ours}
    assert {"etc/app.conf", "usr/share/extra"} <= ours
