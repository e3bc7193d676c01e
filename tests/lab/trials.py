"""Trials of versions on one machine from a disk, whatever starts them."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from doors import Seen
from plain import NAME, Plain, started
from racks import CHECKOUT
from second import make_second, restart, settle

from edeploy.disks.disk import Wish, make_disk
from edeploy.disks.formats import Format
from edeploy.images.build.image import DEFAULT_VERSION, build_image
from edeploy.images.recipe import load_recipe
from edeploy.images.store import Store
from edeploy.run import run
from edeploy.server.client import JsonObject

# A check that fails, and a kernel that does.
LAME: JsonObject = {
    "files": {
        "usr/lib/edeploy/health.d/replica": "#!/bin/sh\necho the replica is behind\nexit 1\n",
        "usr/lib/edeploy/health.json": '{"seconds": 5}',
    },
}
DEAD: JsonObject = {"arguments": "rdinit=/nowhere panic=1"}
# As an installation leaves it; nobody installed this machine.
RECORD = """
mkdir -p /etc/edeploy
echo '{"server": "http://10.79.0.1", "machine": "m", "role": "r", "version": "v"}' \\
    > /etc/edeploy/node.json
"""


def heir_of_base(folder: Path, role: str, packages: list[str]) -> Path:
    """A folder of roles with `base`, and `role` with these packages more."""
    roles = folder / "roles"
    shutil.copytree(CHECKOUT / "roles/base", roles / "base")
    (roles / role).mkdir()
    lines = ["from: base", "packages:", *(f"  - {name}" for name in packages)]
    (roles / role / "role.yaml").write_text("\n".join([*lines, ""]))
    return roles


@contextmanager
def machine_of(
    role: str, roles: Path, store: Store, folder: Path, *, firmware: str, disks: int = 1
) -> Iterator[Plain]:
    """A machine of the role, which is in the folder `roles`, once it is up."""
    image = build_image(load_recipe(roles, role), DEFAULT_VERSION, store, on_step=print)
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"])
    wish = Wish(Format.RAW, authorized_keys=(folder / "key.pub").read_text())
    disk = make_disk(store, image, folder / "disk.raw", wish, on_step=print)
    with started("loaders", disk.path, folder, firmware=firmware, disks=disks) as lab:
        found = Plain(lab, folder / "key")
        found.seen_when(NAME, "idle")
        found.ask(NAME, ["sh"], stdin=RECORD)
        yield found


class Trials:
    """Versions beside the good one, which is the first of `role`, and what becomes of them.

    `loader`: a part of what the machine says of its loader."""

    def __init__(self, machine: Plain, role: str, loader: str) -> None:
        self.machine = machine
        self.good, self.trial = f"{role}-1.0.0.1", f"{role}-1.0.1.1"
        self._loader = loader

    def seen_after(self, about: JsonObject, phase: str) -> Seen:
        """Make, arm and start a second version; what the machine says in the end."""
        settle(self.machine, NAME, self.good)
        before = self.machine.seen_when(NAME, "idle").boot
        told = make_second(self.machine, NAME, self.good, self.trial, about)
        assert self._loader in told
        restart(self.machine, NAME)
        return self.machine.seen_when(NAME, phase, not_in=before)

    def refuse(self, about: JsonObject, why: str) -> None:
        """What this is about gives way to the good version, for this reason."""
        seen = self.seen_after(about, "rolled-back")
        assert f"edeploy={self.good}" in seen.cmdline
        assert "edeploy.trial" not in seen.cmdline
        assert why in str(seen.state["why"])

    def confirm(self) -> None:
        """One that does its job is confirmed, and started from then on, also by a boot."""
        seen = self.seen_after({}, "idle")
        assert {f"edeploy={self.trial}", "edeploy.trial"} <= set(seen.cmdline)
        assert (seen.state["good"], seen.state["before"]) == (self.trial, self.good)
        self.machine.ask(NAME, ["systemctl", "reboot"], check=False)
        again = self.machine.seen_when(NAME, "idle", not_in=seen.boot)
        assert f"edeploy={self.trial}" in again.cmdline
        assert "edeploy.trial" not in again.cmdline
        assert b"Failed unmounting" not in self.machine.console(NAME)
