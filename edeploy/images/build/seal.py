"""Takes out of a finished tree what belongs to one machine, one moment, or nobody else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.images.build.secrets import refuse_secrets
from edeploy.images.build.times import settle_times
from edeploy.names import under

# Paths are globs. Files go; of folders the content goes.
_REMOVED = (
    "etc/ssh/ssh_host_*",
    "etc/hostname",
    "etc/resolv.conf",
    "etc/apt/apt.conf.d/99mmdebstrap",
    "etc/dpkg/dpkg.cfg.d/99mmdebstrap",
    "etc/.pwd.lock",
    "etc/passwd-",
    "etc/group-",
    "etc/shadow-",
    "etc/gshadow-",
    "etc/subuid-",
    "etc/subgid-",
    "initrd.img.old",
    "vmlinuz.old",
    "root/.bash_history",
    "var/lib/dbus/machine-id",
    "var/lib/systemd/random-seed",
    "var/lib/systemd/credential.secret",
    "var/lib/dhcp/*",
    "var/lib/dpkg/*-old",
    "var/cache/debconf/*-old",
    "var/cache/ldconfig/*",
)
_EMPTIED = ("run", "tmp", "var/tmp", "var/lib/apt/lists", "var/cache/apt")
_LOGS = "var/log"
_MARKS = ("etc/.updated", "var/.updated")
_PATHS = "usr/lib/edeploy/paths.json"
_LOCKED = "*"


def seal(tree: Path, epoch: int, *, own: Path | None = None) -> None:
    """Make `tree` fit for any machine: no identity, keys, lists, caches, logs; root locked.

    Times then follow from what a path is (`settle_times`); `epoch` (Unix seconds) is when the
    newest package was built. `own` is what an overlay has of its own; below it, all is sealed
    already.

    Raises EdeployError for a password and for a private key.
    """
    for pattern in _REMOVED:
        folder, _, names = pattern.rpartition("/")
        # A script may have left links: what they lead to outside the tree is not ours to clean.
        for path in _named(under(tree, folder), names):
            _remove(path)
    for name in _EMPTIED:
        folder_path = under(tree, name)
        for path in folder_path.iterdir() if folder_path.is_dir() else ():
            _remove(path)
    for path in _files_in(under(tree, _LOGS)):
        path.unlink()
    # Empty, not missing: systemd then makes an id without taking this for a first boot, which
    # would set all services again.
    machine_id = under(tree, "etc/machine-id")
    if not machine_id.exists() or machine_id.stat().st_size:
        machine_id.write_bytes(b"")
    # The tree's own root was made by the builder, with its umask.
    tree.chmod(0o755)
    _lock_root(tree)
    _place_of_the_disk(tree)
    for mark in _MARKS:
        path = under(tree, mark)
        if path.parent.is_dir() and not path.exists():
            path.touch(mode=0o644)
    refuse_secrets(tree, own=own)
    settle_times(tree, epoch, own or tree)
    _nothing_to_update(tree)


def _nothing_to_update(tree: Path) -> None:
    """Tell systemd that /etc and /var fit /usr: the first boot then has no users to make."""
    usr = (tree / "usr").stat().st_mtime_ns
    for mark in _MARKS:
        path = under(tree, mark)
        if path.exists() and path.stat().st_mtime_ns != usr:
            os.utime(path, ns=(usr, usr))


def _place_of_the_disk(tree: Path) -> None:
    """An image that starts as one version of several has the disk's own root at /sysroot."""
    if not under(tree, _PATHS).is_file():
        return
    place = tree / "sysroot"
    if not place.is_dir():
        place.mkdir()
        place.chmod(0o755)


def _named(folder: Path, names: str) -> list[Path]:
    """What a glob fits, links that lead nowhere as well."""
    there = folder.iterdir() if folder.is_dir() else ()
    return [path for path in there if fnmatchcase(path.name, names)]


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _files_in(folder: Path) -> Iterator[Path]:
    """Files under `folder`, not the folders: services expect theirs, with their owners."""
    for where, _, names in os.walk(folder):
        for name in names:
            path = Path(where, name)
            if not path.is_symlink():
                yield path


def _lock_root(tree: Path) -> None:
    path = under(tree, "etc/shadow")
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        name, password, *rest = line.split(":")
        if name == "root":
            password = _LOCKED
        elif not password.startswith(("!", "*")):
            raise EdeployError(
                f"the account {name} has a password in /etc/shadow",
                "Images carry no passwords: lock it in the role's script (passwd -l).",
            )
        lines.append(":".join((name, password, *rest)))
    text = "".join(f"{line}\n" for line in lines)
    if text != path.read_text(encoding="utf-8"):
        path.write_text(text, encoding="utf-8")
