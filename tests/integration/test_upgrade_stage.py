"""A second version beside the first, on real file systems, from a real server with rsync."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from serving import Server, free_port, make_profiles

from edeploy.errors import EdeployError
from edeploy.images import archive, manifest, signature, trees
from edeploy.images.edges.folder import edge_folder
from edeploy.images.edges.make import Wishes, make_edge
from edeploy.images.signature import BadSignature
from edeploy.images.store import Record, Store, record_text
from edeploy.node.http import Retry
from edeploy.node.http import Server as Http
from edeploy.node.upgrade import source, stage
from edeploy.node.upgrade.etc import EtcConflict
from edeploy.node.upgrade.places import Places
from edeploy.node.upgrade.sharing import Sharing, sharing_of
from edeploy.node.upgrade.source import NotTrusted
from edeploy.node.upgrade.stage import Current, Job, NoSpace, Staged

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners, loop devices and mounts")

VERSIONS: dict[str, dict[str, bytes]] = {
    "1.0": {
        "usr/bin/tool": b"tool 1\n" * 5000,
        "usr/bin/same": b"same\n" * 9000,
        "usr/lib/modules/6.1.0-50-amd64/a.ko": b"module\n" * 4000,
        "usr/share/gone": b"gone",
        "etc/app.conf": b"default 1\n",
        "etc/passwd": b"root:x:0:0::/root:/bin/sh\nold:x:101:101::/:/bin/sh\n",
        "etc/other.conf": b"other\n",
        "var/lib/app/seed": b"seed",
    },
    "1.1": {
        "usr/bin/tool": b"tool 1\n" * 4000 + b"tool 1.1\n" * 900,
        "usr/bin/same": b"same\n" * 9000,
        "usr/lib/modules/6.1.0-56-amd64/a.ko": b"module\n" * 3999 + b"changed\n",
        "etc/app.conf": b"default 1.1\n",
        "etc/passwd": b"root:x:0:0::/root:/bin/sh\nnew:x:102:102::/:/bin/sh\n",
        "etc/other.conf": b"other\n",
        "var/lib/app/seed": b"seed",
    },
}


@dataclass
class House:
    """A store with its server, and a machine's root file system."""

    store: Store
    http: Http
    places: Places
    signers: Path
    lines: list[str]
    server: Server

    def say(self, line: str) -> None:
        self.lines.append(line)

    def progress(self, done: int, total: int, unit: str) -> None:
        assert 0 <= done <= total, unit

    def current(self) -> Current:
        name = "web-1.0.1"
        return Current(
            name=name,
            role="web",
            version="1.0",
            root=self.places.tree(name),
            pristine_etc=self.places.etc_base(name),
            etc=self.places.tree(name) / "etc",
            manifest=self.places.manifest(name).read_bytes(),
            sharing=sharing_of(self.places.top),
        )

    def job(self, version: str = "1.1") -> Job:
        edges = stage.find_way(self.http, "web", "1.0", version)
        wanted = source.offer(self.http, "web", version)
        return Job(self.places, self.http, self.current(), wanted, edges, self.signers, self)

    def stage(self, version: str = "1.1") -> Staged:
        return stage.stage(self.job(version), self.places.new_name("web", version))

    def tree(self, name: str = "web-1.1.1") -> Path:
        return self.places.tree(name)

    def exact(self, name: str = "web-1.1.1") -> bool:
        """The whole tree but /etc, and the pristine /etc, against the manifest."""
        entries = manifest.parse(self.places.manifest(name).read_bytes())
        found = trees.check(self.tree(name), entries)
        ours = {"etc", "etc/app.conf", "etc/passwd", "etc/mine", "etc/other.conf"}
        for entry in entries:
            path = entry.path.decode()
            if entry.type == "file" and path.startswith("etc/"):
                kept = self.places.etc_base(name) / path[4:]
                assert hashlib.sha256(kept.read_bytes()).hexdigest() == entry.sha256
        return not {difference.path for difference in found} - ours


def publish(store: Store, version: str, content: dict[str, bytes]) -> None:
    image = store.place("web", version)
    image.tree.mkdir(parents=True)
    for name, data in content.items():
        path = image.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    os.link(image.tree / "usr/bin/tool", image.tree / "usr/bin/tool2")
    (image.tree / "usr/bin/link").symlink_to("tool")
    (image.tree / "usr/bin/tool").chmod(0o4755)
    subprocess.run(["setcap", "cap_net_raw+ep", image.tree / "usr/bin/same"], check=True)
    (image.tree / "etc/passwd").chmod(0o644)
    for path in (image.tree, *image.tree.rglob("*")):
        os.utime(path, ns=(10**18, 10**18), follow_symlinks=False)
    enter(store, version)


def enter(store: Store, version: str) -> None:
    """Make an image of the tree that lies at the place of this version of `web`."""
    image = store.place("web", version)
    text = manifest.dump(trees.scan(image.tree, workers=1), str(image))
    image.manifest.write_bytes(text)
    image.packages.write_text(f"web\t{version}\tall\n")
    archive.pack(image.tree, image.archive)
    size = image.archive.stat().st_size
    digests = archive.sha256_of(image.archive), hashlib.sha256(text).hexdigest()
    image.record_file.write_text(record_text(Record("0" * 64, 1, 1, size, *digests, 1.0)))


EVERY_DISK = pytest.mark.parametrize("disk", ["ext4", "xfs", "btrfs"], indirect=True)


@pytest.fixture
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, ext4 unless a test says otherwise."""
    kind = getattr(request, "param", "ext4")
    file, point = tmp_path / "disk", tmp_path / "root"
    with open(file, "wb") as stream:
        stream.truncate(400 << 20)
    subprocess.run([f"mkfs.{kind}", "-q", file], check=True)
    point.mkdir()
    subprocess.run(["mount", "-o", "loop", file, point], check=True)
    yield point
    subprocess.run(["umount", point], check=True)


@pytest.fixture
def house(tmp_path: Path, disk: Path) -> Iterator[House]:
    store = Store(tmp_path / "store")
    for version, content in VERSIONS.items():
        publish(store, version, content)
    places = Places(disk)
    for folder in ("deploy", "manifests", "etc-base"):
        (places.top / folder).mkdir(parents=True)
    image = store.image("web", "1.0")
    subprocess.run(["cp", "-a", image.tree, places.tree("web-1.0.1")], check=True)
    subprocess.run(["cp", "-a", image.tree / "etc", places.etc_base("web-1.0.1")], check=True)
    shutil.copyfile(image.manifest, places.manifest("web-1.0.1"))
    server = serve(store, tmp_path)
    try:
        http = Http(server.url, retry=Retry(0.05, 0.2, 5.0))
        yield House(store, http, places, tmp_path / "signers", [], server)
    finally:
        if server.process is not None:
            server.stop()


def serve(store: Store, folder: Path) -> Server:
    """`edeploy serve` with its rsync daemon."""
    ramdisk = store.ramdisk_place("cloud")
    ramdisk.folder.mkdir(parents=True)
    for file in (ramdisk.kernel, ramdisk.initrd):
        file.write_bytes(b"bytes")
    make_profiles(folder / "profiles")
    server = Server(folder, free_port())
    server.config.write_text(
        f'[server]\naddress = "127.0.0.1"\nport = {server.port}\n'
        'socket = "api.sock"\nstate_dir = "state"\n'
        f'[store]\npath = "{store.root}"\n[profiles]\npath = "profiles"\n'
        f"[rsync]\nport = {free_port()}\n[images]\nallow_unsigned = true\n"
        '[boot]\nkernel = "cloud"\n[health]\nnetwork = false\n'
    )
    return server.start()


class TestByPack:
    """With an edge between the versions."""

    @EVERY_DISK
    def test_the_new_version_is_exact_and_shares_what_is_equal(self, house: House) -> None:
        make_edge(house.store, "web", "1.0", "1.1", Wishes())
        staged = house.stage()
        assert staged.name == "web-1.1.1" and house.exact()
        pack = edge_folder(house.store.root, "web", "1.0", "1.1") / "pack"
        assert 0 < staged.received <= pack.stat().st_size
        assert staged.ways == ["pack: 4 new contents, 3 shared, 0 copied"]
        assert list(stage.versions(house.places)) == ["web-1.0.1", "web-1.1.1"]
        assert not house.places.stage("web-1.1.1").exists()
        if sharing_of(house.places.top) is Sharing.LINK:
            same = [house.tree(name) / "usr/bin/same" for name in ("web-1.0.1", "web-1.1.1")]
            assert same[0].stat().st_ino == same[1].stat().st_ino
        old = manifest.parse(house.current().manifest)
        assert not trees.check(house.tree("web-1.0.1"), old)

    def test_again_after_it_was_killed_and_with_what_was_downloaded(self, house: House) -> None:
        make_edge(house.store, "web", "1.0", "1.1", Wishes())
        work = house.places.stage("web-1.1.1")
        (work / "tree/usr").mkdir(parents=True)
        (work / "tree/usr/junk").write_bytes(b"half a file")
        other = house.places.stage("web-9.1")
        other.mkdir()
        staged = house.stage()
        assert house.exact() and not other.exists() and staged.received > 0

    @EVERY_DISK
    def test_a_file_that_somebody_edited_comes_by_rsync(self, house: House) -> None:
        make_edge(house.store, "web", "1.0", "1.1", Wishes())
        with open(house.tree("web-1.0.1") / "usr/bin/same", "r+b") as stream:
            stream.write(b"EDIT")
        (house.tree("web-1.0.1") / "usr/lib/modules/6.1.0-50-amd64/a.ko").write_bytes(b"other")
        staged = house.stage()
        assert house.exact()
        assert [way for way in staged.ways if way.startswith("rsync")]
        assert any("usr/lib/modules/6.1.0-56-amd64/a.ko" in line for line in house.lines)
        # The old one is as it was left.
        assert (house.tree("web-1.0.1") / "usr/bin/same").read_bytes().startswith(b"EDIT")

    def test_a_pack_that_was_altered(self, house: House) -> None:
        make_edge(house.store, "web", "1.0", "1.1", Wishes())
        pack = edge_folder(house.store.root, "web", "1.0", "1.1") / "pack"
        data = bytearray(pack.read_bytes())
        data[-3] ^= 0xFF
        pack.write_bytes(data)
        assert any(way.startswith("rsync") for way in house.stage().ways)
        assert house.exact()

    def test_over_two_edges(self, house: House) -> None:
        publish(house.store, "1.2", {**VERSIONS["1.1"], "usr/bin/tool": b"tool 1.2\n" * 5000})
        make_edge(house.store, "web", "1.0", "1.1", Wishes())
        make_edge(house.store, "web", "1.1", "1.2", Wishes())
        assert house.stage("1.2").name == "web-1.2.1"
        assert house.exact("web-1.2.1")

    def test_an_edge_of_another_role_under_this_name(self, house: House) -> None:
        make_edge(house.store, "web", "1.0", "1.1", Wishes())
        make_edge(house.store, "web", "1.1", "1.0", Wishes())
        there = edge_folder(house.store.root, "web", "1.0", "1.1")
        back = edge_folder(house.store.root, "web", "1.1", "1.0")
        shutil.copyfile(back / "pack", there / "pack")
        with pytest.raises(EdeployError, match="is for web 1.1 to 1.0"):
            house.stage()
        assert list(stage.versions(house.places)) == ["web-1.0.1"]


class TestWithoutPack:
    """No edge leads there."""

    @EVERY_DISK
    def test_by_rsync(self, house: House) -> None:
        old = manifest.parse(house.current().manifest)
        assert house.stage().ways[0] == "no edge leads there: 3 shared, 0 copied"
        assert house.exact()
        # Told against the old files, which nobody wrote to.
        assert not trees.check(house.tree("web-1.0.1"), old)

    def test_by_the_whole_archive(self, house: House) -> None:
        house.server.stop()
        settings = house.server.config.read_text()
        house.server.config.write_text(settings.replace("[rsync]", "[rsync]\nenabled = false"))
        house.server.start()
        assert house.stage().ways[0].startswith("the whole archive")
        assert house.exact()

    def test_an_unknown_version(self, house: House) -> None:
        with pytest.raises(source.UnknownVersion, match=r"no web 7; versions: 1\.0, 1\.1"):
            house.stage("7")


class TestEtc:
    """What this machine's /etc becomes."""

    def etc(self, house: House) -> Path:
        return house.tree("web-1.0.1") / "etc"

    def test_local_edits_survive_and_overlaps_are_told(self, house: House) -> None:
        etc = self.etc(house)
        (etc / "app.conf").write_bytes(b"mine\n")
        (etc / "mine").write_bytes(b"only here")
        (etc / "mine").chmod(0o600)
        (etc / "other.conf").unlink()
        with open(etc / "passwd", "ab") as stream:
            stream.write(b"me:x:1000:1000::/home/me:/bin/sh\n")
        merged = house.stage().merge
        assert merged.overlaps == [b"app.conf"]
        assert merged.kept == [b"mine", b"other.conf"] and merged.merged == [b"passwd"]
        new = house.tree() / "etc"
        assert (new / "app.conf").read_bytes() == b"mine\n"
        assert (new / "mine").stat().st_mode & 0o777 == 0o600
        assert not (new / "other.conf").exists()
        users = [line.split(":")[0] for line in (new / "passwd").read_text().splitlines()]
        assert users == ["root", "new", "me"]
        assert house.exact()

    def test_an_untouched_file_follows_the_new_default(self, house: House) -> None:
        house.stage()
        assert (house.tree() / "etc/app.conf").read_bytes() == b"default 1.1\n"

    def test_a_folder_against_a_file_stops_it(self, house: House) -> None:
        (self.etc(house) / "app.conf").unlink()
        (self.etc(house) / "app.conf").mkdir()
        with pytest.raises(EtcConflict, match="/etc/app.conf"):
            house.stage()
        assert list(stage.versions(house.places)) == ["web-1.0.1"]


class TestTrust:
    """What nobody vouches for does not become a version."""

    def key(self, house: House, folder: Path) -> Path:
        key = folder / "key"
        subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", key], check=True)
        house.signers.write_text(f"release {(folder / 'key.pub').read_text()}")
        return key

    def test_signed(self, house: House, tmp_path: Path) -> None:
        image = house.store.image("web", "1.1")
        signature.sign(image.manifest, image.signature, self.key(house, tmp_path))
        make_edge(house.store, "web", "1.0", "1.1", Wishes())
        house.stage()
        assert house.exact()
        assert house.places.manifest("web-1.1.1.sig").read_bytes() == image.signature.read_bytes()

    def test_unsigned_or_altered(self, house: House, tmp_path: Path) -> None:
        key = self.key(house, tmp_path)
        make_edge(house.store, "web", "1.0", "1.1", Wishes())
        with pytest.raises(NotTrusted, match="not signed"):
            house.stage()
        image = house.store.image("web", "1.1")
        signature.sign(house.store.image("web", "1.0").manifest, image.signature, key)
        with pytest.raises(BadSignature):
            house.stage()
        assert list(stage.versions(house.places)) == ["web-1.0.1"]

    @pytest.mark.parametrize("by_pack", [True, False])
    def test_signed_and_altered_afterwards(
        self, house: House, tmp_path: Path, by_pack: bool
    ) -> None:
        image = house.store.image("web", "1.1")
        signature.sign(image.manifest, image.signature, self.key(house, tmp_path))
        text = image.manifest.read_bytes()
        image.manifest.write_bytes(text.replace(b"mode=0644", b"mode=4755", 1))
        if by_pack:
            make_edge(house.store, "web", "1.0", "1.1", Wishes())
        with pytest.raises(EdeployError, match="signature|SHA-256"):
            house.stage()
        assert list(stage.versions(house.places)) == ["web-1.0.1"]
        assert not house.tree().exists()


def test_no_space(house: House) -> None:
    publish(house.store, "1.2", {**VERSIONS["1.1"], "usr/big": os.urandom(90_000_000)})
    make_edge(house.store, "web", "1.0", "1.2", Wishes())
    free = os.statvfs(house.places.top)
    filler = house.places.root / "filler"
    left = 60_000_000
    os.close(os.open(filler, os.O_CREAT))
    subprocess.run(
        ["fallocate", "-l", str(free.f_bavail * free.f_frsize - left), filler], check=True
    )
    with pytest.raises(NoSpace, match="MB are free"):
        house.stage("1.2")
    assert list(stage.versions(house.places)) == ["web-1.0.1"]


def test_a_server_that_vanishes(house: House) -> None:
    make_edge(house.store, "web", "1.0", "1.1", Wishes())
    job = house.job()
    house.server.kill()
    with pytest.raises(EdeployError, match="gave up"):
        stage.stage(job, "web-1.1.1")
    assert list(stage.versions(house.places)) == ["web-1.0.1"]
