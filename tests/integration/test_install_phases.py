"""The install phases on a loop device, against a server of a few lines: real sfdisk, mkfs, tar."""

import hashlib
import json
import os
import shutil
import stat
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edeploy.errors import EdeployError
from edeploy.images import manifest, signature, trees
from edeploy.images.trees import NotTheImage
from edeploy.inventory.items import Item, Report
from edeploy.node.boot import settings
from edeploy.node.boot.disk import uuid_of
from edeploy.node.cmdline import Arguments
from edeploy.node.detect.disks import all_disks
from edeploy.node.detect.tree import Tree
from edeploy.node.http import Server, ServerRefused
from edeploy.node.install import grub, places
from edeploy.node.install.bootloader import bootloader, name_host, partition_of
from edeploy.node.install.configure import ConfigureFailed, configure
from edeploy.node.install.context import InstallContext, InstallJob, InstallStopped
from edeploy.node.install.disk import DiskInUse, NoDisk, fingerprint
from edeploy.node.install.fetch import FetchFailed, fetch
from edeploy.node.install.finish import finish
from edeploy.node.install.trust import NotTrusted
from edeploy.node.install.verify import verify
from edeploy.node.mounts import below, unmount_all
from edeploy.run import ProgramFailed, run

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="loop devices and mounts need root")

SECRET = "quite-secret-password"


@dataclass
class Desk:
    """What the server has and heard."""

    image: dict[str, object] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    plans: list[dict[str, object]] = field(default_factory=list)
    refuse_plans: bool = False
    on_plan: object = None
    cut_after: int = 0


class Told:
    """Tell, remembered; ends the install once `stop` is set."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.shares: list[tuple[int, int, str]] = []
        self.stop = False

    def progress(self, done: int, total: int, unit: str) -> None:
        self.shares.append((done, total, unit))
        if self.stop:
            raise InstallStopped("the server ended this install")

    def log(self, line: str) -> None:
        self.lines.append(line)

    say = log


def handler(desk: Desk) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def answer(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/v1/install/image":
                self.answer(200, json.dumps(desk.image).encode())
                return
            data = desk.files[path]
            begin = int(self.headers.get("Range", "bytes=0-")[len("bytes=") : -1])
            if desk.cut_after and not begin:
                # The server dies in the middle.
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.send_header("ETag", '"1"')
                self.end_headers()
                self.wfile.write(data[: desk.cut_after])
                self.close_connection = True
                return
            span = f"bytes {begin}-{len(data) - 1}/{len(data)}"
            status = 206 if begin else 200
            self.answer(status, data[begin:], ETag='"1"', Content_Range=span)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/v1/install/plan":
                desk.plans.append(body)
                if callable(desk.on_plan):
                    desk.on_plan()
                if desk.refuse_plans:
                    self.answer(409, b'{"error": "no such disk", "hint": "look"}')
                    return
            answer = {"call_home": "first-call"} if self.path == "/v1/install/finish" else {}
            self.answer(200, json.dumps(answer).encode())

    return Handler


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def server(desk: Desk) -> Iterator[Server]:
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler(desk))
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Server(f"http://127.0.0.1:{httpd.server_address[1]}")
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[str]:
    """A loop device of 2 GiB that reads partition tables."""
    file = tmp_path / "disk.raw"
    with open(file, "wb") as stream:
        stream.truncate(2 << 30)
    done = subprocess.run(
        ["losetup", "--find", "--show", "--partscan", file],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    yield done.stdout.strip()
    subprocess.run(["losetup", "--detach", done.stdout.strip()], check=True)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def context(
    tmp_path: Path, server: Server, told: Told, loop: str, published: Path
) -> Iterator[InstallContext]:
    job = InstallJob(
        session="session",
        machine="lab-1",
        profile="web",
        vars={"disk": loop, "hostname": "web-1", "ip": "192.0.2.5", "bmc-password": SECRET},
        configure="layout(var['disk'])\nset_role('web', '1.0')\n",
        fetch="http",
        on_success="reboot",
        on_failure="halt",
        kernel_arguments="",
        deadline=0.0,
    )
    hardware = Report((Item("system", "product", "name", "lab"),))
    made = InstallContext(job, server, Arguments(), hardware, told, root=tmp_path / "m/chroot")
    yield made
    made.undo.close()
    unmount_all(made.root)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small image: owners, times, hard links, xattrs, capabilities, ACLs, holes."""
    root = tmp_path / "image"
    for folder in ("etc", "usr/bin", "boot", "dev", "proc", "sys", "run", "a", "var/log"):
        (root / folder).mkdir(parents=True)
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
    (root / "etc/resolv.conf").symlink_to("/run/resolv.conf")
    (root / "usr/bin/ping").write_bytes(os.urandom(200_000))
    subprocess.run(["setcap", "cap_net_raw+ep", root / "usr/bin/ping"], check=True)
    os.link(root / "usr/bin/ping", root / "usr/bin/ping4")
    (root / "var/log/wtmp").write_bytes(b"")
    os.chown(root / "var/log/wtmp", 0, 43)
    os.chmod(root / "var/log/wtmp", 0o2664)
    subprocess.run(["setfacl", "-m", "u:1234:rx", root / "var/log"], check=True)
    (root / "a-b").write_text("sorts between a and a/c")
    (root / "a/c").write_text("c")
    with open(root / "a/holes", "wb") as stream:
        stream.truncate(4 << 20)
    os.mkfifo(root / "run/pipe")
    for version in ("6.1.0-9", "6.1.0-10"):
        (root / f"boot/vmlinuz-{version}-amd64").write_bytes(b"kernel")
        (root / f"boot/initrd.img-{version}-amd64").write_bytes(b"initrd")
    for path in [root, *root.rglob("*")]:
        os.utime(path, ns=(10**18, 10**18 + 123456789), follow_symlinks=False)
    return root


@pytest.fixture
def published(desk: Desk, tree: Path) -> Path:
    """The image on the server."""
    publish(desk, tree)
    return tree


def publish(desk: Desk, tree: Path, image: str = "web 1.0") -> None:
    words = ["tar", "-C", str(tree), "--sort=name", "--xattrs", "--xattrs-include=*", "--acls"]
    plain = subprocess.run(
        [*words, "--numeric-owner", "--sparse", "--format=posix", "-c", "."],
        check=True, capture_output=True,
    ).stdout  # fmt: skip
    archive = subprocess.run(["zstd", "-q"], input=plain, check=True, capture_output=True).stdout
    text = manifest.dump(trees.scan(tree), image)
    desk.files.update({"/images/a": archive, "/images/m": text})
    desk.image = {
        "archive": "/images/a",
        "archive_size": len(archive),
        "archive_sha256": hashlib.sha256(archive).hexdigest(),
        "manifest": "/images/m",
        "manifest_sha256": hashlib.sha256(text).hexdigest(),
        "rsync": None,
        "signature": None,
        "allow_unsigned": True,
    }


def script(context: InstallContext, source: str) -> None:
    object.__setattr__(context.job, "configure", source)


def device(loop: str) -> bytes:
    with open(loop, "rb") as stream:
        return stream.read(1 << 20)


class TestConfigure:
    @pytest.mark.parametrize("filesystem", ["ext4", "xfs"])
    def test_the_disk_is_laid_out(
        self, context: InstallContext, desk: Desk, loop: str, filesystem: str
    ) -> None:
        script(
            context,
            f"disk = layout(var['disk'], filesystem='{filesystem}', swap='128M', label='sys')\n"
            "print('disk', disk)\n"
            "config('/etc/fstab', 'a').write('tmpfs /tmp tmpfs\\n')\n"
            "config('etc/secret', fmod=0o600, uid=5, gid=6).write('%(ip)s' % var)\n"
            "grub_options('quiet splash')\n"
            "inject_facts({'disk': disk})\n"
            "set_role('web', '1.0')\n",
        )
        before = fingerprint(next(d for d in all_disks(Tree()) if d.path == loop))
        configure(context)
        (plan,) = desk.plans
        disks = plan["disks"]
        assert isinstance(disks, list)
        (disk,) = disks
        assert disk["path"] == disk["by_id"] == loop
        assert (disk["size"], disk["fingerprint"]) == (2 << 30, before)
        assert "new GPT" in str(plan["text"])
        assert (context.decisions.role, context.decisions.version) == ("web", "1.0")
        assert context.decisions.disk == loop
        assert context.decisions.kernel_arguments == ["quiet splash"]
        (mount,) = below(context.root)
        assert (mount.kind, mount.source) == (filesystem, f"{loop}p3")
        overlay = places.overlay(context.root)
        fstab = (overlay / "etc/fstab").read_text().splitlines()
        assert fstab[0].endswith("none swap sw 0 0")
        assert fstab[1].startswith(f"UUID={uuid_of(f'{loop}p3')} / {filesystem} ")
        assert fstab[2] == "tmpfs /tmp tmpfs"
        about = (overlay / "etc/secret").stat()
        assert (stat.S_IMODE(about.st_mode), about.st_uid, about.st_gid) == (0o600, 5, 6)
        assert (overlay / "etc/secret").read_text() == "192.0.2.5"
        facts = (overlay / "etc/facter/facts.d/edeploy.yaml").read_text()
        assert facts == f'"hw_disk": "{loop}"\n'
        assert not places.work(context.root).exists()
        context.undo.close()
        assert below(context.root) == []

    def test_again_from_the_start(self, context: InstallContext, desk: Desk) -> None:
        configure(context)
        (context.root / "left over").touch()
        configure(context)
        assert os.listdir(context.root) == ["lost+found"]
        assert len(desk.plans) == 2

    def test_kernel_arguments_choose_the_image(self, context: InstallContext) -> None:
        context.arguments = Arguments(role="other", version="2.0", installed="net.ifnames=0")
        object.__setattr__(context.job, "kernel_arguments", "nosmt")
        configure(context)
        assert (context.decisions.role, context.decisions.version) == ("other", "2.0")
        assert context.decisions.kernel_arguments == ["nosmt", "net.ifnames=0"]

    def test_a_refused_plan_writes_nothing(
        self, context: InstallContext, desk: Desk, loop: str
    ) -> None:
        desk.refuse_plans = True
        with pytest.raises(ServerRefused, match="no such disk"):
            configure(context)
        assert not any(device(loop))

    def test_a_disk_that_changes_meanwhile_is_left_alone(
        self, context: InstallContext, desk: Desk, loop: str
    ) -> None:
        def meddle() -> None:
            with open(loop, "r+b") as stream:
                stream.write(b"somebody's data")

        desk.on_plan = meddle
        with pytest.raises(EdeployError, match="has changed since"):
            configure(context)
        assert device(loop).startswith(b"somebody's data\0")

    def test_udev_cannot_read_the_table_again_before_the_mount(
        self,
        context: InstallContext,
        loop: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        # What udev does when a disk that was written is closed: every partition goes and comes.
        real = shutil.which("mount")
        fake = tmp_path / "bin/mount"
        fake.parent.mkdir()
        fake.write_text(f'#!/bin/sh\nflock -n {loop} partx --delete {loop}\nexec {real} "$@"\n')
        fake.chmod(0o755)
        monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
        configure(context)
        assert below(context.root)[0].source == f"{loop}p2"

    def test_a_disk_in_use_is_refused(
        self, context: InstallContext, desk: Desk, loop: str, tmp_path: Path
    ) -> None:
        subprocess.run(["mkfs.ext4", "-q", loop], check=True)
        (tmp_path / "mnt").mkdir()
        subprocess.run(["mount", loop, tmp_path / "mnt"], check=True)
        try:
            with pytest.raises(DiskInUse, match="is mounted on"):
                configure(context)
        finally:
            subprocess.run(["umount", tmp_path / "mnt"], check=True)
        assert desk.plans == []

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ("layout(var['dsk'])", "web.configure:1: there is no variable 'dsk'"),
            ("\nrun('echo oops >&2; exit 3')", "web.configure:2: echo oops"),
            ("run('echo oops; exit 3')", "exit status 3\n  | oops"),
            ("run(['false'])", "false: exit status 1"),
            ("run(['no-such-program'])", "no-such-program: No such file"),
            ("print 'python 2'", "web.configure:1: "),
            ("layout('nowhere')\nset_role('a', 'b')", "web.configure:1: no disk is 'nowhere'"),
            ("layout(var['disk'])\nlayout(var['disk'])", "web.configure:2: layout was called tw"),
            ("layout(var['disk'], filesystem='fat')", "web.configure:1: layout: filesystem='fat'"),
            ("layout(var['disk'])", "did not call set_role"),
            ("config('../../etc/passwd')", "web.configure:1: config: '../../etc/passwd' leads out"),
            ("def f():\n  return 1/0\nf()", "web.configure:2: ZeroDivisionError"),
            ("import sys; sys.exit(2)", "web.configure:1: the script ended with 2"),
            ("import os; os._exit(0)", "the script's process died"),
            ("set_role('web', '1.0', var['disk'])", "nothing is mounted on"),
            ("set_role('web', '1.0')", "nothing is mounted on"),
        ],
    )
    def test_what_goes_wrong_in_a_script(
        self, context: InstallContext, loop: str, source: str, message: str
    ) -> None:
        script(context, source)
        with pytest.raises(EdeployError) as caught:
            configure(context)
        assert message in caught.value.message
        assert not any(device(loop))

    def test_secrets_stay_out_of_the_log(self, context: InstallContext, told: Told) -> None:
        script(context, "run('echo ' + var['bmc-password'] + '; false')")
        with pytest.raises(ConfigureFailed) as caught:
            configure(context)
        assert SECRET not in f"{told.lines}{caught.value}"
        assert "***" in told.lines

    def test_a_script_that_partitions_by_hand(
        self, context: InstallContext, desk: Desk, loop: str
    ) -> None:
        script(
            context,
            "run('mkfs.ext4 -q %s' % var['disk'])\n"
            f"run(['mkdir', '-p', '{context.root}'])\n"
            f"run('mount %s {context.root}' % var['disk'])\n"
            "set_role('web', '1.0', var['disk'])\n",
        )
        configure(context)
        assert context.decisions.disk == loop
        (plan,) = desk.plans
        assert "makes its own partitions" in str(plan["text"])
        assert below(context.root)[0].source == loop

    def test_the_server_ends_an_install_while_a_script_runs(
        self, context: InstallContext, told: Told, tmp_path: Path
    ) -> None:
        told.stop = True
        script(context, f"run('sleep 1000; touch {tmp_path}/done')")
        with pytest.raises(InstallStopped):
            configure(context)
        assert not (tmp_path / "done").exists()


@pytest.fixture
def release(tmp_path: Path, context: InstallContext) -> Path:
    """The key whose owner this ramdisk's file of signers names."""
    key = tmp_path / "release"
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key])
    signers = tmp_path / "signers"
    signers.write_text(f"release@example {key.with_suffix('.pub').read_text()}")
    context.signers = signers
    return key


def sign_published(desk: Desk, folder: Path, key: Path) -> None:
    text, sig = folder / "manifest", folder / "sig"
    text.write_bytes(desk.files["/images/m"])
    signature.sign(text, sig, key)
    desk.files["/images/s"] = sig.read_bytes()
    desk.image["signature"] = "/images/s"
    desk.image["allow_unsigned"] = False


BY_HAND = "run('dd if=/dev/urandom bs=4096 count=1 of=' + var['disk'])\nset_role('web', '1.0')\n"


class TestTrust:
    """What nobody vouches for does not get as far as a disk."""

    def test_a_signed_image(
        self, context: InstallContext, desk: Desk, told: Told, release: Path, tmp_path: Path
    ) -> None:
        sign_published(desk, tmp_path, release)
        for phase in (configure, fetch, verify):
            phase(context)
        assert "web 1.0: signed by release@example" in told.lines

    def test_another_s_image_under_this_name(
        self, context: InstallContext, desk: Desk, tree: Path, release: Path, tmp_path: Path
    ) -> None:
        publish(desk, tree, "base 1.0")
        sign_published(desk, tmp_path, release)
        self.refused(context, desk, "signed, but for base 1.0")

    def test_an_altered_manifest(
        self, context: InstallContext, desk: Desk, release: Path, tmp_path: Path
    ) -> None:
        sign_published(desk, tmp_path, release)
        altered = desk.files["/images/m"].replace(b"mode=0600", b"mode=0666", 1) + b""
        desk.files["/images/m"] = altered.replace(b"uid=0", b"uid=1", 1)
        desk.image["manifest_sha256"] = hashlib.sha256(desk.files["/images/m"]).hexdigest()
        self.refused(context, desk, "is not for it")

    def test_an_unsigned_image(self, context: InstallContext, desk: Desk, release: Path) -> None:
        desk.image["allow_unsigned"] = False
        self.refused(context, desk, "web 1.0: it is not signed")

    def test_a_ramdisk_without_signers(
        self,
        context: InstallContext,
        desk: Desk,
        release: Path,
        tmp_path: Path,
    ) -> None:
        sign_published(desk, tmp_path, release)
        (tmp_path / "signers").unlink()
        self.refused(context, desk, "this ramdisk carries no signers")

    def test_unsigned_is_said_where_it_is_allowed(
        self, context: InstallContext, told: Told, release: Path
    ) -> None:
        configure(context)
        assert "web 1.0: it is not signed; the server's configuration allows that" in told.lines

    def refused(self, context: InstallContext, desk: Desk, why: str) -> None:
        """By a script that wishes for a layout, and by one that writes itself."""
        disk = context.job.vars["disk"]
        before = device(disk)
        for source in (context.job.configure, BY_HAND):
            script(context, source)
            with pytest.raises(EdeployError, match=why):
                configure(context)
        assert device(disk) == before and not desk.plans


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
    with socket_of_free_port() as port:
        pass
    child = subprocess.Popen(
        ["rsync", "--daemon", "--no-detach", f"--config={config}", "--address=127.0.0.1",
         f"--port={port}"],
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    yield f"rsync://127.0.0.1:{port}/install/"
    child.terminate()
    child.wait()


def socket_of_free_port() -> "PortHolder":
    return PortHolder()


class PortHolder:
    """A port that nobody else has just now."""

    def __enter__(self) -> int:
        import socket

        self.socket = socket.create_server(("127.0.0.1", 0))
        return int(self.socket.getsockname()[1])

    def __exit__(self, *_: object) -> None:
        self.socket.close()


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


@pytest.fixture
def bootable(tree: Path) -> Path:
    """The image with a shell, and a GRUB that writes down how it was called."""
    (tree / "bin").mkdir()
    shutil.copy("/bin/busybox", tree / "bin/busybox")
    (tree / "bin/sh").symlink_to("busybox")
    grub_install = tree / "bin/grub-install"
    grub_install.write_text(
        "#!/bin/sh\nset -e\nbusybox test -b /dev/loop0\nbusybox test -d /proc/self\n"
        'echo "$@" > /boot/called\n'
    )
    grub_install.chmod(0o755)
    (tree / "etc/default").mkdir()
    (tree / "etc/default/grub").write_text(
        'GRUB_DEFAULT=0\nGRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX=""\n'
    )
    (tree / "etc/os-release").write_text('PRETTY_NAME="Debian GNU/Linux 12"\n')
    return tree


class TestBootloader:
    def test_the_system_is_made_this_machines_own(
        self, context: InstallContext, desk: Desk, bootable: Path, loop: str
    ) -> None:
        publish(desk, bootable)
        script(
            context,
            "layout(var['disk'])\nset_role('web', '1.0')\n"
            "grub_options('console=ttyS1,115200 net.ifnames=0')\n"
            "config('/etc/resolv.conf').write('nameserver 192.0.2.1\\n')\n"
            "config('/etc/network/interfaces', fmod=0o600, uid=3).write('auto lo\\n')\n",
        )
        for phase in (configure, fetch, verify, bootloader, finish):
            phase(context)
        root = context.root
        assert (root / "boot/called").read_text() == (
            f"--target=i386-pc --boot-directory=/boot --install-modules=normal {loop}\n"
        )
        assert not (root / "etc/resolv.conf").is_symlink()
        assert not Path("/run/resolv.conf").exists()
        about = (root / "etc/network/interfaces").stat()
        assert (stat.S_IMODE(about.st_mode), about.st_uid) == (0o600, 3)
        assert (root / "etc/hostname").read_text() == "web-1\n"
        assert (root / "etc/hosts").read_text() == "127.0.0.1 localhost\n127.0.1.1 web-1\n"
        uuid = uuid_of(f"{loop}p2")
        config = (root / "boot/grub/grub.cfg").read_text()
        lines = [line.strip() for line in config.splitlines() if "vmlinuz" in line]
        own = "console=ttyS1,115200 net.ifnames=0 quiet"
        assert lines == [
            f"linux /boot/vmlinuz-6.1.0-10-amd64 root=UUID={uuid} ro {own}",
            f"linux /boot/vmlinuz-6.1.0-9-amd64 root=UUID={uuid} ro {own}",
        ]
        assert "serial --unit=1 --speed=115200" in config
        assert f"search --no-floppy --fs-uuid --set=root {uuid}" in config
        node = json.loads((root / "etc/edeploy/node.json").read_text())
        assert stat.S_IMODE((root / "etc/edeploy/node.json").stat().st_mode) == 0o600
        assert node == {
            "server": context.server.base,
            "machine": "lab-1",
            "call_home": "first-call",
            "role": "web",
            "version": "1.0",
            "profile": "web",
        }
        assert (root / "var/lib/edeploy/conf").read_text() == "VERS=1.0\nROLE=web\n"
        assert [path for path in below(root) if path.point != root] == []
        records = "".join(path.read_text() for path in (root / "var/log/edeploy").iterdir())
        assert SECRET not in records and "first-call" not in records

    def test_a_failing_grub_leaves_nothing_mounted(
        self, context: InstallContext, published: Path
    ) -> None:
        for phase in (configure, fetch, verify):
            phase(context)
        with pytest.raises(ProgramFailed, match="grub-install"):
            bootloader(context)
        assert [mount.point for mount in below(context.root)] == [context.root]

    def test_settings_of_grub_are_shell_that_says_the_same(self, tmp_path: Path) -> None:
        own = settings.kernel_arguments(['dyndbg="file x +p" a=$b'], "quiet console=ttyS0")
        (tmp_path / "grub").write_text(f"GRUB_CMDLINE_LINUX=base\n{grub.drop_in(own, '')}")
        done = subprocess.run(
            ["sh", "-c", '. "$0"; printf %s "$GRUB_CMDLINE_LINUX"', tmp_path / "grub"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout == 'base console=ttyS0 dyndbg="file x +p" a=$b'

    def test_partitions_of_a_disk(self, context: InstallContext, loop: str) -> None:
        configure(context)
        assert partition_of(f"{loop}p2") == (loop, 2)
        with pytest.raises(EdeployError, match="is no partition"):
            partition_of(loop)

    def test_a_host_name_of_its_own(self, tmp_path: Path) -> None:
        root = tmp_path / "m/chroot"
        (root / "etc").mkdir(parents=True)
        (places.overlay(root) / "etc").mkdir(parents=True)
        (places.overlay(root) / "etc/hostname").write_text("db.example.net\n")
        name_host(root, {"hostname": "other"})
        assert (root / "etc/hostname").read_text() == "db.example.net\n"
        assert "127.0.1.1 db.example.net db\n" in (root / "etc/hosts").read_text()


NAME = "web-1.0.1"
PIVOT = Path(__file__).parents[2] / "roles/base/files/usr/lib/edeploy/pivot"
PATHS = '{\n  "state": ["var", "home", "opt"],\n  "merged": ["etc"]\n}\n'
PARTITIONS = """run('printf ",400M\\\\n,200M\\\\n,100M\\\\n" | sfdisk -q LOOP; partx --update LOOP')
run('mkfs.ext4 -q LOOPp1; mkfs.ext4 -q LOOPp2; mkfs.ext4 -q LOOPp3')
set_role('web', '1.0', 'LOOP')
"""


@pytest.fixture
def versioned(desk: Desk, bootable: Path) -> Path:
    """An image that may be one of several versions of a machine."""
    for folder in ("usr/lib/edeploy", "home", "sysroot", "var/lib/dpkg/info", "var/www"):
        (bootable / folder).mkdir(parents=True)
    (bootable / "usr/lib/edeploy/paths.json").write_text(PATHS)
    (bootable / "var/lib/dpkg/status").write_text("Package: web\n")
    (bootable / "var/www/index.html").write_text("hello")
    publish(desk, bootable)
    return bootable


class TestVersions:
    """A new machine is the first version of itself."""

    PHASES = (configure, fetch, verify, bootloader, finish)

    def test_the_tree_lies_in_its_folder_and_state_beside_it(
        self, context: InstallContext, versioned: Path
    ) -> None:
        script(
            context,
            "layout(var['disk'])\nset_role('web', '1.0')\n"
            "config('/etc/fstab', 'a').write('tmpfs /tmp tmpfs\\n')\n"
            "config('/home/me/.ssh/authorized_keys').write('key')\n",
        )
        for phase in self.PHASES:
            phase(context)
        disk = context.root / "sysroot"
        tree = disk / "edeploy/deploy" / NAME
        assert sorted(os.listdir(disk)) == ["boot", "edeploy", "home", "lost+found", "var"]
        assert stat.S_IMODE((disk / "edeploy").stat().st_mode) == 0o700
        # What the machine has of its own is in the version's /etc, and in nothing else of it.
        wrong = {str(item.path) for item in trees.check(tree, trees.scan(versioned))}
        assert {path for path in wrong if path.partition("/")[0] != "etc"} == set()
        assert {"etc/fstab", "etc/hostname", "etc/edeploy"} < wrong
        entries = [entry for entry in trees.scan(versioned) if entry.path.startswith(b"etc/")]
        pristine = [entry._replace(path=entry.path[4:]) for entry in entries]
        base = disk / "edeploy/etc-base" / NAME
        assert [item for item in trees.check(base, pristine) if item.path != "."] == []
        # The machine's part has what the image brings, but the packages are the version's.
        assert (disk / "var/www/index.html").read_text() == "hello"
        assert os.listdir(disk / "var/lib/dpkg") == []
        assert (disk / "home/me/.ssh/authorized_keys").read_text() == "key"
        assert (disk / "var/lib/edeploy/conf").read_text() == "VERS=1.0\nROLE=web\n"
        shown = run(["getfacl", "-cpn", disk / "var/log"]).out
        assert "user:1234:r-x" in shown

    def test_own_files_among_those_of_the_image_are_warned_of(
        self, context: InstallContext, versioned: Path, told: Told
    ) -> None:
        script(
            context,
            "layout(var['disk'])\nset_role('web', '1.0')\n"
            "config('/usr/local/bin/mine', fmod=0o755).write('#!/bin/sh')\n"
            "config('/etc/mine').write('x')\n",
        )
        for phase in self.PHASES:
            phase(context)
        (warning,) = [line for line in told.lines if line.startswith("warning: ")]
        assert "/usr/local/bin/mine is of this version only" in warning

    def test_the_boot_loader_starts_it_by_name(
        self, context: InstallContext, versioned: Path, loop: str
    ) -> None:
        for phase in self.PHASES:
            phase(context)
        boot = context.root / "boot"
        assert (boot / "called").read_text().endswith(f"{loop}\n")
        uuid = uuid_of(f"{loop}p2")
        text = (boot / "grub/edeploy.cfg").read_text()
        assert f"linux /boot/edeploy/{NAME}/vmlinuz root=UUID={uuid} ro edeploy={NAME} " in text
        assert f"search --no-floppy --fs-uuid --set=root {uuid}" in text
        # GRUB cannot write to what is no partition of a disk, and loop devices have none in /sys.
        assert (boot / f"edeploy/{NAME}/initrd").read_bytes() == b"initrd"
        # The tree's own kernel, under a further name.
        kernel = context.root / f"sysroot/edeploy/deploy/{NAME}/boot/vmlinuz-6.1.0-10-amd64"
        assert kernel.samefile(context.root / f"sysroot/boot/edeploy/{NAME}/vmlinuz")
        state = json.loads((context.root / "sysroot/edeploy/state.json").read_text())
        assert (state["phase"], state["good"]) == ("idle", NAME)

    def test_a_signed_manifest_stays_with_its_signature(
        self, context: InstallContext, desk: Desk, versioned: Path, release: Path, tmp_path: Path
    ) -> None:
        sign_published(desk, tmp_path, release)
        for phase in self.PHASES:
            phase(context)
        kept = context.root / "sysroot/edeploy/manifests"
        assert (kept / NAME).read_bytes() == desk.files["/images/m"]
        assert (kept / f"{NAME}.sig").read_bytes() == desk.files["/images/s"]

    def test_nothing_of_it_stays_mounted(self, context: InstallContext, versioned: Path) -> None:
        for phase in self.PHASES:
            phase(context)
        assert len(below(context.root)) > 5
        context.undo.close()
        assert below(context.root) == []

    def test_file_systems_for_boot_and_state(
        self, context: InstallContext, versioned: Path, loop: str
    ) -> None:
        root = context.root
        script(
            context,
            PARTITIONS.replace("LOOP", loop)
            + f"run('mkdir -p {root}; mount {loop}p1 {root}; mkdir {root}/boot {root}/var')\n"
            f"run('mount {loop}p2 {root}/boot; mount {loop}p3 {root}/var')\n",
        )
        for phase in self.PHASES:
            phase(context)
        text = (root / "boot/grub/edeploy.cfg").read_text()
        assert f"linux /edeploy/{NAME}/vmlinuz root=UUID={uuid_of(f'{loop}p1')} ro" in text
        assert f"--set=root {uuid_of(f'{loop}p2')}" in text
        tree = root / "sysroot/edeploy/deploy" / NAME
        assert (tree / "boot/vmlinuz-6.1.0-10-amd64").read_bytes() == b"kernel"
        assert (tree / "var/lib/dpkg/status").is_file()
        assert (root / "var/www/index.html").is_file()

    def test_a_folder_of_the_image_that_is_a_file_system_of_its_own(
        self, context: InstallContext, versioned: Path, loop: str, told: Told
    ) -> None:
        root = context.root
        script(
            context,
            PARTITIONS.replace("LOOP", loop)
            + f"run('mkdir -p {root}; mount {loop}p1 {root}; mkdir {root}/usr')\n"
            f"run('mount {loop}p2 {root}/usr')\n",
        )
        for phase in self.PHASES:
            phase(context)
        assert any("/usr has file systems of its own" in line for line in told.lines)
        assert not (root / "edeploy").exists()
        assert "vmlinuz-6.1.0-10-amd64" in (root / "boot/grub/grub.cfg").read_text()

    def test_the_initramfs_makes_it_the_root(
        self, context: InstallContext, versioned: Path, loop: str, tmp_path: Path
    ) -> None:
        for phase in self.PHASES:
            phase(context)
        context.undo.close()
        assert start(tmp_path, f"{loop}p2", f"ro edeploy={NAME}", SHOW) == [
            "/usr ro", "/boot rw", "/home rw", "/var rw", "/var/lib/dpkg ro",
            "web-1", "Package: web", NAME, "/usr is not written to",
        ]  # fmt: skip
        # A version that is not there: the disk's own root.
        assert start(tmp_path, f"{loop}p2", "ro edeploy=web-2.0.1", "ls -d /edeploy\n") == []


SHOW = """
for place in /usr /boot /home /var /var/lib/dpkg; do
    while read -r _ point _ options _; do
        [ "$point" = "$place" ] && echo "$place ${options%%,*}"
    done </proc/mounts
done
cat /etc/hostname /var/lib/dpkg/status
ls /sysroot/edeploy/deploy
touch /var/x /etc/x /x && ! touch /usr/x && echo /usr is not written to
"""


def start(tmp_path: Path, device: str, cmdline: str, commands: str) -> list[str]:
    """What commands print in the root that the initramfs makes, as a kernel would start it."""
    small = tmp_path / "initramfs"
    shutil.rmtree(small, ignore_errors=True)
    for folder in ("bin", "proc", "root", "dev", "usr/lib/edeploy"):
        (small / folder).mkdir(parents=True)
    shutil.copy("/bin/busybox", small / "bin/busybox")
    for name in ("sh", "mount", "umount", "mkdir", "chroot"):
        (small / "bin" / name).symlink_to("busybox")
    shutil.copy(PIVOT, small / "usr/lib/edeploy/pivot")
    (small / "cmdline").write_text(f"{cmdline}\n")
    (small / "dev/kmsg").touch()
    names = "cat ls touch"
    (small / "commands").write_text(
        "".join(f'{name}() {{ busybox {name} "$@"; }}\n' for name in names.split()) + commands
    )
    steps = (
        f"mount --make-rprivate /; mount -o ro {device} {small}/root;"
        f" mount -t proc proc {small}/proc; mount --bind {small}/cmdline {small}/proc/cmdline;"
        f" chroot {small} /bin/sh /usr/lib/edeploy/pivot /root;"
        f" mount -t proc proc {small}/root/proc;"
        f" chroot {small}/root /bin/busybox sh < {small}/commands"
    )
    done = run(["unshare", "--mount", "sh", "-c", steps], check=False)
    return [line for line in done.out.splitlines() if line]


def test_a_hint_that_names_no_disk_touches_none(context: InstallContext, desk: Desk) -> None:
    object.__setattr__(context.job, "vars", {"disk": "/dev/disk/by-id/gone"})
    with pytest.raises((NoDisk, ConfigureFailed), match="no disk is"):
        configure(context)
    assert desk.plans == []
