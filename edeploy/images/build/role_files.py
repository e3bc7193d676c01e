"""Packs the files that a role lays over a tree into tars that belong to root."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import time
from pathlib import Path

from edeploy.images.recipe import Part

OVERLAY = "overlay.tar"
"""All files of the role."""

EARLY = "early.tar"
"""Of these, what apt and dpkg must know before they install anything."""

_EARLY = ("etc/apt/", "etc/dpkg/dpkg.cfg.d/")


def overlay_files(part: Part) -> dict[str, Path]:
    """Path in the tree → the file, link or folder to put there, folders before what is in them."""
    if part.files is None:
        return {}
    found = {str(path.relative_to(part.files)): path for path in part.files.rglob("*")}
    return dict(sorted(found.items()))


def early_files(part: Part) -> dict[str, Path]:
    """Those that count before the first package is installed."""
    return {path: file for path, file in overlay_files(part).items() if path.startswith(_EARLY)}


def write_overlay(part: Part, folder: Path) -> None:
    """Write OVERLAY and EARLY to `folder`. Raises OSError."""
    for name, chosen in ((OVERLAY, overlay_files(part)), (EARLY, early_files(part))):
        with tarfile.open(folder / name, "w", format=tarfile.PAX_FORMAT) as archive:
            for path, source in chosen.items():
                _add(archive, path, source)


def apt_settings(part: Part, parent: Path | None, folder: Path) -> Path:
    """What `etc/apt` of the tree is when packages are chosen, as a new folder in `folder`."""
    etc = folder / "apt"
    if parent and (parent / "etc/apt").is_dir():
        shutil.copytree(parent / "etc/apt", etc, symlinks=True)
    etc.mkdir(exist_ok=True)
    for path, source in early_files(part).items():
        if path.startswith("etc/apt/"):
            target = etc / path.removeprefix("etc/apt/")
            if source.is_dir():
                target.mkdir(exist_ok=True)
            else:
                target.unlink(missing_ok=True)
                shutil.copyfile(source, target, follow_symlinks=False)
    return etc


def overlay_mode(source: Path) -> int:
    """Git keeps only whether a file is executable, so that is all that counts here."""
    if source.is_symlink():
        return 0o777
    return 0o755 if source.is_dir() or source.stat().st_mode & 0o100 else 0o644


def file_digest(source: Path) -> str:
    """Mode and SHA-256 of a file, or of where a link leads."""
    if source.is_symlink():
        content = os.fsencode(os.readlink(source))
    else:
        content = source.read_bytes() if source.is_file() else b""
    return f"{overlay_mode(source):o} {hashlib.sha256(content).hexdigest()}"


def _add(archive: tarfile.TarFile, path: str, source: Path) -> None:
    about = archive.gettarinfo(str(source), arcname=path)
    about.uid = about.gid = 0
    about.uname = about.gname = "root"
    about.mode = overlay_mode(source)
    # When somebody checked it out says nothing; sealing gives a new file a time by its content.
    about.mtime = int(time.time())
    if about.isreg():
        with open(source, "rb") as stream:
            archive.addfile(about, stream)
    else:
        archive.addfile(about)
