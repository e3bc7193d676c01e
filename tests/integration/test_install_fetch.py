"""The phases `fetch` and `verify` on a loop device: real tar, zstd and rsync."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from install_desk import Desk, Told, publish, script
from serving import free_port

from edeploy.images import trees
from edeploy.images.trees import NotTheImage
from edeploy.node.install.configure import configure
from edeploy.node.install.context import InstallContext, InstallStopped
from edeploy.node.install.fetch import FetchFailed, fetch
from edeploy.node.install.trust import NotTrusted
from edeploy.node.install.verify import verify
from edeploy.node.mounts import below
from edeploy.run import ProgramFailed

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="loop devices and mounts need root")
pytest_plugins = ["installing"]


class TestFetchAndVerify:
    def test_all_of_an_image_arrives(
        self, context: InstallContext, published: Path, told: Told
    ) -> None:
        for phase in (configure, fetch, verify):
            phase(context)
        assert trees.check(context.root, trees.scan(published)) == []
        caps = subprocess.run(
            ["getcap", context.root / "usr/bin/ping4"], capture_output=True, text=True, check=True
        )
        assert "cap_net_raw=ep" in caps.stdout
        sizes = [share for share in told.shares if share[2] == "bytes" and share[1]]
        assert sizes[-1][0] == sizes[-1][1] > 0

    def test_goes_on_after_the_connection_broke(
        self, context: InstallContext, desk: Desk, published: Path
    ) -> None:
        desk.cut_after = 100_000
        for phase in (configure, fetch, verify):
            phase(context)

    @pytest.mark.parametrize("place", [10, -1])
    def test_a_damaged_archive_is_refused(
        self, context: InstallContext, desk: Desk, published: Path, place: int
    ) -> None:
        data = bytearray(desk.files["/images/a"])
        data[place] ^= 0xFF
        desk.files["/images/a"] = bytes(data)
        configure(context)
        with pytest.raises(FetchFailed, match="/images/a: SHA-256"):
            fetch(context)

    def test_tar_may_give_up_long_before_the_end(
        self, context: InstallContext, desk: Desk, published: Path
    ) -> None:
        plain = subprocess.run(
            ["zstd", "-dc"], input=desk.files["/images/a"], capture_output=True, check=True
        ).stdout
        # A block of zeros where a header should be ends tar, with more to come than pipes hold.
        damaged = plain[:512] + bytes(512) + os.urandom(16 << 20)
        desk.files["/images/a"] = subprocess.run(
            ["zstd", "-qc"], input=damaged, capture_output=True, check=True
        ).stdout
        configure(context)
        with pytest.raises(FetchFailed, match="/images/a: SHA-256"):
            fetch(context)

    def test_an_archive_that_is_cut_off(
        self, context: InstallContext, desk: Desk, published: Path
    ) -> None:
        desk.files["/images/a"] = desk.files["/images/a"][:150_000]
        configure(context)
        with pytest.raises(FetchFailed, match="/images/a: SHA-256"):
            fetch(context)

    def test_a_full_disk(self, context: InstallContext, desk: Desk, tree: Path) -> None:
        (tree / "big").write_bytes(os.urandom(1 << 20) * 400)
        publish(desk, tree)
        script(context, "layout(var['disk'], root='256M')\nset_role('web', '1.0')\n")
        configure(context)
        with pytest.raises(ProgramFailed, match="(?s)tar .*No space left"):
            fetch(context)

    def test_a_changed_byte_is_found_and_named(
        self, context: InstallContext, published: Path
    ) -> None:
        configure(context)
        fetch(context)
        path = context.root / "usr/bin/ping"
        about = path.stat()
        with open(path, "r+b") as stream:
            stream.seek(1000)
            stream.write(b"x!")
        os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
        with pytest.raises(NotTheImage, match=r"usr/bin/ping: content differs") as caught:
            verify(context)
        assert "web 1.0" in caught.value.message

    def test_many_differences_are_cut(self, context: InstallContext, published: Path) -> None:
        configure(context)
        fetch(context)
        for number in range(50):
            (context.root / f"a/{number:02}").touch()
        with pytest.raises(NotTheImage, match="51 differences") as caught:
            verify(context)
        assert "a/18: is not" in caught.value.message
        assert "a/19" not in caught.value.message
        assert "and 31 more" in caught.value.message

    def test_a_manifest_that_is_not_the_announced(
        self, context: InstallContext, desk: Desk, published: Path
    ) -> None:
        desk.files["/images/m"] += b"\n"
        with pytest.raises(NotTrusted, match="/images/m: SHA-256"):
            configure(context)
        assert not desk.plans

    def test_mounts_below_the_root_are_allowed_for(
        self, context: InstallContext, published: Path, tmp_path: Path, loop: str
    ) -> None:
        script(
            context,
            f"run('''sfdisk -q {loop} <<E\n,400M\n,100M\n,100M\nE\n'''.replace('\\\\n', chr(10)))\n"
            f"run('partx --update {loop}')\n"
            f"run('mkfs.ext4 -q {loop}p1; mkfs.ext4 -q {loop}p2; mkfs.ext4 -q {loop}p3')\n"
            f"run('mkdir -p {context.root}; mount {loop}p1 {context.root}')\n"
            f"run('mkdir -p {context.root}/boot {context.root}/srv/data')\n"
            f"run('mount {loop}p2 {context.root}/boot; mount {loop}p3 {context.root}/srv/data')\n"
            f"set_role('web', '1.0', '{loop}')\n",
        )
        for phase in (configure, fetch, verify):
            phase(context)
        assert len(below(context.root)) == 3

    def test_the_server_ends_an_install_while_it_fetches(
        self, context: InstallContext, published: Path, told: Told
    ) -> None:
        configure(context)
        told.stop = True
        with pytest.raises(InstallStopped):
            fetch(context)
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        names = [Path(f"/proc/{child}/comm").read_text().strip() for child in children]
        assert not {"zstd", "tar"} & set(names)


@pytest.fixture
def daemon(tmp_path: Path, published: Path) -> Iterator[str]:
    """rsync's daemon with the image as module `install`."""
    config = tmp_path / "rsyncd.conf"
    config.write_text(
        f"use chroot = no\nuid = 0\ngid = 0\npid file = {tmp_path}/rsyncd.pid\n"
        f"[install]\npath = {published}\nread only = yes\n"
    )
    port = free_port()
    child = subprocess.Popen(
        ["rsync", "--daemon", "--no-detach", f"--config={config}", "--address=127.0.0.1",
         f"--port={port}"],
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    yield f"rsync://127.0.0.1:{port}/install/"
    child.terminate()
    child.wait()


class TestRsync:
    def test_all_of_an_image_arrives(
        self, context: InstallContext, desk: Desk, daemon: str
    ) -> None:
        # The daemon may need a moment: the phase itself tries until it is there.
        desk.image["rsync"] = daemon
        object.__setattr__(context.job, "fetch", "rsync")
        configure(context)
        (context.root / "extra").write_text("not of the image")
        for phase in (fetch, verify):
            phase(context)

    def test_a_path_that_the_daemon_does_not_have(
        self, context: InstallContext, desk: Desk, daemon: str
    ) -> None:
        desk.image["rsync"] = f"{daemon}nowhere/"
        object.__setattr__(context.job, "fetch", "rsync")
        configure(context)
        with pytest.raises(FetchFailed, match="exit status 23"):
            fetch(context)
