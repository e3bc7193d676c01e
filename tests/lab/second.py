"""A second version beside the first, as an upgrade leaves it, and its trial."""

import json

from doors import Doors

from edeploy.server.client import JsonObject

_MAKE = """
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
_SETTLE = """
import sys
from pathlib import Path
sys.path.insert(0, "/usr/sbin/edeploy-node")
from edeploy.node.upgrade.state import State, write_state
write_state(Path("/sysroot/edeploy/state.json"), State(good={good!r}))
"""
_RESTART = """
import sys
from pathlib import Path
sys.path.insert(0, "/usr/sbin/edeploy-node")
from edeploy.node.boot import loader_of
from edeploy.node.upgrade.places import Places
loader_of(Places(Path("/sysroot"))).restart()
"""


def make_second(doors: Doors, name: str, good: str, trial: str, about: JsonObject) -> str:
    """Make and arm `trial` of the files of `good`; what the machine says of its loader.

    `about`: `arguments` more for its kernel, `files` with these texts, what is `removed` of its
    kernel's folder, and how many `tries` it has.
    """
    code = _MAKE.format(about=json.dumps([good, trial, about]))
    return doors.ask(name, ["python3", "-"], stdin=code)


def restart(doors: Doors, name: str) -> None:
    """Start what is armed, as `edeploy-node upgrade --reboot` does it."""
    doors.ask(name, ["python3", "-"], stdin=_RESTART, check=False)


def settle(doors: Doors, name: str, good: str) -> None:
    """Forget the last trial."""
    doors.ask(name, ["python3", "-"], stdin=_SETTLE.format(good=good))
