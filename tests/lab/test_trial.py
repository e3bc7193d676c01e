"""A version that does not start, or does not do its job, gives way to the good one by itself."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from racks import EXAMPLES, PATIENCE, SERIALS, all_in, machine, wait_for

from edeploy.images.store import Store
from edeploy.lab.box import Box, Wishes, box
from edeploy.lab.demo import address_of, switch_on
from edeploy.lab.rack import DEMO_RACK
from edeploy.run import run
from edeploy.server.client import JsonObject

GOOD, TRIAL = "web-1.0.0.1", "web-1.0.1.1"
NAMES = sorted(SERIALS)
SSH = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
       "-o", "ConnectTimeout=5", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR")  # fmt: skip

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
LOOK = """
cat /proc/sys/kernel/random/boot_id /proc/cmdline; systemctl is-active edeploy-health.service
cat /sysroot/edeploy/state.json
"""


@dataclass(frozen=True)
class Seen:
    """What runs: this start's id, the kernel's command line, and the machine's own state."""

    boot: str
    cmdline: list[str]
    state: JsonObject


@dataclass(frozen=True)
class Keyed:
    """A rack whose machines let us in."""

    box: Box
    key: Path


RACKS = [
    pytest.param("ext4", id="bios-on-ext4"),
    pytest.param("xfs", id="bios-on-xfs", marks=pytest.mark.long),
]


@pytest.fixture(scope="module", params=RACKS)
def rack(request: pytest.FixtureRequest, store: Store, place: Path) -> Iterator[Keyed]:
    """Both machines installed: BIOS with the root on ext4 and UEFI on xfs, or the other way."""
    folder = place / request.param
    profiles = folder / "profiles"
    profiles.mkdir(parents=True)
    for path in EXAMPLES.iterdir():
        (profiles / path.name).write_bytes(path.read_bytes())
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"])
    script = profiles / "lab-web.configure"
    others = {"ext4": "xfs", "xfs": "ext4"}
    script.write_text(
        script.read_text().replace("filesystem='ext4'", "filesystem=FILESYSTEM").replace(
            "import ipaddress",
            "import ipaddress, os\n"
            f"FILESYSTEM = {others[request.param]!r} if os.path.isdir('/sys/firmware/efi')"
            f" else {request.param!r}",
        )
        + f"config('/root/.ssh/authorized_keys', fmod=0o600).write("
        f"{(folder / 'key.pub').read_text()!r})\n"
    )  # fmt: skip
    with box(DEMO_RACK, Wishes(store.root, profiles, folder / "serve")) as found:
        switch_on(found)
        wait_for(found, all_in("active"), but_not=("failed",))
        yield Keyed(found, folder / "key")


def ask(rack: Keyed, name: str, words: list[str], *, stdin: str = "", check: bool = True) -> str:
    """Run a command on a machine, by SSH."""
    known = machine(rack.box, name)
    assert known is not None
    argv = ["ssh", "-i", str(rack.key), *SSH, f"root@{address_of(known)}", *words]
    return run(rack.box.lab.inside(argv), stdin=stdin, check=check).out


def look(rack: Keyed, name: str) -> Seen | None:
    """What a machine says of itself, None while it does not answer."""
    lines = ask(rack, name, ["sh"], stdin=LOOK, check=False).splitlines()
    if len(lines) < 4:
        return None
    return Seen(lines[0], lines[1].split(), json.loads("\n".join(lines[3:])))


def seen_when(rack: Keyed, name: str, phase: str, *, not_in: str = "") -> Seen:
    """What a machine says once its versions are in this phase, in another start than `not_in`."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = look(rack, name)
        if found and found.state["phase"] == phase and found.boot != not_in:
            return found
        assert time.monotonic() < deadline, f"{name}: {found}"
        time.sleep(1)


def try_second(rack: Keyed, about: JsonObject, phase: str) -> dict[str, Seen]:
    """Make, arm and start a second version on each machine; what they say in the end."""
    before = {name: seen_when(rack, name, "idle").boot for name in NAMES}
    for name in NAMES:
        code = MAKE_SECOND.format(about=json.dumps([GOOD, TRIAL, about]))
        assert "counts the tries" in ask(rack, name, ["python3", "-"], stdin=code)
        ask(rack, name, ["systemctl", "reboot"], check=False)
    return {name: seen_when(rack, name, phase, not_in=before[name]) for name in NAMES}


def settle(rack: Keyed) -> None:
    """Forget the last trial."""
    code = (
        "import sys; sys.path.insert(0, '/usr/sbin/edeploy-node')\n"
        "from pathlib import Path\n"
        "from edeploy.node.upgrade.state import State, write_state\n"
        f"write_state(Path('/sysroot/edeploy/state.json'), State(good={GOOD!r}))\n"
    )
    for name in NAMES:
        ask(rack, name, ["python3", "-"], stdin=code)


@pytest.fixture
def settled(rack: Keyed) -> Keyed:
    settle(rack)
    return rack


def test_a_new_machine_is_the_first_version_of_itself(rack: Keyed) -> None:
    for name in NAMES:
        seen = seen_when(rack, name, "idle")
        assert f"edeploy={GOOD}" in seen.cmdline
        assert seen.state["good"] == GOOD
        assert ask(rack, name, ["sh", "-c", "touch /usr/x; echo $?"]).strip() == "1"
        manifest = ask(rack, name, ["cat", f"/sysroot/edeploy/manifests/{GOOD}"])
        assert manifest.splitlines()[1] == "#image web 1.0.0"
        assert not ask(rack, name, ["ls", f"/sysroot/edeploy/etc-base/{GOOD}/edeploy"], check=False)
        assert "nginx" in ask(rack, name, ["dpkg-query", "-W", "nginx"])


def test_a_missing_initrd(settled: Keyed) -> None:
    logs = {name: settled.box.lab.folder.machine(name).console_log for name in NAMES}
    panics = {name: log.read_bytes().count(b"Kernel panic") for name, log in logs.items()}
    for name, seen in try_second(settled, {"removed": ["initrd"]}, "rolled-back").items():
        assert f"edeploy={GOOD}" in seen.cmdline, name
        assert "did not come up" in str(seen.state["why"])
        # Not even tried: GRUB looks first.
        assert logs[name].read_bytes().count(b"Kernel panic") == panics[name]


def test_a_kernel_that_panics(settled: Keyed) -> None:
    about = {"arguments": "rdinit=/nowhere panic=1", "tries": 2}
    logs = {name: settled.box.lab.folder.machine(name).console_log for name in NAMES}
    panics = {name: log.read_bytes().count(b"Kernel panic") for name, log in logs.items()}
    for name, seen in try_second(settled, about, "rolled-back").items():
        assert f"edeploy={GOOD}" in seen.cmdline, name
        assert "did not come up" in str(seen.state["why"])
        assert logs[name].read_bytes().count(b"Kernel panic") - panics[name] == 2


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
        ask(settled, name, ["systemctl", "reboot"], check=False)
    for name in NAMES:
        again = seen_when(settled, name, "idle", not_in=found[name].boot)
        assert f"edeploy={TRIAL}" in again.cmdline
        assert "edeploy.trial" not in again.cmdline
