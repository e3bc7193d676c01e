"""Runs programs in a tree, so that whatever they mount or start is gone when they end."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from edeploy.run import Done, ProgramMissing, run

SHARED = "/run/edeploy"
"""Where a program in the tree finds the folder that is shared with it."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# A /dev of its own with the few nodes that packaging asks for: never the disks of this machine.
# /tmp and /run are memory: nothing of a build stays there. Names are looked up as on this machine;
# the file for that is no part of an image.
_MOUNTS = """
set -eu
root=$1 shared=$2; shift 2
[ -e "$root/etc/resolv.conf" ] || [ -L "$root/etc/resolv.conf" ] ||
    [ ! -e /etc/resolv.conf ] || cp /etc/resolv.conf "$root/etc/resolv.conf"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=0755 dev "$root/dev"
mount -t tmpfs -o mode=1777 tmp "$root/tmp"
mount -t tmpfs -o mode=0755 run "$root/run"
for node in null zero full random urandom tty; do
    : > "$root/dev/$node"
    mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root/dev/pts" "$root/dev/shm" "$root/run/edeploy" "$root/run/lock"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s fd/0 "$root/dev/stdin"
ln -s fd/1 "$root/dev/stdout"
ln -s fd/2 "$root/dev/stderr"
mount --bind "$shared" "$root/run/edeploy"
mount -o remount,bind,ro "$root/run/edeploy"
"""
_ENTER = _MOUNTS + 'exec chroot "$root" "$@"'
_STAY = _MOUNTS + 'exec "$@"'


def isolated(argv: Sequence[str]) -> list[str]:
    """`argv` in mount and process namespaces of its own, killed whole when this process dies.

    Raises ProgramMissing: behind `unshare`, a missing program would look like a failing one.
    """
    if shutil.which(argv[0]) is None:
        raise ProgramMissing(
            f"{argv[0]}: not found in PATH", f"Install the package that has `{argv[0]}`."
        )
    # fmt: off
    return [
        "setpriv", "--pdeathsig", "KILL",
        "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--",
        *argv,
    ]
    # fmt: on


def in_chroot(
    root: Path,
    argv: Sequence[str],
    *,
    shared: Path,
    timeout: float,
    env: Mapping[str, str] | None = None,
    log: IO[str] | None = None,
) -> Done:
    """Run `argv` in the tree at `root`; `shared` is at SHARED there, read-only.

    The environment is empty but for PATH, HOME, LC_ALL and `env`: no secret of this process
    reaches a role's script. Raises like `run`.
    """
    words = [_ENTER, "enter", str(root), str(shared), *_clean(argv, env)]
    return run(isolated(["sh", "-c", *words]), timeout=timeout, log=log)


def beside_chroot(
    root: Path,
    argv: Sequence[str],
    *,
    shared: Path,
    timeout: float,
    env: Mapping[str, str] | None = None,
    log: IO[str] | None = None,
) -> Done:
    """Run a program of this machine that itself starts others in the tree, all as `in_chroot`."""
    words = [_STAY, "stay", str(root), str(shared), *_clean(argv, env)]
    return run(isolated(["sh", "-c", *words]), timeout=timeout, log=log)


def _clean(argv: Sequence[str], env: Mapping[str, str] | None) -> list[str]:
    settings = {
        "PATH": _PATH,
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        "DEBIAN_FRONTEND": "noninteractive",
        **(env or {}),
    }
    return ["env", "-i", *(f"{key}={value}" for key, value in settings.items()), *argv]
