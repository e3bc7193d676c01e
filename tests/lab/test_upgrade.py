"""From a release without updates to one with updates and another kernel, and back, with rows being
written: the whole way that a machine goes, on both firmwares and both file systems."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from doors import Keyed, Seen, keyed
from racks import SERIALS, events, wait_for
from versions import DEAD, LAME, RELEASE, ROLE, UPDATED, build_versions

from edeploy.images.store import Store
from edeploy.server.client import JsonObject
from edeploy.server.settings import StoreSettings

# An installation, and a start after each command, of emulated machines on a busy host.
pytestmark = pytest.mark.timeout(3600)

NAMES = sorted(SERIALS)
FIRST, SECOND = f"{ROLE}-{RELEASE}.1", f"{ROLE}-{UPDATED}.1"
EDIT = "/etc/mysql/mariadb.conf.d/60-edeploy.cnf"
# The database may come up later than ssh.
UP = "systemctl is-system-running --wait > /dev/null || true\n"
# A row a moment; what the database said yes to is noted after it did.
WRITER = """
cat > /root/writer <<'END'
#!/bin/sh
last=$(mariadb -N -e 'select coalesce(max(n), 0) from shop.orders') || exit 1
while true; do
	last=$((last + 1))
	mariadb -e "insert into shop.orders values ($last)" || exit 1
	echo $last > /root/noted.new && mv /root/noted.new /root/noted
done
END
chmod 755 /root/writer
[ -f /root/noted ] || echo 0 > /root/noted
mariadb -e 'create database if not exists shop;
	create table if not exists shop.orders (n int primary key) engine=innodb'
systemd-run --quiet --unit=writer --collect /root/writer
"""
COUNT = "mariadb -N -e 'select count(*), coalesce(max(n), 0) from shop.orders'; cat /root/noted"

RACKS = [
    pytest.param("ext4", id="bios-on-ext4"),
    pytest.param("xfs", id="bios-on-xfs", marks=pytest.mark.long),
]


@dataclass(frozen=True)
class Shop:
    """Two database servers whose rows somebody writes all the time."""

    rack: Keyed

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
        assert self.node(name, "version") == {"version": version}
        drift = self.node(name, "verify", check=False)
        assert drift["version"] == f"{ROLE}-{version}.1" and drift["drift"] == [], drift["drift"]
        database = self.rack.ask(name, ["dpkg-query", "-W", "-f", "${Version}", "mariadb-server"])
        image = self.rack.ask(name, ["mariadbd", "--version"])
        assert database.partition(":")[2].partition("-")[0] in image

    def go(self, name: str, *words: str) -> Seen:
        """Run this command that restarts the machine while rows are written; before that."""
        self.write(name)
        before, seen = self.noted(name), self.rack.look(name)
        assert seen is not None
        self.rack.ask(name, ["edeploy", *words])
        wait_for(self.rack.box, lambda _: self.noted(name) > before)
        self.rack.ask(name, ["systemctl", "reboot"], check=False)
        return seen

    def kernel(self, name: str) -> str:
        """The kernel that runs."""
        return self.rack.ask(name, ["uname", "-r"]).strip()


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(StoreSettings().path)
    build_versions(store, tmp_path_factory.mktemp("roles"), (RELEASE, UPDATED, LAME, DEAD))
    return store


@pytest.fixture(scope="module", params=RACKS)
def shop(request: pytest.FixtureRequest, versions: Store, place: Path) -> Iterator[Shop]:
    """Both machines with the release: BIOS with the root on ext4 and UEFI on xfs, or the other
    way."""
    with keyed(versions, place / request.param, request.param, ROLE, RELEASE) as rack:
        for name in NAMES:
            rack.seen_when(name, "idle")
        yield Shop(rack)


def test_to_the_updates_with_another_kernel(shop: Shop) -> None:
    old = {name: shop.kernel(name) for name in NAMES}
    for name in NAMES:
        shop.check_exact(name, RELEASE)
        shop.rack.ask(name, ["sh", "-c", f"'echo max_connections = 77 >> {EDIT}'"])
        foreseen = shop.node(name, "test-upgrade", UPDATED)
        assert "kernel" in str(foreseen["reboot"]) and not foreseen["etc_conflict"]
    before = {name: shop.go(name, "upgrade", UPDATED) for name in NAMES}
    for name in NAMES:
        seen = shop.rack.seen_when(name, "idle", not_in=before[name].boot)
        assert f"edeploy={SECOND}" in seen.cmdline
        assert (seen.state["good"], seen.state["before"]) == (SECOND, FIRST)
        assert shop.kernel(name) != old[name]
        shop.check_exact(name, UPDATED)
        shop.check_rows(name)
        limit = ["mariadb", "-N", "-e", "'select @@max_connections'"]
        assert shop.rack.ask(name, limit).strip() == "77"
        # The image's own change of /etc came.
        pin = ["ls", "/etc/apt/preferences.d/no-updates"]
        assert not shop.rack.ask(name, pin, check=False)


@pytest.mark.long
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
