"""A machine with several versions on a disk of its own, seen as its initramfs shows them."""

import contextlib
import io
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from power import Disk, own_mounts, unmount
from serving import Server
from test_upgrade_stage import VERSIONS, publish, serve

from edeploy.images.edges.make import Wishes, make_edge
from edeploy.images.store import Store
from edeploy.node.boot.disk import BootDisk
from edeploy.node.boot.grub_loader import GrubLoader
from edeploy.node.upgrade.here import Here, here
from edeploy.node.upgrade.places import Places
from edeploy.node.upgrade.state import State, write_state
from edeploy.node.upgrade.trial import judge
from edeploy.node.upgrade.upgrade import upgrade
from edeploy.node.upgrade.verbs import run_verb

FIRST, SECOND = "web-1.0.1", "web-1.1.1"
KERNELS = {"1.0": "6.1.0-50", "1.1": "6.1.0-56", "1.2": "6.1.0-56"}
CONTENT = {
    **VERSIONS,
    "1.2": {
        **VERSIONS["1.1"],
        "usr/bin/tool": b"tool 1.2\n" * 4000,
        "usr/share/new/file": b"new",
        "etc/other.conf": b"other 1.2\n",
    },
}
PATHS = (
    '{\n  "image": ["usr"],\n  "merged": ["etc"],\n  "state": ["var"],\n'
    '  "exclude": ["/boot/grub/", "/dev/", "/edeploy/", "/etc/", "/lost+found", "/proc/",'
    ' "/run/", "/sys/", "/sysroot/", "/var/"]\n}\n'
)
# Nothing of this host is a unit of the machine.
SYSTEMCTL = "#!/bin/sh\n"


class Silent:
    """Nobody looks."""

    def say(self, line: str) -> None:
        pass

    def progress(self, done: int, total: int, unit: str) -> None:
        pass


@dataclass(frozen=True)
class Deployed:
    """A store with its server, the disk of a machine, how that was when it ran the first version,
    and where the version that runs is seen."""

    store: Store
    server: Server
    disk: Disk
    fresh: Disk
    view: Path

    @property
    def places(self) -> Places:
        """On the disk, while it is mounted."""
        return Places(self.disk.point)

    def loader(self) -> GrubLoader:
        """GRUB on a plain partition."""
        return GrubLoader(self.places, BOOT_DISK)

    def here(self) -> Here:
        """The client's own look."""
        return here(self.view, lambda _: None)

    @contextmanager
    def power(self, name: str = "", *, trial: bool = False) -> Iterator[None]:
        """The disk is there for the length of a `with`; and `name` runs."""
        with self.disk.mounted():
            try:
                if name:
                    self.start(name, trial=trial)
                yield
            finally:
                self._end()

    def start(self, name: str, *, trial: bool = False) -> None:
        """As the initramfs leaves it: roles/base/files/usr/lib/edeploy/pivot."""
        self._end()
        tree, view = self.places.tree(name), self.view
        proc = view.with_name("proc")
        proc.mkdir(exist_ok=True)
        mark = " edeploy.trial" if trial else ""
        (proc / "cmdline").write_text(f"quiet edeploy={name}{mark}")
        view.mkdir(exist_ok=True)
        for source, target, options in (
            (tree, view, "bind"),
            (tree / "usr", view / "usr", "bind"),
            (tree / "usr", view / "usr", "remount,bind,ro"),
            (self.disk.point / "var", view / "var", "bind"),
            (self.disk.point / "boot", view / "boot", "bind"),
            (proc, view / "proc", "bind"),
            (self.disk.point, view / "sysroot", "bind"),
        ):
            subprocess.run(["mount", "-o", options, source, target], check=True)

    def _end(self) -> None:
        unmount(self.view)

    def try_out(self, name: str) -> None:
        """Start it as a trial, and let the unit of the trial do its part."""
        self.start(name, trial=True)
        self.judge()

    def judge(self) -> str:
        """What the unit says that runs after each start."""
        return judge(self.view, lambda _: self.loader())

    def upgrade(self, version: str) -> str:
        """Make the next start one of this version; its name."""
        return upgrade(self.here(), version, self.loader(), Silent()).name

    def verb(self, *words: str) -> tuple[int, dict[str, object]]:
        """The status and the answer of a command of the client."""
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            code = run_verb([*words, "--json"], self.view)
        return code, json.loads(said.getvalue())

    def check_exact(self, version: str) -> None:
        """What runs is this version to the last file, and what is the machine's own is there."""
        code, drift = self.verb("verify")
        assert (code, drift["drift"]) == (0, []), drift
        assert self.verb("version")[1] == {"version": version}
        assert (self.view / "etc/app.conf").read_bytes() == b"mine\n"
        assert (self.view / "var/lib/app/data").read_bytes() == b"rows"
        kept = self.places.etc_base(self.here().name) / "app.conf"
        assert kept.read_bytes() == CONTENT[version]["etc/app.conf"]


BOOT_DISK = BootDisk("root=/dev/vda1 ro", (), "x", "/boot")


def kernel(version: str) -> bytes:
    """The kernel of a version, in the place of one."""
    return f"kernel {KERNELS[version]}\n".encode() * 3000


def content(version: str) -> dict[str, bytes]:
    """The files of a version."""
    release = KERNELS[version]
    more = {f"usr/share/doc/{number}/text": b"text %d\n" % number * 99 for number in range(40)}
    return {
        **CONTENT[version],
        **more,
        "usr/lib/edeploy/paths.json": PATHS.encode(),
        f"boot/vmlinuz-{release}": kernel(version),
        f"boot/initrd.img-{release}": f"initrd {release}\n".encode() * 3000,
        **{f"{folder}/.keep": b"" for folder in ("proc", "sysroot")},
    }


@contextmanager
def deployed(kind: str, folder: Path) -> Iterator[Deployed]:
    """A machine that was installed with the first version, on a file system of this kind."""
    store = Store(folder / "store")
    for version in KERNELS:
        publish(store, version, content(version))
    for ends in (("1.0", "1.1"), ("1.1", "1.2")):
        make_edge(store, "web", *ends, Wishes())
    server = serve(store, folder)
    made = Deployed(
        store,
        server,
        Disk(kind, folder / "disk", folder / "root"),
        Disk(kind, folder / "fresh", folder / "fresh-root"),
        folder / "view",
    )
    programs = folder / "bin"
    programs.mkdir()
    (programs / "systemctl").write_text(SYSTEMCTL)
    (programs / "systemctl").chmod(0o755)
    with pytest.MonkeyPatch.context() as patch, own_mounts():
        patch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        try:
            made.fresh.make()
            with made.fresh.mounted() as root:
                _lay_out(root, store, server.url)
            yield made
        finally:
            server.stop()


def _lay_out(root: Path, store: Store, url: str) -> None:
    """A machine as an installation leaves it, some time later."""
    places = Places(root)
    for folder in ("deploy", "manifests", "etc-base"):
        (places.top / folder).mkdir(parents=True)
    image = store.image("web", "1.0")
    tree = places.tree(FIRST)
    subprocess.run(["cp", "-a", image.tree, tree], check=True)
    subprocess.run(["cp", "-a", image.tree / "etc", places.etc_base(FIRST)], check=True)
    subprocess.run(["cp", "-a", image.tree / "var", root / "var"], check=True)
    places.manifest(FIRST).write_bytes(image.manifest.read_bytes())
    about = {"server": url, "machine": "r1", "role": "web", "version": "1.0"}
    (tree / "etc/edeploy").mkdir()
    (tree / "etc/edeploy/node.json").write_text(json.dumps(about))
    (tree / "etc/app.conf").write_bytes(b"mine\n")
    (root / "var/lib/app/data").write_bytes(b"rows")
    (root / "boot/grub").mkdir(parents=True)
    GrubLoader(places, BOOT_DISK).prepare([FIRST], FIRST)
    write_state(places.state, State(good=FIRST))
