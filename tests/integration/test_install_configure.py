"""The phase `configure` on a loop device: real sfdisk and mkfs."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from install_desk import SECRET, Desk, Told, device, script

from edeploy.errors import EdeployError
from edeploy.node.boot.disk import uuid_of
from edeploy.node.cmdline import Arguments
from edeploy.node.detect.disks import all_disks
from edeploy.node.detect.tree import Tree
from edeploy.node.http import ServerRefused
from edeploy.node.install import places
from edeploy.node.install.configure import ConfigureFailed, configure
from edeploy.node.install.context import InstallContext, InstallStopped
from edeploy.node.install.disk import DiskInUse, NoDisk, fingerprint
from edeploy.node.mounts import below

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="loop devices and mounts need root")
pytest_plugins = ["installing"]


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


def test_a_hint_that_names_no_disk_touches_none(context: InstallContext, desk: Desk) -> None:
    object.__setattr__(context.job, "vars", {"disk": "/dev/disk/by-id/gone"})
    with pytest.raises((NoDisk, ConfigureFailed), match="no disk is"):
        configure(context)
    assert desk.plans == []
