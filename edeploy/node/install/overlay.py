"""The machine's own files are laid over the role, without leaving its root."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from edeploy.errors import EdeployError

_MOST_LINKS = 40


class LinkLoop(EdeployError):
    """Symbolic links of the new system that lead in a circle."""


def lay_over(overlay: Path, root: Path) -> list[str]:
    """Copy every file under `overlay` to its place under `root`, with owner and mode; returns
    the paths. A link or file at the place itself is replaced; folders that are there stay."""
    return [str(path) for path in sorted(_copied(overlay, root))]


def _copied(overlay: Path, root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(overlay):
        relative = Path(folder).relative_to(overlay)
        place = inside(root, relative)
        if not place.is_dir():
            place.mkdir(parents=True)
            _like(Path(folder), place)
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        for name in sorted([*files, *links]):
            _replace(Path(folder) / name, place / name)
            yield relative / name


def inside(root: Path, path: Path) -> Path:
    """Where `path` is under `root`, following links as the new system will: an absolute one
    starts at `root`. Raises LinkLoop."""
    here, rest, links = root, list(path.parts), 0
    while rest:
        part = rest.pop(0)
        if part in ("/", "."):
            continue
        if part == "..":
            here = here.parent if here != root else root
            continue
        here = here / part
        if here.is_symlink():
            links += 1
            if links > _MOST_LINKS:
                raise LinkLoop(f"{path}: too many links in the new system")
            target = Path(os.readlink(here))
            here = root if target.is_absolute() else here.parent
            rest = [*target.parts, *rest]
    return here


def put(root: Path, name: str, text: str, *, mode: int = 0o644) -> None:
    """Write a file of the new system, owned by root; makes its folder."""
    place = inside(root, Path(name).parent)
    place.mkdir(parents=True, exist_ok=True)
    # Opened as wished from the start: some hold secrets.
    draft = place / f".{Path(name).name}.edeploy"
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w") as stream:
        os.fchmod(handle, mode)
        os.fchown(handle, 0, 0)
        stream.write(text)
    draft.rename(place / Path(name).name)


def _replace(source: Path, target: Path) -> None:
    if target.is_symlink() or target.exists():
        if target.is_dir() and not target.is_symlink():
            raise EdeployError(
                f"{target} is a folder in the image, but a file among the machine's own",
                "Change config() in the configure script.",
            )
        target.unlink()
    if source.is_symlink():
        target.symlink_to(os.readlink(source))
    else:
        shutil.copyfile(source, target)
    _like(source, target)


def _like(source: Path, target: Path) -> None:
    about = source.lstat()
    os.chown(target, about.st_uid, about.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(about.st_mode):
        os.chmod(target, stat.S_IMODE(about.st_mode))
