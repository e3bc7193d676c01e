"""The pool: every package file that a build has used, by content."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.images.archive import sha256_of
from edeploy.images.packages.plan import Package


class Damaged(EdeployError):
    """A package file whose content is not what the archive's signed index says."""


class Pool:
    """A folder of package files; each is written once, under a name with its SHA-256."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, package: Package) -> Path:
        """Where this package's file is, or would be."""
        return self.folder / package.pool_name

    def has(self, package: Package) -> bool:
        """Whether the file is there, whole by its size."""
        try:
            return self.path(package).stat().st_size == package.size
        except FileNotFoundError:
            return False

    def add(self, file: Path, package: Package) -> None:
        """Move a downloaded file into the pool. Raises Damaged."""
        _check(file, package)
        file.chmod(0o644)
        os.chown(file, 0, 0)
        file.replace(self.path(package))

    def lay_out(self, package: Package, folder: Path) -> Path:
        """Put the file into `folder` under apt's own name for it. Raises Damaged."""
        return self.link(package, folder / package.file_name)

    def link(self, package: Package, target: Path) -> Path:
        """Put the file at `target`. Raises Damaged, FileNotFoundError."""
        source = self.path(package)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            _check(source, package)
        except Damaged:
            # Not served a second time: the next build fetches it again.
            source.unlink()
            raise
        try:
            target.hardlink_to(source)
        except FileExistsError:
            # The same package in two suites.
            return target
        except OSError:
            shutil.copyfile(source, target)
        return target


def _check(file: Path, package: Package) -> None:
    found = sha256_of(file)
    if found != package.sha256:
        raise Damaged(
            f"{file}: SHA-256 {found}, should be {package.sha256} for {package.wanted}",
            "Build again: the file is fetched anew. If it happens twice, check disk and mirror.",
        )
