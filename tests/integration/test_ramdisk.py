"""The ramdisk is built as it ships, unpacked, and tried out in its own tree."""

import hashlib
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edeploy import __version__
from edeploy.cli.ramdisk import SHIPPED
from edeploy.errors import EdeployError
from edeploy.images import ramdisk, signature
from edeploy.images.ramdisk import Built, build_ramdisk
from edeploy.images.ramdisk_recipe import load_recipe
from edeploy.images.ramdisk_tools import LOADER, MARK
from edeploy.images.store import Store
from edeploy.node.bench.tools import fetch_tools
from edeploy.node.http import Server
from edeploy.run import run

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="unpacking packages needs root")

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKx me@desk"
WANTED_BYTES = 50_000_000
# What phases and probes call, and what an operator expects in a configure script or a shell.
PROGRAMS = (
    "awk blkid chroot dmidecode e2fsck efibootmgr ethtool grep ip kexec lsblk mkfs.ext4 mkfs.vfat "
    "mkfs.xfs mkswap modprobe mount partx ps python3 rsync sed sfdisk sgdisk sh smartctl tar "
    "udevadm udhcpc umount vi wipefs xfs_repair zstd"
).split()


@dataclass(frozen=True)
class Made:
    built: Built
    store: Store
    root: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("ramdisk")
    key = folder / "id.pub"
    key.write_text(KEY)
    store = Store(folder / "store")
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "release"])
    signers = folder / "signers"
    signers.write_text(f"release@example {(folder / 'release.pub').read_text()}")
    built = build_ramdisk(SHIPPED, "cloud", store, ssh_key=key, signers=signers)
    root = folder / "root"
    root.mkdir()
    with subprocess.Popen(["zstd", "-dc", built.ramdisk.initrd], stdout=subprocess.PIPE) as zstd:
        subprocess.run(["cpio", "-idm", "--quiet"], cwd=root, stdin=zstd.stdout, check=True)
    return Made(built, store, root)


def is_there(made: Made, program: str) -> bool:
    places = [made.root / "usr" / folder / program for folder in ("bin", "sbin")]
    return any(place.exists() or place.is_symlink() for place in places)


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def test_it_is_small(made: Made) -> None:
    assert made.built.size == made.built.ramdisk.initrd.stat().st_size
    assert made.built.tools == made.built.ramdisk.tools.stat().st_size
    assert made.built.size + made.built.tools < WANTED_BYTES
    assert made.built.ramdisk.kernel.stat().st_size > 1_000_000


def test_it_is_reused_until_an_input_changes(made: Made) -> None:
    key = made.store.root.parent / "id.pub"
    signers = key.with_name("signers")
    again = build_ramdisk(SHIPPED, "cloud", made.store, ssh_key=key, signers=signers)
    assert again.reused
    assert again.size == made.built.size
    assert made.store.ramdisk("cloud").initrd == made.built.ramdisk.initrd
    inputs = [
        ramdisk.digest_of_inputs(SHIPPED, kernel, (text, allowed), [])
        for kernel in ("cloud", "generic")
        for text in ("", KEY)
        for allowed in (b"", b"me@desk " + KEY.encode())
    ]
    assert len(set(inputs)) == 8


def test_it_tells_a_signed_manifest_from_an_altered_one(made: Made) -> None:
    text, sig = made.root / "tmp/manifest", made.root / "tmp/sig"
    text.write_bytes(b"#edeploy-manifest 1\n#image web 1.0.0\n")
    signature.sign(text, sig, made.store.root.parent / "release")
    check = (
        "import sys; sys.path.insert(0, '/usr/lib/edeploy')\n"
        "from pathlib import Path\n"
        "from edeploy.images.signature import SIGNERS, check\n"
        "read = Path('/tmp/manifest').read_bytes(), 'web 1.0.0', Path('/tmp/sig').read_bytes()\n"
        "print(check(*read, SIGNERS))"
    )
    argv: list[str | Path] = ["chroot", made.root, "/usr/bin/python3", "-c", check]
    null = made.root / "dev/null"
    null.touch()
    assert run(argv).out == "release@example\n"
    text.write_bytes(text.read_bytes().replace(b"1.0.0", b"1.0.1"))
    assert "BadSignature" in run(argv, check=False).err
    for file in (text, sig, null):
        file.unlink()


def test_nothing_is_left_beside_it(made: Made) -> None:
    folder = made.store.root / "ramdisk"
    names = {path.name for path in folder.iterdir()} - {".lock", "cloud"}
    assert names == {(folder / "cloud").readlink().name}
    assert {path.name for path in (folder / "cloud").iterdir()} == {
        "vmlinuz", "initrd", "inputs", "tools", "unpacked",
    }  # fmt: skip


def test_a_failed_build_leaves_the_old_one(made: Made, tmp_path: Path) -> None:
    recipe = (SHIPPED / "ramdisk.yaml").read_text()
    (tmp_path / "ramdisk.yaml").write_text(recipe.replace("- kmod", "- no-such-package", 1))
    (tmp_path / "files").symlink_to(SHIPPED / "files")
    before = made.built.ramdisk.initrd.stat()
    with pytest.raises(EdeployError, match="no-such-package"):
        build_ramdisk(tmp_path, "cloud", made.store)
    assert made.built.ramdisk.initrd.stat() == before
    test_nothing_is_left_beside_it(made)


def test_the_programs_are_there_with_all_their_libraries(made: Made) -> None:
    loader: list[str | Path] = ["chroot", made.root, LOADER, "--list"]
    for name in PROGRAMS:
        assert is_there(made, name), name
    for path in sorted((made.root / "usr").rglob("*")):
        if path.is_symlink() or not path.is_file() or not os.access(path, os.X_OK):
            continue
        if path.open("rb").read(4) == b"\x7fELF":
            out = run([*loader, f"/{path.relative_to(made.root)}"], check=False)
            assert "not found" not in out.out + out.err, path


TOOLS = ("fio", "iperf3", "numactl", "stressapptest", "sysbench", "taskset")


def test_programs_of_tests_are_apart_and_fit_over_the_ramdisk(made: Made, tmp_path: Path) -> None:
    kernel, digest = (made.root / MARK).read_text().split()
    with made.built.ramdisk.tools.open("rb") as stream:
        assert (kernel, digest) == ("cloud", hashlib.file_digest(stream, "sha256").hexdigest())
    for name in TOOLS:
        assert name == "taskset" or not is_there(made, name), name
    before = {path: path.stat().st_size for path in made.root.rglob("*") if path.is_file()}
    whole = tmp_path / "root"
    run(["cp", "-a", made.root, whole])
    mark = tmp_path / "mark"
    mark.write_text((made.root / MARK).read_text())
    with serving_file(made.built.ramdisk.tools) as url:
        assert fetch_tools(Server(url), whole, mark, tmp_path / "have")
        assert not fetch_tools(Server(url), whole, mark, tmp_path / "have")
        mark.write_text(f"cloud {'0' * 64}\n")
        with pytest.raises(EdeployError, match="not those of this ramdisk"):
            fetch_tools(Server(url), whole, mark, tmp_path / "have")
    loader: list[str | Path] = ["chroot", whole, LOADER, "--list"]
    for name in TOOLS:
        out = run([*loader, f"/usr/bin/{name}"], check=False)
        assert "not found" not in out.out + out.err, name
    assert "fio-3" in run(["chroot", whole, "fio", "--version"]).out
    done = run(["chroot", whole, "sysbench", "cpu", "--time=1", "run"])
    assert "events per second" in done.out
    # The programs bring nothing that was there.
    assert {path: path.stat().st_size for path in made.root.rglob("*") if path.is_file()} == before


@contextmanager
def serving_file(path: Path) -> Iterator[str]:
    """A server that has one file, under every name."""

    class One(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = path.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), One)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_agent_starts_compiled_and_all_of_it_can_be_imported(made: Made) -> None:
    out = run(["chroot", made.root, "/usr/sbin/edeploy-node", "--version"]).out
    assert out.strip() == __version__
    package = made.root / "usr/lib/edeploy"
    modules = [
        str(path.relative_to(package).with_suffix("")).replace("/", ".")
        for path in package.rglob("*.py")
        if path.name != "__init__.py"
    ]
    assert {"edeploy.node.agent", "edeploy.node.detect.probes"} <= set(modules)
    code = f"import sys\nfor name in {modules!r}: __import__(name)\nprint(sys.modules.keys())"
    run(["chroot", made.root, "/usr/bin/env", "PYTHONPATH=/usr/lib/edeploy",
         "python3", "-s", "-S", "-P", "-c", code])  # fmt: skip
    for path in package.rglob("*.py"):
        assert list(path.parent.glob(f"__pycache__/{path.stem}.*.pyc")), path


def test_scripts_get_the_programs_of_the_packages_and_not_their_small_doubles(made: Made) -> None:
    done = run(["chroot", made.root, "/bin/sh", "-c", "tar --version; mount --version"])
    assert "GNU tar" in done.out
    assert "util-linux" in done.out


def test_modules_are_those_wanted(made: Made) -> None:
    names = {Path(name).name.partition(".")[0] for name in files(made.root) if ".ko" in name}
    assert {"virtio_net", "virtio_blk", "xfs", "vfat", "efivarfs", "8021q", "sd_mod"} <= names
    assert not {name for name in names if name.startswith("kvm")}
    listed = run(["chroot", made.root, "modprobe", "-D", "-S", kernel_release(made), "virtio_net"])
    assert "virtio_net.ko" in listed.out


def test_processors_get_what_belongs_to_them(made: Made) -> None:
    assert "/sys/devices/system/cpu/cpu0" in (made.root / "init").read_text()
    # As the kernel tells of a processor with SSE 4.2; temperatures and EDAC are found so as well.
    processor = "cpu:type:x86,ven0000fam0006mod0055:feature:,0094"
    listed = run(["chroot", made.root, "modprobe", "-D", "-S", kernel_release(made), processor])
    assert "crc32c-intel.ko" in listed.out


def kernel_release(made: Made) -> str:
    return next((made.root / "usr/lib/modules").iterdir()).name


def test_nobody_comes_in_without_a_key(made: Made) -> None:
    shadow = (made.root / "etc/shadow").read_text()
    assert all(line.split(":")[1] in ("*", "!") for line in shadow.splitlines())
    authorized = made.root / "root/.ssh/authorized_keys"
    assert authorized.read_text() == f"{KEY}\n"
    assert authorized.stat().st_mode & 0o777 == 0o600
    assert "authorized_keys" in (made.root / "init").read_text()
    assert not list((made.root / "etc/dropbear").iterdir())


def test_it_carries_no_time_of_its_making(made: Made) -> None:
    # Of folders and links cpio itself changes the time while it unpacks.
    paths = [path for path in made.root.rglob("*") if path.is_file() and not path.is_symlink()]
    times = {path.stat().st_mtime for path in paths}
    assert times == {0.0}


def test_the_names_of_links_and_disks_come_from_udev(made: Made) -> None:
    rules = made.root / "usr/lib/udev/rules.d"
    assert re.search("net_id", (rules / "75-net-description.rules").read_text())
    assert (rules / "60-persistent-storage.rules").is_file()
    assert (made.root / "usr/lib/systemd/network/99-default.link").is_file()


def test_every_program_of_the_recipe_is_there(made: Made) -> None:
    for name in load_recipe(SHIPPED / "ramdisk.yaml", "cloud").programs:
        if name in ("ipmitool", "nvme", "python3*"):
            continue
        assert is_there(made, name), name
