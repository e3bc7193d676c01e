"""Live mode on a machine with several versions: the others stay what they are, whenever it ends."""

import os
import random
from collections import Counter
from collections.abc import Iterator

import pytest
from deployed import FIRST, SECOND, Deployed, Silent, deployed
from power import Came, Cut, interrupted
from test_power_cuts import KINDS, chosen

from edeploy.images import manifest, trees
from edeploy.node.upgrade.live.live import rollback_live, upgrade_live
from edeploy.node.upgrade.upgrade import NotNow, rollback

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="loop devices and mounts"),
    pytest.mark.timeout(3600),
]

SEED = 21


@pytest.fixture(scope="module", params=KINDS)
def machine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    """Runs the second version, which shares files with the first."""
    with deployed(request.param, tmp_path_factory.mktemp("live")) as found:
        found.disk.copy(found.fresh)
        with found.power(FIRST):
            found.try_out(found.upgrade("1.1"))
        found.fresh.copy(found.disk)
        yield found


def live(machine: Deployed) -> None:
    upgrade_live(machine.here(), "1.2", Silent())


def is_whole(machine: Deployed, name: str) -> bool:
    """Whether the tree of a version that does not run is what its manifest says."""
    entries = manifest.parse(machine.places.manifest(name).read_bytes())
    found = trees.check(machine.places.tree(name), entries)
    return not [item for item in found if not item.path.startswith("etc")]


def inode(machine: Deployed, name: str, path: str) -> int:
    return (machine.places.tree(name) / path).stat().st_ino


def test_the_other_version_keeps_its_files(machine: Deployed) -> None:
    machine.disk.copy(machine.fresh)
    with machine.power(SECOND):
        shared = "usr/bin/same"
        if machine.disk.kind == "ext4":
            assert inode(machine, FIRST, shared) == inode(machine, SECOND, shared)
        with pytest.raises(OSError, match="Read-only"):
            (machine.view / "usr/bin/mine").touch()
        live(machine)
        machine.check_exact("1.2")
        assert (machine.view / "usr/bin/tool").read_bytes().startswith(b"tool 1.2")
        assert is_whole(machine, FIRST)
        status = machine.verb("status")[1]
        assert (status["version"], status["runs"]) == ("1.2", SECOND)
        rollback_live(machine.here())
        machine.check_exact("1.1")
        assert is_whole(machine, FIRST)


def test_the_boot_after_it_starts_what_it_made(machine: Deployed) -> None:
    machine.disk.copy(machine.fresh)
    with machine.power(SECOND):
        live(machine)
    with machine.power(SECOND):
        assert machine.judge() == "nothing is on trial"
        machine.check_exact("1.2")


def test_a_boot_into_another_version_leaves_it_behind(machine: Deployed) -> None:
    machine.disk.copy(machine.fresh)
    with machine.power(SECOND):
        live(machine)
        machine.upgrade("1.0")
        machine.try_out("web-1.0.2")
        # What is taken back now is the upgrade, not the live one before it.
        with pytest.raises(NotNow, match="no live upgrade"):
            rollback_live(machine.here())
        assert f"the next boot is {SECOND}" in rollback(machine.here(), machine.loader())
        machine.start(SECOND)
        machine.check_exact("1.2")


class Stopped(Exception):
    """Somebody's Ctrl-C."""


def stop_at_apply(phase: str) -> None:
    if phase == "apply":
        raise Stopped


def test_what_another_version_needs_to_end_its_own_is_kept(machine: Deployed) -> None:
    machine.disk.copy(machine.fresh)
    with machine.power(SECOND):
        with pytest.raises(Stopped):
            upgrade_live(machine.here(), "1.2", Silent(), stop_at_apply)
        machine.start(FIRST)
        with pytest.raises(NotNow, match=f"to 1.2 was begun in {SECOND}, and has not ended"):
            upgrade_live(machine.here(), "1.1", Silent())
        machine.start(SECOND)
        live(machine)
        machine.check_exact("1.2")


def _there_and_back(machine: Deployed) -> None:
    """The whole way of live mode."""
    if machine.verb("version")[1] == {"version": "1.1"}:
        live(machine)
    rollback_live(machine.here())


def interrupt(machine: Deployed, cut: Cut | None) -> Came:
    machine.disk.copy(machine.fresh)
    with machine.power(SECOND):
        return interrupted(machine.disk, lambda: _there_and_back(machine), cut)


def go_on(machine: Deployed, *, back: bool) -> str:
    """The same command again, or the way back, as an operator would; the version then."""
    if back:
        code, _ = _told(machine, "rollback")
        assert code in (0, 1)
        return "1.1"
    code, words = _told(machine, "upgrade", "1.2", "--live")
    if code and "Run: edeploy-node rollback" in words:
        assert _told(machine, "rollback")[0] == 0
        return "1.1"
    assert code == 0 or "runs already" in words, words
    return "1.2"


def _told(machine: Deployed, *words: str) -> tuple[int, str]:
    try:
        code, answer = machine.verb(*words)
    except Exception as error:
        return 1, str(error)
    return code, str(answer)


@pytest.mark.parametrize(
    "count", [10, pytest.param(50, marks=pytest.mark.long)], ids=["some", "many"]
)
def test_every_cut_ends_well_when_it_is_run_again_or_taken_back(
    machine: Deployed, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = interrupt(machine, None)
    counted: Counter[tuple[str, str]] = Counter()
    for number in range(count):
        seed = f"{SEED} {machine.disk.kind} {number}"
        came = interrupt(machine, chosen(whole, seed))
        with machine.power(SECOND):
            back = random.Random(seed).random() < 0.5  # noqa: S311
            version = go_on(machine, back=back)
            try:
                machine.check_exact(version)
                assert is_whole(machine, FIRST)
            except Exception as error:
                raise AssertionError(f"cut {number} in {came.doing}, {back}: {error}") from error
        counted[came.doing, f"{'back to' if back else 'on to'} {version}"] += 1
    lines = [f"{machine.disk.kind}, live, seed {SEED}: {count} cuts"]
    for (doing, end), times in sorted(counted.items()):
        lines.append(f"{times:4}  {doing:44} {end}")
    with capsys.disabled():
        print("\n" + "\n".join(lines))
