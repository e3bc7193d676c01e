"""Packs the files that roles lay over a tree, parents first, into tars that belong to root."""

from __future__ import annotations

import tarfile
from pathlib import Path

from edeploy.images.recipe import Recipe

OVERLAY = "overlay.tar"
"""All files of all roles; later roles' files replace earlier ones'."""

EARLY = "early.tar"
"""Of these, what apt must know before it installs anything: `etc/apt/`."""


def write_overlay(recipe: Recipe, folder: Path) -> None:
    """Write OVERLAY and EARLY to `folder`. Raises OSError."""
    files = overlay_files(recipe)
    for name, chosen in (
        (OVERLAY, files),
        (EARLY, {path: source for path, source in files.items() if path.startswith("etc/apt/")}),
    ):
        with tarfile.open(folder / name, "w", format=tarfile.PAX_FORMAT) as archive:
            for path, source in chosen.items():
                _add(archive, path, source)


def overlay_files(recipe: Recipe) -> dict[str, Path]:
    """Path in the tree → the file, link or folder to put there, folders before what is in them."""
    found: dict[str, Path] = {}
    for part in recipe.parts:
        if part.files:
            for source in part.files.rglob("*"):
                found[str(source.relative_to(part.files))] = source
    return dict(sorted(found.items()))


def overlay_mode(source: Path) -> int:
    """Git keeps only whether a file is executable, so that is all that counts here."""
    if source.is_symlink():
        return 0o777
    return 0o755 if source.is_dir() or source.stat().st_mode & 0o100 else 0o644


def _add(archive: tarfile.TarFile, path: str, source: Path) -> None:
    about = archive.gettarinfo(str(source), arcname=path)
    about.uid = about.gid = 0
    about.uname = about.gname = "root"
    about.mode = overlay_mode(source)
    about.mtime = int(about.mtime)
    if about.isreg():
        with open(source, "rb") as stream:
            archive.addfile(about, stream)
    else:
        archive.addfile(about)
