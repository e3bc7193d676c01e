"""Makes a tree small: paths by pattern, kernel modules by name, libraries that nothing needs."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from edeploy.errors import EdeployError

_ELF = b"\x7fELF"


def remove_paths(root: Path, exclude: Sequence[str], keep: Sequence[str]) -> None:
    """Remove what a pattern of `exclude` matches (a folder with all in it) and none of `keep`.

    Patterns are relative to `root`; `*` matches `/` too. Folders left empty go as well.
    """
    unwanted, wanted = _matcher(exclude), _matcher(keep)
    for path in _files(root):
        name = str(path.relative_to(root))
        if unwanted(name) and not wanted(name):
            path.unlink()
    remove_empty_folders(root)


def move_paths(root: Path, target: Path, patterns: Sequence[str]) -> None:
    """Move what a pattern matches (a folder with all in it) from `root` to `target`, to the same
    place; patterns as in `remove_paths`."""
    wanted = _matcher(patterns)
    for path in list(_files(root)):
        if wanted(str(path.relative_to(root))):
            _move(path, root, target)


def remove_empty_folders(root: Path) -> None:
    """Remove each folder below `root` that has nothing in it."""
    for folder, _, _ in os.walk(root, topdown=False):
        if folder != str(root) and not os.listdir(folder):
            os.rmdir(folder)


def remove_modules(modules: Path, wanted: Sequence[str], unwanted: Sequence[str]) -> None:
    """Keep the kernel modules that a pattern of `wanted` and none of `unwanted` matches, and
    those that they need. `modules` is `…/lib/modules/RELEASE`, with its modules.dep.

    Patterns are relative to `kernel/`, without suffix, `-` and `_` alike; `*` matches `/` too.
    """
    needs = _dependencies(modules)
    chosen, left_out = _matcher(map(_bare, wanted)), _matcher(map(_bare, unwanted))
    keep: set[str] = set()
    todo = [
        name for name in needs if chosen(_bare(name)) and not left_out(_bare(name))
    ] + _first_users(modules)
    while todo:
        name = todo.pop()
        if name in keep or name not in needs:
            continue
        keep.add(name)
        todo += needs[name]
    for path in _files(modules / "kernel"):
        if str(path.relative_to(modules)) not in keep:
            path.unlink()
    remove_empty_folders(modules)


def remove_firmware(folder: Path, wanted: Sequence[str]) -> None:
    """Keep the files below `folder` that modules ask for by a name in `wanted` (`*` is any text),
    and those to which links of such a name lead."""
    asked = _matcher(wanted)
    keep = set()
    for path in _files(folder):
        if asked(str(path.relative_to(folder))):
            keep |= {path, path.resolve()}
    for path in _files(folder):
        if path not in keep:
            path.unlink()
    remove_empty_folders(folder)


def remove_unneeded_libraries(
    root: Path, needed_by: Callable[[Path], Iterable[str]], *, move_to: Path | None = None
) -> None:
    """Remove the shared libraries under `root/usr/lib` that no program, and no needed library,
    needs. `needed_by(file)` tells the paths, seen from `root`, of the libraries of an ELF file.
    With `move_to` they go to the same place there instead.
    """
    root = root.resolve()
    folder = root / "usr/lib/x86_64-linux-gnu"
    candidates = {path.resolve() for path in folder.glob("*.so*") if not path.is_dir()}
    # The loader is named by every program, but is no library of any.
    needed = {path for path in candidates if path.name.startswith("ld-")}
    todo = [path for path in _files(root) if _is_elf(path) and path not in candidates]
    while todo:
        for name in needed_by(todo.pop()):
            # By its name alone: links in the tree that begin with / would lead out of it.
            library = (folder / name.rsplit("/", 1)[-1]).resolve()
            if library in candidates and library not in needed:
                needed.add(library)
                todo.append(library)
    unneeded = []
    for path in sorted(folder.glob("*.so*")):
        link = path.is_symlink()
        if (link or path in candidates) and path.resolve() not in needed:
            unneeded.append(path)
    for path in unneeded:
        if move_to is None:
            path.unlink()
        else:
            _move(path, root, move_to)


def put_overlay(root: Path, overlay: Path) -> None:
    """Copy all files of `overlay` over `root`, with their modes, owned by root."""
    for source in sorted(_files(overlay)):
        target = root / source.relative_to(overlay)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        shutil.copyfile(source, target, follow_symlinks=False)
        if not source.is_symlink():
            # A checkout has only one bit that means anything: may it be executed.
            target.chmod(0o755 if os.access(source, os.X_OK) else 0o644)


def settle_times(root: Path, when: int) -> None:
    """Give every path the same time (Unix seconds), for equal archives of equal trees."""
    for folder, names, files in os.walk(root, topdown=False):
        for name in [*names, *files]:
            os.utime(os.path.join(folder, name), (when, when), follow_symlinks=False)
    os.utime(root, (when, when))


def _move(path: Path, root: Path, target: Path) -> None:
    place = target / path.relative_to(root)
    place.parent.mkdir(parents=True, exist_ok=True)
    path.rename(place)


def _files(root: Path) -> Iterator[Path]:
    for folder, names, files in os.walk(root):
        for name in files:
            yield Path(folder, name)
        for name in names:
            if os.path.islink(os.path.join(folder, name)):
                yield Path(folder, name)


def _matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    parts = [f"{fnmatch.translate(pattern)[:-2]}(?:/.*)?\\Z" for pattern in patterns]
    expression = re.compile("|".join(f"(?:{part})" for part in parts) or r"(?!)", re.DOTALL)
    return lambda name: expression.match(name) is not None


def _bare(name: str) -> str:
    name = name.removeprefix("kernel/").replace("_", "-")
    return re.sub(r"\.ko(\.[a-z]+)?\Z", "", name)


def _dependencies(modules: Path) -> dict[str, list[str]]:
    """Module file -> the module files that it needs, by hard and by soft dependency."""
    text = (modules / "modules.dep").read_text()
    needs: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        needs[name] = rest.split()
    if not needs:
        raise EdeployError(f"{modules}: modules.dep names no module", "Is depmod of `kmod` there?")
    by_name = {_bare(name).rsplit("/", 1)[-1]: name for name in needs}
    soft = modules / "modules.softdep"
    for line in soft.read_text().splitlines() if soft.exists() else ():
        words = line.split()
        if len(words) > 2 and words[0] == "softdep" and _bare(words[1]) in by_name:
            others = [_bare(word) for word in words[2:] if not word.endswith(":")]
            needs[by_name[_bare(words[1])]] += [by_name[it] for it in others if it in by_name]
    return needs


def _first_users(modules: Path) -> list[str]:
    """Modules that others ask for under the name of an algorithm (`crypto-crc32c`)."""
    return [
        str(path.relative_to(modules))
        for path in _files(modules / "kernel")
        if _bare(path.name) in ("crc32c-generic", "crc32-generic", "crct10dif-common")
    ]


def _is_elf(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(4) == _ELF
