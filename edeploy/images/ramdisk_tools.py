"""The programs of health checks: an archive beside the ramdisk, which only tests fetch."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edeploy import atomic
from edeploy.errors import EdeployError
from edeploy.images import prune
from edeploy.run import run

# zstd -19 on one slow core.
PACK_TIMEOUT = 20 * 60.0
LOADER = "/usr/lib64/ld-linux-x86-64.so.2"
PROGRAM_FOLDERS = ("usr/bin", "usr/sbin")
# In the ramdisk: which archive is its own, as `KERNEL SHA-256`.
MARK = "etc/edeploy-tools"


@dataclass(frozen=True)
class Tools:
    """Debian packages, the programs that are taken of them, and other paths that those need."""

    packages: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()

    @property
    def paths(self) -> list[str]:
        """Patterns of all that is taken of the packages, but for libraries."""
        programs = [f"{folder}/{name}" for folder in PROGRAM_FOLDERS for name in self.programs]
        return [*self.keep, *programs]


def split_tools(root: Path, apart: Path, tools: Tools) -> None:
    """Move the programs, and the libraries that only they need, from `root` to `apart`.

    Raises EdeployError for a program that no package has.
    """
    prune.move_paths(root, apart, tools.paths)
    for name in tools.programs:
        if not any((apart / folder / name).exists() for folder in PROGRAM_FOLDERS):
            raise EdeployError(
                f"ramdisk: no package of `tools` has the program {name}",
                "Name its package in ramdisk.yaml.",
            )
    prune.remove_unneeded_libraries(root, lambda path: libraries(root, path), move_to=apart)
    prune.remove_empty_folders(root)


def pack_tools(apart: Path, archive: Path, root: Path, kernel: str) -> None:
    """Pack the tools as tar, in the order of names and with one time, through zstd; the ramdisk
    in `root` is told which archive is its own."""
    prune.settle_times(apart, 0)
    plain = archive.with_name("tools.tar")
    names = sorted(
        os.path.relpath(os.path.join(folder, name), apart)
        for folder, folders, files in os.walk(apart)
        # Links to folders are among the folders.
        for name in [*files, *(one for one in folders if os.path.islink(os.path.join(folder, one)))]
    )
    # No folders: those of the ramdisk stay as they are.
    run(
        ["tar", "--create", f"--file={plain}", f"--directory={apart}", "--format=gnu",
         "--owner=0", "--group=0", "--numeric-owner", "--no-recursion", "--null", "--files-from=-"],
        stdin="".join(f"{name}\0" for name in names), timeout=PACK_TIMEOUT,
    )  # fmt: skip
    run(["zstd", "-q", "-19", "-T0", "--rm", plain, "-o", archive], timeout=PACK_TIMEOUT)
    with archive.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    atomic.write(root / MARK, f"{kernel} {digest}\n")


def libraries(root: Path, path: Path) -> Sequence[str]:
    """The libraries that the loader of the tree itself would load for a file."""
    done = run(
        ["chroot", root, LOADER, "--list", f"/{path.relative_to(root)}"], check=False
    )  # fmt: skip
    return re.findall(r"(?:=> |^\s+)(/\S+) \(0x", done.out, re.MULTILINE)
