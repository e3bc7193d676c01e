"""Indexes of package files, as apt reads them: made of what the files say of themselves."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from edeploy.images.packages.plan import Package
from edeploy.images.parallel import cores
from edeploy.run import run


def index_of(files: Sequence[tuple[Package, Path, str]]) -> str:
    """The text of `Packages` for files that were checked: package, file, its path in the archive.

    An archive's own index would do as well, but is gone when a lock is built years later.
    """
    with ThreadPoolExecutor(cores()) as workers:
        return "".join(workers.map(lambda each: _stanza(*each), files))


def _stanza(package: Package, file: Path, path: str) -> str:
    fields = run(["dpkg-deb", "--field", file]).out.rstrip("\n")
    return f"{fields}\nFilename: {path}\nSize: {package.size}\nSHA256: {package.sha256}\n\n"
