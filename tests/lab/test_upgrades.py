"""From a release without updates to one with updates and another kernel, and back, with rows being
written: the whole way that a machine goes, on both firmwares and both file systems."""

import json
import os
import random
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from doors import Keyed, Seen, keyed
from racks import SERIALS, all_in, events, on_each, wait_for
from versions import DEAD, KEPT, LAME, RELEASE, ROLE, UPDATED, build_versions
from watching import asked, followed

from edeploy.images.edges.make import Wishes
from edeploy.images.packages.lock import read_lock
from edeploy.images.packages.pool import Pool
from edeploy.images.store import Store
from edeploy.server.client import JsonObject
from edeploy.server.settings import StoreSettings

# An installation, and a start after each command, of emulated machines on a busy host.
# And two whole images to build.
pytestmark = [pytest.mark.timeout(7200), pytest.mark.long]

NAMES = sorted(SERIALS)
FIRST, SECOND = f"{ROLE}-{RELEASE}.1", f"{ROLE}-{UPDATED}.1"
EDIT = "/etc/mysql/mariadb.conf.d/60-edeploy.cnf"
# The database may come up later than ssh.
UP = "systemctl is-system-running --wait > /dev/null || true\n"
# An edit of this machine's own: it answers to everybody, be it with a refusal.
OPEN = f"""
printf 'max_connections = 77\\nbind-address = 0.0.0.0\\n' >> {EDIT}
systemctl restart mariadb
"""
# A row a moment; what the database said yes to is noted after it did.
WRITER = """
cat > /root/writer <<'END'
#!/bin/sh
last=$(mariadb -N -e 'select coalesce(max(n), 0) from shop.orders') || exit 1
while true; do
	last=$((last + 1))
	mariadb -e "insert into shop.orders values ($last)" || exit 1
	echo $last > /root/noted.new && sync /root/noted.new && mv /root/noted.new /root/noted
done
END
chmod 755 /root/writer
[ -f /root/noted ] || { echo 0 > /root/noted; sync /root/noted; }
mariadb -e 'create database if not exists shop;
	create table if not exists shop.orders (n int primary key) engine=innodb'
systemctl stop writer 2> /dev/null || true
systemd-run --quiet --unit=writer --collect /root/writer
"""
COUNT = "mariadb -N -e 'select count(*), coalesce(max(n), 0) from shop.orders'; cat /root/noted"

RACKS = [
    pytest.param("ext4", id="bios-on-ext4"),
    pytest.param("xfs", id="bios-on-xfs"),
]


@dataclass(frozen=True)
class Begun:
    """An upgrade that was begun: where to, in which start of the machine, at which time."""

    goal: str
    boot: str
    at: float


@dataclass(frozen=True)
class Shop:
    """Two database servers whose rows somebody writes all the time; `root` is the file system of
    the one with BIOS."""

    rack: Keyed
    root: str

    def write(self, name: str) -> None:
        """Begin to write rows."""
        self.rack.ask(name, ["sh", "-e"], stdin=UP + WRITER)

    def noted(self, name: str) -> int:
        """The last row that the database has confirmed."""
        return int(self.rack.ask(name, ["cat", "/root/noted"]))

    def check_rows(self, name: str) -> None:
        """Every row that was confirmed is there, and none twice."""
        counts, noted = self.rack.ask(name, ["sh"], stdin=UP + COUNT).splitlines()
        count, last = map(int, counts.split())
        assert count == last >= int(noted) > 0, f"{name}: {count} rows, {last} the last, {noted}"

    def node(self, name: str, *words: str, check: bool = True) -> JsonObject:
        """What `edeploy WORDS --json` says on a machine."""
        found: JsonObject = json.loads(
            self.rack.ask(name, ["edeploy", *words, "--json"], check=check)
        )
        return found

    def check_exact(self, name: str, version: str) -> None:
        """What runs is this version, to the last file."""
        self.check_drift(name, version)
        runs = str(self.node(name, "status")["runs"])
        assert runs.rpartition(".")[0] == f"{ROLE}-{version}"
        self.check_database(name)

    def check_database(self, name: str) -> None:
        """The database that runs is the one that dpkg knows."""
        package = self.rack.ask(name, ["dpkg-query", "-W", "-f", "${Version}", "mariadb-server"])
        running = self.rack.ask(name, ["sh"], stdin=UP + "mariadb -N -e 'select version()'\n")
        known = package.partition(":")[2].partition("-")[0]
        assert known and running.startswith(known), (package, running)

    def check_drift(self, name: str, version: str) -> None:
        """What runs is this version's content, whatever its tree is called."""
        assert self.node(name, "version") == {"version": version}
        drift = self.node(name, "verify", check=False)
        assert drift["drift"] == [], drift["drift"]

    def settled(self, name: str, *, not_in: str) -> str:
        """The version that runs when a machine has come to rest in another start."""
        wait_for(self.rack.box, lambda _: self._rests(name, not_in))
        return str(self.node(name, "version")["version"])

    def _rests(self, name: str, not_in: str) -> bool:
        self.rack.ask(name, ["sh"], stdin=UP, check=False)
        seen = self.rack.look(name)
        busy = ("armed", "trial")
        return seen is not None and seen.boot != not_in and seen.state["phase"] not in busy

    def go(self, name: str, *words: str) -> Seen:
        """Run this command that restarts the machine while rows are written; before that."""
        self.write(name)
        before, seen = self.noted(name), self.rack.look(name)
        assert seen is not None
        self.rack.ask(name, ["edeploy", *words])
        wait_for(self.rack.box, lambda _: self.noted(name) > before)
        self.rack.ask(name, ["systemctl", "reboot"], check=False)
        return seen

    def begin(self, name: str) -> Begun:
        """Begin an upgrade to the other version, with the boot after it, while rows are written."""
        seen = self.rack.look(name)
        assert seen is not None
        goal = RELEASE if self.node(name, "version") == {"version": UPDATED} else UPDATED
        self.write(name)
        command = ["edeploy", "upgrade", goal, "--reboot"]
        self.rack.ask(name, ["systemd-run", "--quiet", "--collect", *command])
        return Begun(goal, seen.boot, time.monotonic())

    def come_to(self, version: str) -> None:
        """Both run this version, by an upgrade if need be."""
        others = [name for name in NAMES if self.node(name, "version") != {"version": version}]
        before = {name: self.go(name, "upgrade", version) for name in others}
        for name, seen in before.items():
            self.rack.seen_when(name, "idle", not_in=seen.boot)

    def reason(self, name: str) -> str:
        """Why the server says that a machine is not what it should be, once it says so."""
        known = wait_for(self.rack.box, lambda known: bool(known[name]["reason"]))
        return str(known[name]["reason"])

    def kernel(self, name: str) -> str:
        """The kernel that runs."""
        return self.rack.ask(name, ["uname", "-r"]).strip()


def check_in_turn(shown: list[str], *states: str) -> None:
    """The server showed these states, one after the other, and the last of them at the end."""
    rest = iter(shown)
    assert all(state in rest for state in states), shown
    assert shown[-1] == states[-1]


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(StoreSettings().path)
    build_versions(store, tmp_path_factory.mktemp("roles"), RELEASE, UPDATED)
    return store


@pytest.fixture(scope="module")
def bad_versions(versions: Store, tmp_path_factory: pytest.TempPathFactory) -> None:
    for version in (LAME, DEAD):
        build_versions(versions, tmp_path_factory.mktemp("roles"), UPDATED, version)


@pytest.fixture(scope="module", params=RACKS)
def shop(request: pytest.FixtureRequest, versions: Store, place: Path) -> Iterator[Shop]:
    """Both machines with the release: BIOS with the root on ext4 and UEFI on xfs, or the other
    way."""
    with keyed(versions, place / request.param, request.param, ROLE, RELEASE) as rack:
        for name in NAMES:
            rack.seen_when(name, "idle")
            rack.ask(name, ["sh", "-e"], stdin=UP + OPEN)
        yield Shop(rack, request.param)


def test_to_the_updates_with_another_kernel(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    old = {name: shop.kernel(name) for name in NAMES}
    for name in NAMES:
        shop.check_exact(name, RELEASE)
        foreseen = shop.node(name, "test-upgrade", UPDATED)
        assert "kernel" in str(foreseen["reboot"]) and not foreseen["etc_conflict"]
    with asked(shop.rack) as away, followed(shop.rack.box) as shown:
        before = {name: shop.go(name, "upgrade", UPDATED) for name in NAMES}
        for name in NAMES:
            shop.rack.seen_when(name, "idle", not_in=before[name].boot)
        wait_for(shop.rack.box, all_in("active"))
    with capsys.disabled():
        print()
        for name in NAMES:
            print(f"{name}, atomic: the database gave no answer for {away[name]}")
            print(f"{name}, at the server: {', '.join(shown[name])}")
    for name in NAMES:
        check_in_turn(
            shown[name],
            f"upgrading stage {UPDATED}",
            f"active armed {UPDATED}",
            f"upgrading check {UPDATED}",
            "active",
        )
        seen = shop.rack.seen_when(name, "idle", not_in=before[name].boot)
        assert f"edeploy={SECOND}" in seen.cmdline
        assert (seen.state["good"], seen.state["before"]) == (SECOND, FIRST)
        assert shop.kernel(name) != old[name]
        shop.check_exact(name, UPDATED)
        shop.check_rows(name)
        limit = ["mariadb", "-N", "-e", "select @@max_connections"]
        assert shop.rack.ask(name, limit).strip() == "77"
        # The image's own change of /etc came.
        pin = ["ls", "/etc/apt/preferences.d/no-updates"]
        assert not shop.rack.ask(name, pin, check=False)


@pytest.mark.usefixtures("bad_versions")
@pytest.mark.parametrize(
    ("version", "why"),
    [(LAME, "mariadb.service"), (DEAD, "did not come up")],
    ids=["a-database-that-does-not-start", "a-kernel-that-panics"],
)
def test_a_bad_version_gives_way_by_itself(shop: Shop, version: str, why: str) -> None:
    panics = {name: shop.rack.console(name).count(b"Kernel panic") for name in NAMES}
    before = {name: shop.go(name, "upgrade", version) for name in NAMES}
    for name in NAMES:
        seen = shop.rack.seen_when(name, "rolled-back", not_in=before[name].boot)
        assert f"edeploy={SECOND}" in seen.cmdline
        assert why in str(seen.state["why"])
        assert why in shop.reason(name)
        said = shop.rack.console(name).count(b"Kernel panic") - panics[name]
        assert said == (3 if version == DEAD else 0)
        shop.check_exact(name, UPDATED)
        shop.check_rows(name)


def test_back_to_the_release(shop: Shop) -> None:
    before = {name: shop.go(name, "rollback") for name in NAMES}
    for name in NAMES:
        seen = shop.rack.seen_when(name, "rolled-back", not_in=before[name].boot)
        assert f"edeploy={FIRST}" in seen.cmdline
        shop.check_exact(name, RELEASE)
        shop.check_rows(name)
        assert not events(shop.rack.box, name, "failed")


@pytest.fixture(scope="module")
def kept_kernel(versions: Store, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A version that needs no boot, with a hook that restarts the database."""
    work = tmp_path_factory.mktemp("roles")
    hook = work / "post"
    hook.write_text("#!/bin/sh\nexec systemctl restart mariadb\n")
    build_versions(versions, work, RELEASE, KEPT, Wishes(post=hook))


@pytest.mark.usefixtures("kept_kernel")
def test_to_the_updates_without_a_boot(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.come_to(RELEASE)
    starts = on_each(shop.rack.look)
    on_each(shop.write)
    with asked(shop.rack) as away, followed(shop.rack.box) as shown:
        on_each(lambda name: shop.node(name, "upgrade", KEPT, "--live"))
    with capsys.disabled():
        print()
        for name in NAMES:
            print(f"{name}, live: the database gave no answer for {away[name]}")
            print(f"{name}, at the server: {', '.join(shown[name])}")
    for name in NAMES:
        phases = (f"upgrading {phase} {KEPT}" for phase in ("stage", "apply"))
        check_in_turn(shown[name], *phases, "active")

    def go_back(name: str) -> None:
        shop.check_drift(name, KEPT)
        shop.check_database(name)
        shop.check_rows(name)
        assert "restart services" in shop.rack.ask(name, ["edeploy", "rollback"])
        shop.rack.ask(name, ["systemctl", "restart", "mariadb"])
        shop.check_exact(name, RELEASE)
        shop.check_rows(name)
        seen, before = shop.rack.look(name), starts[name]
        assert seen and before and seen.boot == before.boot

    on_each(go_back)


SEED = 22
ROUNDS = 5
LONGEST = 160.0
"""Seconds in which an upgrade, the start after it and its confirmation are over."""


def test_machines_killed_at_random_moments(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    # What a guest wrote is in the host's memory even when it did not flush; what is lost is what
    # the guest had in its own.
    chance = random.Random(f"{SEED} {shop.root}")  # noqa: S311
    for _ in range(ROUNDS):
        begun = on_each(shop.begin)
        moments = {
            name: each.at + chance.uniform(0, LONGEST) for name, each in sorted(begun.items())
        }
        phases = {}
        for name in sorted(NAMES, key=lambda name: moments[name]):
            time.sleep(max(0.0, moments[name] - time.monotonic()))
            seen = shop.rack.look(name)
            phases[name] = seen.state["phase"] if seen else "down"
            process = shop.rack.box.lab.folder.machine(name).qemu_pid
            os.kill(int(process.read_text()), signal.SIGKILL)
        for name in NAMES:
            shop.rack.box.power_on(name)

        def settle(name: str, begun: Mapping[str, Begun] = begun) -> str:
            runs = shop.settled(name, not_in=begun[name].boot)
            shop.check_exact(name, runs)
            shop.check_rows(name)
            return runs

        for name, runs in on_each(settle).items():
            with capsys.disabled():
                print(f"\n{name}: to {begun[name].goal}, killed while {phases[name]}: {runs} runs")


# The tree that runs is open to apt, as if it were the only one; no version is tried after this.
OPEN_TREE = """
mount -o remount,bind,rw /usr
"""
APT = """
export DEBIAN_FRONTEND=noninteractive
apt-get -q -y -o Dpkg::Options::=--force-confold install /root/new/*.deb
"""


def test_what_apt_takes_on_these_machines(
    shop: Shop, versions: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same packages by apt, all downloaded before, and a boot for the kernel."""
    shop.come_to(RELEASE)
    starts: dict[str, Seen | None] = {}
    old, new = (read_lock(versions.image(ROLE, each).lock) for each in (RELEASE, UPDATED))
    changed = [package for package in new.installed.values() if package not in old.packages]
    debs = [Pool(versions.pool).lay_out(package, tmp_path / "new") for package in changed]
    for name in NAMES:
        shop.rack.copy(name, debs, "/root/new")
    with asked(shop.rack) as away:
        for name in NAMES:
            shop.write(name)
            starts[name] = shop.rack.look(name)
            shop.rack.ask(name, ["sh", "-e"], stdin=OPEN_TREE + APT)
            shop.rack.ask(name, ["systemctl", "reboot"], check=False)
        for name, seen in starts.items():
            assert seen is not None
            shop.rack.seen_when(name, "idle", not_in=seen.boot)
    with capsys.disabled():
        print()
        for name in NAMES:
            print(f"{name}, apt and a boot: the database gave no answer for {away[name]}")
    wanted = next(package for package in changed if package.name == "mariadb-server").version
    for name in NAMES:
        query = ["dpkg-query", "-W", "-f", "${Version}", "mariadb-server"]
        assert shop.rack.ask(name, query) == wanted
        shop.check_rows(name)
