"""A version that does not start, or does not do its job, gives way to the good one by itself."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from doors import Keyed, Seen, keyed
from racks import SERIALS

from edeploy.images.store import Store
from edeploy.server.client import JsonObject

GOOD, TRIAL = "web-1.0.0.1", "web-1.0.1.1"
NAMES = sorted(SERIALS)

# A second version beside the first, as an upgrade leaves it; what it says of itself is in `about`.
MAKE_SECOND = """
import json, shutil, subprocess, sys
from pathlib import Path
sys.path.insert(0, "/usr/sbin/edeploy-node")
from edeploy.node.boot import loader_of
from edeploy.node.upgrade.places import Places
from edeploy.node.upgrade.state import Phase, State, write_state
good, name, about = json.loads({about!r})
places = Places(Path("/sysroot"))
loader = loader_of(places)
loader.disarm()
tree = places.tree(name)
if tree.exists():
    shutil.rmtree(tree)
subprocess.run(["cp", "-al", places.tree(good), tree], check=True)
shutil.rmtree(tree / "etc")
subprocess.run(["cp", "-a", places.tree(good) / "etc", tree / "etc"], check=True)
(tree / "etc/default/grub.d/zz.cfg").write_text(
    'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX ' + about.get("arguments", "") + '"\\n'
)
for path, text in about.get("files", {{}}).items():
    (tree / path).unlink(missing_ok=True)
    (tree / path).parent.mkdir(parents=True, exist_ok=True)
    (tree / path).write_text(text)
    (tree / path).chmod(0o755)
loader.prepare([good, name], good)
for path in about.get("removed", []):
    (places.boot(name) / path).unlink()
write_state(places.state, State(phase=Phase.ARMED, good=good, trial=name))
loader.arm(name, tries=about.get("tries", 3))
print(loader.describe())
"""
RACKS = [
    pytest.param("ext4", id="bios-on-ext4"),
    pytest.param("xfs", id="bios-on-xfs", marks=pytest.mark.long),
]


@pytest.fixture(scope="module", params=RACKS)
def rack(request: pytest.FixtureRequest, store: Store, place: Path) -> Iterator[Keyed]:
    """Both machines installed: BIOS with the root on ext4 and UEFI on xfs, or the other way."""
    with keyed(store, place / request.param, request.param) as found:
        yield found


def try_second(rack: Keyed, about: JsonObject, phase: str) -> dict[str, Seen]:
    """Make, arm and start a second version on each machine; what they say in the end."""
    before = {name: rack.seen_when(name, "idle").boot for name in NAMES}
    for name in NAMES:
        code = MAKE_SECOND.format(about=json.dumps([GOOD, TRIAL, about]))
        assert "counts the tries" in rack.ask(name, ["python3", "-"], stdin=code)
        rack.ask(name, ["systemctl", "reboot"], check=False)
    return {name: rack.seen_when(name, phase, not_in=before[name]) for name in NAMES}


def settle(rack: Keyed) -> None:
    """Forget the last trial."""
    code = (
        "import sys; sys.path.insert(0, '/usr/sbin/edeploy-node')\n"
        "from pathlib import Path\n"
        "from edeploy.node.upgrade.state import State, write_state\n"
        f"write_state(Path('/sysroot/edeploy/state.json'), State(good={GOOD!r}))\n"
    )
    for name in NAMES:
        rack.ask(name, ["python3", "-"], stdin=code)


@pytest.fixture
def settled(rack: Keyed) -> Keyed:
    settle(rack)
    return rack


def test_a_new_machine_is_the_first_version_of_itself(rack: Keyed) -> None:
    for name in NAMES:
        seen = rack.seen_when(name, "idle")
        assert f"edeploy={GOOD}" in seen.cmdline
        assert seen.state["good"] == GOOD
        assert rack.ask(name, ["sh", "-c", "touch /usr/x; echo $?"]).strip() == "1"
        manifest = rack.ask(name, ["cat", f"/sysroot/edeploy/manifests/{GOOD}"])
        assert manifest.splitlines()[1] == "#image web 1.0.0"
        assert not rack.ask(name, ["ls", f"/sysroot/edeploy/etc-base/{GOOD}/edeploy"], check=False)
        assert "nginx" in rack.ask(name, ["dpkg-query", "-W", "nginx"])


def test_a_missing_initrd(settled: Keyed) -> None:
    panics = {name: settled.console(name).count(b"Kernel panic") for name in NAMES}
    for name, seen in try_second(settled, {"removed": ["initrd"]}, "rolled-back").items():
        assert f"edeploy={GOOD}" in seen.cmdline, name
        assert "did not come up" in str(seen.state["why"])
        # Not even tried: GRUB looks first.
        assert settled.console(name).count(b"Kernel panic") == panics[name]


def test_a_kernel_that_panics(settled: Keyed) -> None:
    about = {"arguments": "rdinit=/nowhere panic=1", "tries": 2}
    panics = {name: settled.console(name).count(b"Kernel panic") for name in NAMES}
    for name, seen in try_second(settled, about, "rolled-back").items():
        assert f"edeploy={GOOD}" in seen.cmdline, name
        assert "did not come up" in str(seen.state["why"])
        assert settled.console(name).count(b"Kernel panic") - panics[name] == 2


def test_a_check_that_fails(settled: Keyed) -> None:
    files = {
        "usr/lib/edeploy/health.d/replica": "#!/bin/sh\necho the replica is behind\nexit 1\n",
        "usr/lib/edeploy/health.json": '{"seconds": 5}',
    }
    found = try_second(settled, {"files": files, "tries": 1}, "rolled-back")
    for name, seen in found.items():
        assert f"edeploy={GOOD}" in seen.cmdline, name
        assert "the replica is behind" in str(seen.state["why"])


def test_a_good_one_is_confirmed_and_stays(settled: Keyed) -> None:
    found = try_second(settled, {}, "idle")
    for name, seen in found.items():
        assert f"edeploy={TRIAL}" in seen.cmdline
        assert (seen.state["good"], seen.state["before"]) == (TRIAL, GOOD)
        settled.ask(name, ["systemctl", "reboot"], check=False)
    for name in NAMES:
        again = settled.seen_when(name, "idle", not_in=found[name].boot)
        assert f"edeploy={TRIAL}" in again.cmdline
        assert "edeploy.trial" not in again.cmdline
