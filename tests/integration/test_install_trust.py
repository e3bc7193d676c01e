"""What nobody vouches for does not get as far as a disk."""

import hashlib
import os
from pathlib import Path

import pytest
from install_desk import Desk, Told, device, publish, script, sign_published

from edeploy.errors import EdeployError
from edeploy.node.install.configure import configure
from edeploy.node.install.context import InstallContext
from edeploy.node.install.fetch import fetch
from edeploy.node.install.verify import verify

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="loop devices and mounts need root")
pytest_plugins = ["installing"]


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
