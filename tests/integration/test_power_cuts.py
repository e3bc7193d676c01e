"""Power cuts at random moments of an upgrade: what comes up is one version or the other, whole."""

import contextlib
import io
import json
import os
import random
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from power import Came, Cut, Disk, Start, grub_starts, interrupted, own_mounts, remove
from serving import Server
from test_upgrade_stage import VERSIONS, publish, serve

from edeploy.images.edges.make import Wishes, make_edge
from edeploy.images.store import Store
from edeploy.node.boot.disk import BootDisk
from edeploy.node.boot.grub_loader import GrubLoader
from edeploy.node.upgrade.here import here
from edeploy.node.upgrade.places import Places
from edeploy.node.upgrade.state import State, write_state
from edeploy.node.upgrade.trial import judge
from edeploy.node.upgrade.upgrade import merge_late, rollback, upgrade
from edeploy.node.upgrade.verbs import run_verb

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="loop devices and mounts")

FIRST, SECOND = "web-1.0.1", "web-1.1.1"
KINDS = ("ext4", "xfs")
PATHS = (
    '{\n  "image": ["usr"],\n  "merged": ["etc"],\n  "state": ["var"],\n'
    '  "exclude": ["/edeploy/", "/etc/", "/var/", "/proc/", "/sysroot/"]\n}\n'
)
# Of the image, and what this machine made of it.
KERNELS = {"1.0": "6.1.0-50", "1.1": "6.1.0-56"}
SEED = 20


@dataclass(frozen=True)
class House:
    """A store with its server, and the disk of a machine that runs the first version."""

    store: Store
    server: Server
    disk: Disk
    fresh: Disk
    view: Path

    def loader(self) -> GrubLoader:
        """GRUB on a plain partition."""
        return GrubLoader(
            Places(self.disk.point), BootDisk("root=/dev/vda1 ro", (), "x", "/boot"), uefi=False
        )

    def show(self, name: str, *, trial: bool = False) -> None:
        """As the initramfs leaves it when this version was started."""
        remove(self.view)
        (self.view / "proc").mkdir(parents=True)
        mark = " edeploy.trial" if trial else ""
        (self.view / "proc/cmdline").write_text(f"quiet edeploy={name}{mark}")
        tree = Places(self.disk.point).tree(name)
        for target, path in (
            ("etc", tree / "etc"), ("usr", tree / "usr"), ("sysroot", self.disk.point),
            ("var", self.disk.point / "var"),
        ):  # fmt: skip
            (self.view / target).symlink_to(path)

    def verb(self, *words: str) -> tuple[int, dict[str, object]]:
        """The status and the answer of a command of the client."""
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            code = run_verb([*words, "--json"], self.view)
        return code, json.loads(said.getvalue())

    # --- what is interrupted

    def there_and_back(self) -> None:
        """The whole way of a machine: the upgrade, an edit, the restart, the verdict, and back."""
        upgrade(here(self.view), "1.1", self.loader(), Silent())
        (self.view / "etc/late").write_text("late")
        merge_late(here(self.view))
        self.show(SECOND, trial=True)
        judge(self.view, lambda _: self.loader())
        rollback(here(self.view), self.loader())

    # --- what is asked afterwards

    def check_start(self, start: Start) -> None:
        """What GRUB starts is a whole version, and a further upgrade makes it the second one."""
        version = self.settle(start)
        self.check_exact(version)
        if version == "1.0":
            done = upgrade(here(self.view), "1.1", self.loader(), Silent())
            self.show(done.name, trial=True)
            judge(self.view, lambda _: self.loader())
            self.check_exact("1.1")
        rollback(here(self.view), self.loader())
        self.show(FIRST)
        self.check_exact("1.0")

    def settle(self, start: Start) -> str:
        """Start it, and let the unit of the trial do its part; the version."""
        self.show(start.name, trial=start.trial)
        judge(self.view, lambda _: self.loader())
        version = str(self.verb("version")[1]["version"])
        assert start.kernel == kernel(version)
        state = self.verb("status")[1]
        assert state["phase"] in ("idle", "rolled-back", "staging", "verified"), state
        return version

    def check_exact(self, version: str) -> None:
        """What runs is this version to the last file, and what is the machine's own is there."""
        code, drift = self.verb("verify")
        assert (code, drift["drift"]) == (0, []), drift
        assert self.verb("version")[1] == {"version": version}
        assert (self.view / "etc/app.conf").read_bytes() == b"mine\n"
        assert (self.view / "var/lib/app/data").read_bytes() == b"rows"
        default = VERSIONS[version]["etc/app.conf"]
        tree = Path(os.readlink(self.view / "etc")).parent
        kept = Places(self.disk.point).etc_base(tree.name) / "app.conf"
        assert kept.read_bytes() == default


class Silent:
    """Nobody looks."""

    def say(self, line: str) -> None:
        pass

    def progress(self, done: int, total: int, unit: str) -> None:
        pass


def kernel(version: str) -> bytes:
    return f"kernel {KERNELS[version]}\n".encode() * 3000


def content(version: str) -> dict[str, bytes]:
    release = KERNELS[version]
    more = {f"usr/share/doc/{number}/text": b"text %d\n" % number * 99 for number in range(40)}
    return {
        **VERSIONS[version],
        **more,
        "usr/lib/edeploy/paths.json": PATHS.encode(),
        f"boot/vmlinuz-{release}": kernel(version),
        f"boot/initrd.img-{release}": f"initrd {release}\n".encode() * 3000,
    }


@pytest.fixture(scope="module", params=KINDS)
def house(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("cuts")
    store = Store(folder / "store")
    for version in KERNELS:
        publish(store, version, content(version))
    make_edge(store, "web", "1.0", "1.1", Wishes())
    server = serve(store, folder)
    fresh = Disk(request.param, folder / "fresh", folder / "fresh-root")
    made = House(
        store, server, Disk(request.param, folder / "disk", folder / "root"), fresh, folder / "view"
    )
    with pytest.MonkeyPatch.context() as patch, own_mounts():
        # No unit of this host is one of the machine.
        (folder / "bin").mkdir()
        (folder / "bin/systemctl").write_text("#!/bin/sh\n")
        (folder / "bin/systemctl").chmod(0o755)
        patch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")
        try:
            fresh.make()
            with fresh.mounted() as root:
                lay_out(root, store, server.url)
            yield made
        finally:
            server.stop()


def lay_out(root: Path, store: Store, url: str) -> None:
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
    disk = BootDisk("root=/dev/vda1 ro", (), "x", "/boot")
    GrubLoader(places, disk, uefi=False).prepare([FIRST], FIRST)
    write_state(places.state, State(good=FIRST))


@dataclass(frozen=True)
class Row:
    """One cut: what was being done, whether the way had ended, and what came up."""

    doing: str
    done: bool
    start: str


def cut_often(house: House, count: int) -> list[Row]:
    """`count` cuts at random moments of the whole way; what came of each."""
    house.disk.copy(house.fresh)
    with house.disk.mounted():
        house.show(FIRST)
        whole = interrupted(house.disk, house.there_and_back, None)
    rows = []
    for number in range(count):
        house.disk.copy(house.fresh)
        with house.disk.mounted():
            house.show(FIRST)
            cut = chosen(whole, f"{SEED} {house.disk.kind} {number}")
            came = interrupted(house.disk, house.there_and_back, cut)
        start = grub_starts(house.disk)
        with house.disk.mounted():
            try:
                house.check_start(start)
            except Exception as error:
                words = f"cut {number} in {came.doing}: {start.name}: {error}"
                raise AssertionError(words) from error
        rows.append(Row(came.doing, came.done, f"{start.name}{' on trial' if start.trial else ''}"))
    return rows


def chosen(whole: Came, seed: str) -> Cut:
    """A moment of a way, by its time or by its steps: each leaves out what is short in the other;
    sometimes the kernel has written out what it had shortly before."""
    chance = random.Random(seed)  # noqa: S311
    written_out = chance.uniform(0, whole.seconds) if chance.random() < 0.5 else None
    if chance.random() < 0.5:
        return Cut(step=chance.randint(1, whole.steps), written_out=written_out)
    after = chance.uniform(0, whole.seconds)
    return Cut(after=after, written_out=written_out and min(written_out, after))


def table(kind: str, rows: list[Row]) -> str:
    """What was cut how often, and what came up."""
    lines = [f"{kind}, seed {SEED}: {len(rows)} cuts"]
    counted = Counter((row.doing, row.start) for row in rows)
    for (doing, start), count in sorted(counted.items(), key=lambda item: (-item[1], item[0])):
        lines.append(f"{count:4}  {doing:44} {start}")
    return "\n".join(lines)


@pytest.mark.parametrize(
    "count", [10, pytest.param(100, marks=pytest.mark.long)], ids=["some", "many"]
)
def test_every_cut_comes_up_as_one_version_or_the_other(
    house: House, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = cut_often(house, count)
    with capsys.disabled():
        print(f"\n{table(house.disk.kind, rows)}")
    assert len({row.doing for row in rows}) > 2
    assert {row.start.partition(" ")[0] for row in rows} == {FIRST, SECOND}
