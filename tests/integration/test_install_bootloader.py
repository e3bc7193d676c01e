"""The phase `bootloader` on a loop device, with a GRUB that says how it was called."""

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest
from install_desk import SECRET, Desk, publish, script

from edeploy.errors import EdeployError
from edeploy.node.boot import settings
from edeploy.node.boot.disk import uuid_of
from edeploy.node.install import grub, places
from edeploy.node.install.bootloader import bootloader, name_host, partition_of
from edeploy.node.install.configure import configure
from edeploy.node.install.context import InstallContext
from edeploy.node.install.fetch import fetch
from edeploy.node.install.finish import finish
from edeploy.node.install.verify import verify
from edeploy.node.mounts import below
from edeploy.run import ProgramFailed

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="loop devices and mounts need root")
pytest_plugins = ["installing"]


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
