"""The verdict on a version after its start, and what is kept of it."""

import os
from pathlib import Path

import pytest

from edeploy.node.boot.disk import BootDisk
from edeploy.node.boot.grub_loader import GrubLoader
from edeploy.node.boot.grubenv import read_env, write_env
from edeploy.node.boot.marker import Marker, boot_id
from edeploy.node.upgrade.places import Places
from edeploy.node.upgrade.settle import NOT_ARMED, SILENT, failed
from edeploy.node.upgrade.state import Phase, State, read_state, write_state
from edeploy.node.upgrade.trial import judge, note_return, overdue

DISK = BootDisk("root=UUID=r00t ro", ("search --fs-uuid --set=root b00t",), "b00t", "/boot")
GOOD, TRIAL = "web-1.0.1", "web-1.1.1"
SYSTEMCTL = """#!/bin/sh
echo "$@" >> "$CALLED"
[ "$1" = is-active ] && echo "$SERVICES"
exit 0
"""


def loader_of(places: Places) -> GrubLoader:
    return GrubLoader(places, DISK)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose second version is armed."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "systemctl").write_text(SYSTEMCTL)
    (programs / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("CALLED", str(tmp_path / "called"))
    monkeypatch.setenv("SERVICES", "active")
    found = tmp_path / "root"
    places = Places(found / "sysroot")
    (found / "proc").mkdir(parents=True)
    (found / "usr/lib/edeploy").mkdir(parents=True)
    (found / "usr/lib/edeploy/health.json").write_text('{"units": ["a.service"], "seconds": 0}')
    (places.root / "boot/grub").mkdir(parents=True)
    for name in (GOOD, TRIAL):
        (places.tree(name) / "boot").mkdir(parents=True)
        (places.tree(name) / "boot/vmlinuz-6.1").write_bytes(b"kernel")
    loader = loader_of(places)
    loader.prepare([GOOD, TRIAL], GOOD)
    loader.arm(TRIAL)
    write_state(places.state, State(Phase.ARMED, GOOD, TRIAL))
    return found


def start(root: Path, name: str) -> None:
    """The kernel's command line of a start."""
    (root / "proc/cmdline").write_text(f"ro edeploy={name} panic=30\n")


def env(root: Path) -> dict[str, str]:
    return read_env(root / "sysroot/boot/grub/edeploy.env")


def state(root: Path) -> State:
    return read_state(root / "sysroot/edeploy/state.json")


def called(root: Path) -> str:
    return (root.parent / "called").read_text()


def test_one_that_does_its_job_is_the_good_one(root: Path) -> None:
    start(root, TRIAL)
    assert judge(root, loader_of) == f"{TRIAL} does its job and is confirmed"
    assert env(root) == {"edeploy_good": TRIAL}
    found = state(root)
    assert (found.phase, found.good, found.before) == (Phase.IDLE, TRIAL, GOOD)
    assert "stop edeploy-trial-deadline.timer" in called(root)
    assert judge(root, loader_of) == "nothing is on trial"


def test_one_that_does_not_restarts_with_its_reason(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICES", "failed")
    start(root, TRIAL)
    assert judge(root, loader_of).endswith("restarting: a.service is failed")
    assert called(root).splitlines()[-1] == "reboot"
    assert (state(root).phase, state(root).why) == (Phase.TRIAL, "a.service is failed")
    # The boot loader counts, nobody else.
    assert env(root)["edeploy_tries"] == "3"


def test_back_in_the_good_one_the_reason_is_told(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICES", "failed")
    start(root, TRIAL)
    judge(root, loader_of)
    write_env(root / "sysroot/boot/grub/edeploy.env", {**env(root), "edeploy_tries": "0"})
    start(root, GOOD)
    told = judge(root, loader_of)
    assert told == f"back in {GOOD}: {TRIAL} failed its trial: a.service is failed"
    found = state(root)
    assert (found.phase, found.good, found.why) == (
        Phase.ROLLED_BACK, GOOD, "a.service is failed",
    )  # fmt: skip
    assert env(root) == {"edeploy_good": GOOD}
    assert Marker(Places(root / "sysroot")).read() == ""


def test_one_that_never_came_up_says_nothing_itself(root: Path) -> None:
    start(root, GOOD)
    assert judge(root, loader_of).endswith(SILENT)
    assert (state(root).phase, state(root).why) == (Phase.ROLLED_BACK, SILENT)


def test_power_that_goes_once_the_reason_is_noted(root: Path) -> None:
    places = Places(root / "sysroot")
    write_state(places.state, State(Phase.TRIAL, GOOD, TRIAL, why="it fell"))
    noted = failed(places, TRIAL, GOOD)
    start(root, GOOD)
    assert judge(root, loader_of).endswith("it fell")
    assert state(root) == noted
    assert Marker(places).read() == ""


def test_before_the_restart_nothing_is_judged(root: Path) -> None:
    start(root, GOOD)
    places = Places(root / "sysroot")
    Marker(places).put(TRIAL)
    (root / "proc/sys/kernel/random").mkdir(parents=True)
    (root / "proc/sys/kernel/random/boot_id").write_text(f"{boot_id()}\n")
    assert judge(root, loader_of) == f"the next start is {TRIAL}"
    assert env(root)["edeploy_tries"] == "3" and state(root).phase is Phase.ARMED
    (root / "proc/sys/kernel/random/boot_id").write_text("another\n")
    assert judge(root, loader_of).endswith(SILENT)


def test_cut_off_before_the_boot_loader_knew(root: Path) -> None:
    places = Places(root / "sysroot")
    write_env(root / "sysroot/boot/grub/edeploy.env", {"edeploy_good": GOOD})
    write_state(places.state, State(Phase.VERIFIED, GOOD, TRIAL))
    start(root, GOOD)
    assert judge(root, loader_of).endswith(NOT_ARMED)


def test_a_third_version_is_confirmed_when_the_first_one_goes(root: Path) -> None:
    places, third = Places(root / "sysroot"), "web-1.2.1"
    start(root, TRIAL)
    judge(root, loader_of)
    (places.tree(third) / "boot").mkdir(parents=True)
    (places.tree(third) / "boot/vmlinuz-6.1").write_bytes(b"kernel")
    loader = loader_of(places)
    loader.prepare([TRIAL, GOOD, third], TRIAL)
    loader.arm(third)
    write_state(places.state, State(Phase.ARMED, TRIAL, third, GOOD))
    start(root, third)
    assert judge(root, loader_of) == f"{third} does its job and is confirmed"
    assert not places.tree(GOOD).exists()
    assert sorted(path.name for path in (places.root / "boot/edeploy").iterdir()) == [TRIAL, third]


def test_the_system_from_before_notes_it_when_somebody_asks(root: Path) -> None:
    disk = root / "sysroot"
    (disk / "proc").mkdir()
    (disk / "proc/cmdline").write_text("ro panic=30\n")
    write_state(disk / "edeploy/state.json", State(Phase.TRIAL, "web-1.0.0", TRIAL, why="it fell"))
    note_return(disk, loader_of)
    assert (state(root).phase, state(root).why) == (Phase.ROLLED_BACK, "it fell")
    assert env(root) == {"edeploy_good": GOOD}


@pytest.mark.parametrize(
    "was",
    [State(Phase.IDLE, TRIAL, "", GOOD), State(Phase.TRIAL, GOOD, TRIAL, why=SILENT)],
    ids=["confirmed", "on trial"],
)
def test_power_that_goes_before_a_way_back_is_noted(root: Path, was: State) -> None:
    places = Places(root / "sysroot")
    loader = loader_of(places)
    write_state(places.state, was)
    loader.prepare([GOOD, TRIAL], GOOD)
    loader.confirm(GOOD)
    start(root, TRIAL)
    note_return(root, loader_of)
    # The same command would end it: nothing has been restarted.
    assert state(root) == was
    start(root, GOOD)
    note_return(root, loader_of)
    found = state(root)
    assert (found.phase, found.good, found.before) == (Phase.ROLLED_BACK, GOOD, TRIAL)
    assert (found.trial, found.why) == ("", "an operator went back")


def test_power_that_goes_before_a_way_back_to_the_root_itself_is_noted(root: Path) -> None:
    disk, first = root / "sysroot", "web-1.0.0"
    (disk / "boot/vmlinuz-6.1").write_bytes(b"kernel")
    loader = loader_of(Places(disk))
    loader.prepare([first, TRIAL], first)
    loader.confirm(first)
    write_state(disk / "edeploy/state.json", State(Phase.IDLE, TRIAL, "", first))
    (disk / "proc").mkdir()
    (disk / "proc/cmdline").write_text("ro panic=30\n")
    note_return(disk, loader_of)
    found = state(root)
    assert (found.phase, found.good, found.before) == (Phase.ROLLED_BACK, first, TRIAL)


def test_power_that_goes_when_what_was_armed_is_taken_back(root: Path) -> None:
    start(root, GOOD)
    loader_of(Places(root / "sysroot")).disarm()
    note_return(root, loader_of)
    found = state(root)
    assert (found.phase, found.good, found.trial) == (Phase.ROLLED_BACK, GOOD, "")
    assert not Places(root / "sysroot").tree(TRIAL).exists()


def test_checks_that_cannot_be_read_are_a_reason(root: Path) -> None:
    (root / "usr/lib/edeploy/health.json").write_text("{")
    start(root, TRIAL)
    assert "health.json" in judge(root, loader_of)
    assert called(root) == "reboot\n"


def test_a_trial_without_an_end_is_given_up(root: Path) -> None:
    start(root, TRIAL)
    assert "no verdict in time" in overdue(root)
    assert called(root) == "reboot\n"
    start(root, GOOD)
    assert overdue(root) == "nothing is on trial"
    assert "no verdict in time" in judge(root, loader_of)
