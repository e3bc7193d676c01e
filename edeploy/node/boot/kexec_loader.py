"""Trial by kexec, where GRUB cannot write: whatever resets the machine starts the good version."""

from __future__ import annotations

import re
import shutil

from edeploy.node import timeouts
from edeploy.node.boot import grub
from edeploy.node.boot.booted import TRIAL
from edeploy.node.boot.grub_loader import GrubLoader
from edeploy.node.boot.kernels import FOLDER, INITRD, LINUX
from edeploy.node.boot.loader import TRIES, NotBootable
from edeploy.run import run


class KexecLoader(GrubLoader):
    """The default of the boot loader stays the good version until a trial is confirmed."""

    counted = False

    def arm(self, name: str, tries: int = TRIES) -> None:
        """See `Loader.arm`; there is one try, at the next `restart`."""
        if shutil.which("kexec") is None:
            raise NotBootable(
                f"{self.disk.why}: GRUB cannot count the tries of a trial there, and there is no"
                " kexec that would start one",
                "Add kexec-tools to the role's packages.",
            )
        self._refuse_unknown(name)
        self._marker.put(name)

    def armed(self) -> str:
        """See `Loader.armed`."""
        return self._marker.read()

    def restart(self) -> None:
        """See `Loader.restart`. Raises NotBootable when the machine refuses kexec."""
        name = self.armed()
        if not name:
            super().restart()
            return
        self._refuse_unknown(name)
        folder = self._boot / FOLDER / name
        words = ["kexec", "--load", str(folder / LINUX)]
        if (folder / INITRD).is_file():
            words.append(f"--initrd={folder / INITRD}")
        run([*words, f"--command-line={self._arguments(name)} {TRIAL}"], timeout=timeouts.PROGRAM)
        run(["systemctl", "kexec"], timeout=timeouts.PROGRAM)

    def tried_by(self) -> str:
        """See `Loader.tried_by`."""
        return "run it again with --reboot: a boot by GRUB would not try it here"

    def describe(self) -> str:
        """See `Loader.describe`."""
        return (
            f"kexec starts a trial once, and any reset starts the good version by GRUB, "
            f"which cannot count: {self.disk.why}"
        )

    def _arguments(self, name: str) -> str:
        text = (self._boot / "grub" / grub.CONFIG).read_text()
        found = re.search(rf"--id edeploy-{re.escape(name)} \{{.*?\tlinux \S+ ([^\n]*)", text, re.S)
        if not found:
            raise NotBootable(f"{grub.CONFIG} has no kernel for {name}")
        return found[1].replace(grub.MARK, "").strip()

    def _change(self, variables: dict[str, str]) -> None:
        """There is nothing that GRUB could read: the first entry is the good version."""

    def _read(self) -> dict[str, str]:
        names = self._names()
        return {grub.GOOD: names[0]} if names else {}
