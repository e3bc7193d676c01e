"""Where the versions of a machine lie, and how they are named."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edeploy.names import checked

_ID = re.compile(
    r"(?P<role>[A-Za-z0-9][\w.+-]*)-(?P<version>[A-Za-z0-9][\w.+~-]*)\.(?P<serial>\d+)"
)
# Below /var, but each version shows its own, read-only: roles/base/files/usr/lib/edeploy/pivot.
DATABASES = (b"var/lib/dpkg/", b"var/lib/rpm/")


@dataclass(frozen=True)
class Places:
    """All paths of deployed versions, below `root` (`/`, or a disk that is mounted somewhere).

    The version named in the kernel's command line is found by `edeploy=ID`; without it the root
    itself is what runs: a machine that has not been upgraded in this way yet.
    """

    root: Path

    @property
    def top(self) -> Path:
        """Everything of edeploy's own on the root file system."""
        return self.root / "edeploy"

    def tree(self, name: str) -> Path:
        """The complete tree of a version."""
        return self.top / "deploy" / name

    def manifest(self, name: str) -> Path:
        """The manifest of a version; its signature is beside it, with `.sig`."""
        return self.top / "manifests" / name

    def etc_base(self, name: str) -> Path:
        """/etc of a version as its image has it."""
        return self.top / "etc-base" / name

    def stage(self, name: str) -> Path:
        """Work in progress for a version: downloads and a tree that is not complete."""
        return self.top / "stage" / name

    def boot(self, name: str) -> Path:
        """The version's own kernel and initrd, as `vmlinuz` and `initrd`."""
        return self.root / "boot/edeploy" / name

    @property
    def state(self) -> Path:
        """What the client knows."""
        return self.top / "state.json"

    @property
    def lock(self) -> Path:
        """Held while a version is changed."""
        return self.top / "lock"

    def deployed(self) -> list[str]:
        """The names of complete versions."""
        folder = self.top / "deploy"
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        return sorted(name for name in names if _ID.fullmatch(name))

    def new_name(self, role: str, version: str) -> str:
        """`role-version.serial` with the first serial, from 1, that no version here has."""
        base = f"{checked(role, 'role')}-{checked(version, 'version')}"
        taken = {*self.deployed(), *(path.name for path in _inside(self.top / "manifests"))}
        serial = 1
        while f"{base}.{serial}" in taken:
            serial += 1
        return f"{base}.{serial}"


def _inside(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []
