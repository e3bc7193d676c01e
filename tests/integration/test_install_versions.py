"""A new machine is the first version of itself, on a loop device."""

import json
import os
import shutil
import stat
from pathlib import Path

import pytest
from install_desk import Desk, Told, publish, script, sign_published

from edeploy.images import trees
from edeploy.node.boot.disk import uuid_of
from edeploy.node.install.bootloader import bootloader
from edeploy.node.install.configure import configure
from edeploy.node.install.context import InstallContext
from edeploy.node.install.fetch import fetch
from edeploy.node.install.finish import finish
from edeploy.node.install.verify import verify
from edeploy.node.mounts import below
from edeploy.run import run

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="loop devices and mounts need root")
pytest_plugins = ["installing"]


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

    def test_the_initramfs_leaves_file_systems_of_their_own_to_fstab(
        self, context: InstallContext, versioned: Path, loop: str, tmp_path: Path
    ) -> None:
        for phase in self.PHASES:
            phase(context)
        with open(context.root / "etc/fstab", "a") as stream:
            stream.write("#/dev/x /var ext4 defaults 0 2\n/dev/y\t/boot\text4 defaults 0 2\n")
            stream.write("/dev/z /home/z ext4 defaults 0 2\n")
        context.undo.close()
        # systemd mounts nothing where something is mounted already.
        assert start(tmp_path, f"{loop}p2", f"ro edeploy={NAME}", SHOW)[:4] == [
            "/usr ro", "/home rw", "/var rw", "/var/lib/dpkg ro",
        ]  # fmt: skip


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


BUSY = 90
"""The disk is not there to be mounted, as when a process elsewhere still sees it mounted."""


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
        f"mount --make-rprivate /; mount -o ro {device} {small}/root || exit {BUSY};"
        f" mount -t proc proc {small}/proc; mount --bind {small}/cmdline {small}/proc/cmdline;"
        f" chroot {small} /bin/sh /usr/lib/edeploy/pivot /root;"
        f" mount -t proc proc {small}/root/proc;"
        f" chroot {small}/root /bin/busybox sh < {small}/commands"
    )
    done = run(["unshare", "--mount", "sh", "-c", steps], check=False)
    assert done.code != BUSY, done.err
    return [line for line in done.out.splitlines() if line]
