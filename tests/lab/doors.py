"""The way into installed machines: racks whose machines let us in, and what they say there."""

import json
import shlex
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from racks import EXAMPLES, PATIENCE, all_in, machine, wait_for

from edeploy.images.store import Store
from edeploy.lab.box import Box, Wishes, box
from edeploy.lab.demo import address_of, switch_on
from edeploy.lab.rack import DEMO_RACK
from edeploy.run import run
from edeploy.server.client import JsonObject

SSH = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
       "-o", "ConnectTimeout=5", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR",
       # A machine that restarts may not say so any more.
       "-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=3")  # fmt: skip
LOOK = """
cat /proc/sys/kernel/random/boot_id /proc/cmdline; systemctl is-active edeploy-health.service
cat /sysroot/edeploy/state.json
"""
OTHER = {"ext4": "xfs", "xfs": "ext4"}


@dataclass(frozen=True)
class Seen:
    """What runs: this start's id, the kernel's command line, whether the unit that judges trials
    is at it, and the machine's own state."""

    boot: str
    cmdline: list[str]
    judging: bool
    state: JsonObject


class Doors(ABC):
    """Machines that let us in."""

    @abstractmethod
    def ask(self, name: str, words: list[str], *, stdin: str = "", check: bool = True) -> str:
        """Run a command on a machine, by SSH."""

    @abstractmethod
    def console(self, name: str) -> bytes:
        """All that a machine ever said on its console."""

    def look(self, name: str) -> Seen | None:
        """What a machine says of itself, None while it does not answer."""
        lines = self.ask(name, ["sh"], stdin=LOOK, check=False).splitlines()
        if len(lines) < 4:
            return None
        state = json.loads("\n".join(lines[3:]))
        return Seen(lines[0], lines[1].split(), lines[2] == "activating", state)

    def seen_when(self, name: str, phase: str, *, not_in: str = "") -> Seen:
        """What a machine says once its versions are in this phase and the boot loader knows it
        too, in another start than `not_in`."""
        deadline = time.monotonic() + PATIENCE
        while True:
            found = self.look(name)
            if found and found.state["phase"] == phase and found.boot != not_in:
                if not found.judging:
                    return found
            assert time.monotonic() < deadline, f"{name}: {found}"
            time.sleep(1)


@dataclass(frozen=True)
class Keyed(Doors):
    """A rack whose machines let us in."""

    box: Box
    key: Path

    def ask(self, name: str, words: list[str], *, stdin: str = "", check: bool = True) -> str:
        """See `Doors.ask`."""
        known = machine(self.box, name)
        assert known is not None
        argv = ssh(self.key, address_of(known), words)
        return run(self.box.lab.inside(argv), stdin=stdin, check=check, timeout=PATIENCE).out

    def copy(self, name: str, files: Sequence[Path], folder: str) -> None:
        """Put files into a folder of a machine, which is made."""
        self.ask(name, ["mkdir", "-p", folder])
        known = machine(self.box, name)
        assert known is not None
        target = f"root@{address_of(known)}:{folder}/"
        argv = ["scp", "-q", "-i", str(self.key), *SSH, *map(str, files), target]
        run(self.box.lab.inside(argv), timeout=PATIENCE)

    def console(self, name: str) -> bytes:
        """See `Doors.console`."""
        return self.box.lab.folder.machine(name).console_log.read_bytes()


def ssh(key: Path, address: str, words: list[str]) -> list[str]:
    """The words that run a command on a machine, whose shell sees them as they are."""
    return ["ssh", "-i", str(key), *SSH, f"root@{address}", shlex.join(words)]


@contextmanager
def keyed(
    store: Store, folder: Path, filesystem: str, role: str = "web", version: str = "1.0.0"
) -> Iterator[Keyed]:
    """Both machines installed: BIOS with the root on `filesystem`, and UEFI on the other one."""
    profiles = folder / "profiles"
    profiles.mkdir(parents=True)
    for path in EXAMPLES.iterdir():
        (profiles / path.name).write_bytes(path.read_bytes())
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"])
    script = profiles / "lab-web.configure"
    script.write_text(
        script.read_text()
        .replace("filesystem='ext4'", "filesystem=FILESYSTEM")
        .replace("'web', '1.0.0'", f"{role!r}, {version!r}")
        .replace(
            "import ipaddress",
            "import ipaddress, os\n"
            f"FILESYSTEM = {OTHER[filesystem]!r} if os.path.isdir('/sys/firmware/efi')"
            f" else {filesystem!r}",
        )
        + f"config('/root/.ssh/authorized_keys', fmod=0o600).write("
        f"{(folder / 'key.pub').read_text()!r})\n"
    )
    # A name of its own: somebody's demo may be up.
    rack = folder / "rack.yaml"
    rack.write_text(DEMO_RACK.read_text().replace("name: demo", "name: doors"))
    with box(rack, Wishes(store.root, profiles, folder / "serve")) as found:
        switch_on(found)
        wait_for(found, all_in("active"), but_not=("failed",))
        yield Keyed(found, folder / "key")
