"""Takes out of a finished tree what belongs to one machine or one moment."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from edeploy.errors import EdeployError
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
_LOCKED = "*"


def seal(tree: Path) -> None:
    """Make `tree` fit for any machine: no identity, keys, lists, caches, logs; root locked.

    Times become whole seconds: every archive format and file system keeps those. Raises
    EdeployError when an account has a password.
    """
    for pattern in _REMOVED:
        folder, _, names = pattern.rpartition("/")
        # A script may have left links: what they lead to outside the tree is not ours to clean.
        for path in under(tree, folder).glob(names):
            _remove(path)
    for name in _EMPTIED:
        folder_path = under(tree, name)
        for path in folder_path.iterdir() if folder_path.is_dir() else ():
            _remove(path)
    for path in _files_in(under(tree, _LOGS)):
        path.unlink()
    # Empty, not missing: systemd then makes an id without taking this for a first boot, which
    # would set all services again.
    under(tree, "etc/machine-id").write_bytes(b"")
    # The tree's own root was made by the builder, with its umask.
    tree.chmod(0o755)
    _lock_root(tree)
    _whole_seconds(tree)
    _nothing_to_update(tree)


def _nothing_to_update(tree: Path) -> None:
    """Tell systemd that /etc and /var fit /usr: the first boot then has no users to make."""
    usr = (tree / "usr").stat()
    for folder in ("etc", "var"):
        parent = under(tree, folder)
        about = parent.stat()
        (parent / ".updated").touch(mode=0o644)
        os.utime(parent / ".updated", ns=(usr.st_mtime_ns, usr.st_mtime_ns))
        os.utime(parent, ns=(about.st_mtime_ns, about.st_mtime_ns))


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
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _whole_seconds(tree: Path) -> None:
    for where, folders, names in os.walk(os.fsencode(tree), topdown=False):
        for name in (*names, *folders, b""):
            path = os.path.join(where, name) if name else where
            about = os.lstat(path)
            if about.st_mtime_ns % 10**9 and not stat.S_ISSOCK(about.st_mode):
                whole = about.st_mtime_ns // 10**9 * 10**9
                os.utime(path, ns=(whole, whole), follow_symlinks=False)
