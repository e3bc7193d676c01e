"""A machine that is a loop device, its server and its image: a pytest plugin."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from install_desk import SECRET, Desk, Told, handler, publish

from edeploy.inventory.items import Item, Report
from edeploy.node.cmdline import Arguments
from edeploy.node.http import Server
from edeploy.node.install.context import InstallContext, InstallJob
from edeploy.node.mounts import unmount_all
from edeploy.run import run


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


@pytest.fixture
def release(tmp_path: Path, context: InstallContext) -> Path:
    """The key whose owner this ramdisk's file of signers names."""
    key = tmp_path / "release"
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key])
    signers = tmp_path / "signers"
    signers.write_text(f"release@example {key.with_suffix('.pub').read_text()}")
    context.signers = signers
    return key
