"""What is mounted, and mounts that do not outlive their use."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.node import timeouts
from edeploy.run import run

MOUNTINFO = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """One mount: `device` is `major:minor`, `point` the path, `source` such as /dev/sda2; `folder`
    is which folder of the file system is there, `/` when it is the whole."""

    device: str
    point: Path
    kind: str
    source: str
    folder: str = "/"


def parse_mounts(text: str) -> list[Mount]:
    """The mounts in the text of /proc/self/mountinfo, in their order."""
    found = []
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields, rest = before.split(" "), after.split(" ")
        if len(fields) > 4 and len(rest) > 1:
            point, folder = Path(_plain(fields[4])), _plain(fields[3])
            found.append(Mount(fields[2], point, rest[0], _plain(rest[1]), folder))
    return found


def _plain(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)


def mounts() -> list[Mount]:
    """What this process sees mounted."""
    return parse_mounts(MOUNTINFO.read_text())


def below(root: Path) -> list[Mount]:
    """The mounts at `root` and below, in the order in which they were made."""
    top = root.resolve()
    return [mount for mount in mounts() if mount.point == top or top in mount.point.parents]


def at(root: Path) -> Mount:
    """What is mounted at `root`; raises EdeployError when it is no mount point."""
    for mount in reversed(below(root)):
        if mount.point == root.resolve():
            return mount
    raise EdeployError(
        f"nothing is mounted on {root}",
        "The configure script must call layout(), or make a file system and mount it there.",
    )


def holding(path: Path) -> Mount:
    """The mount on which `path` lies; raises EdeployError when there is none, as in a chroot."""
    place = path.resolve()
    for entry in sorted(reversed(mounts()), key=lambda entry: -len(entry.point.parts)):
        if entry.point == place or entry.point in place.parents:
            return entry
    raise EdeployError(f"nothing is mounted at or above {path}")


def mount(source: str, point: Path, *options: str) -> None:
    """Mount; makes the mount point. `options` are words of mount(8)."""
    point.mkdir(parents=True, exist_ok=True)
    run(["mount", *options, source, str(point)], timeout=timeouts.MOUNT)


def unmount_all(root: Path) -> None:
    """Unmount all at `root` and below; what is still in use goes once it is not."""
    for entry in reversed(below(root)):
        done = run(["umount", str(entry.point)], timeout=timeouts.MOUNT, check=False)
        if done.code != 0:
            os.sync()
            run(["umount", "-l", str(entry.point)], timeout=timeouts.MOUNT)


@contextlib.contextmanager
def mounted(source: str, point: Path, *options: str) -> Iterator[Path]:
    """`source` at `point` for the time of the block."""
    mount(source, point, *options)
    try:
        yield point
    finally:
        run(["umount", str(point)], timeout=timeouts.MOUNT)


@contextlib.contextmanager
def chrooted(root: Path) -> Iterator[Sequence[str]]:
    """The words before a command that is to run inside `root`, which has this system's /dev,
    /proc, /sys and /run for the time of the block."""
    with contextlib.ExitStack() as stack:
        for name in ("dev", "proc", "sys", "run"):
            stack.callback(unmount_all, root / name)
            # A slave: what is unmounted in there stays mounted here.
            mount(f"/{name}", root / name, "--rbind", "--make-rslave")
        yield ("chroot", str(root))
