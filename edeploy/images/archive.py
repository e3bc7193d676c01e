"""The archive of an image: its tree as a zstd-compressed tar, nothing of it left out."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from edeploy import timeouts
from edeploy.images.build.chroot import isolated
from edeploy.run import failure, run

ZSTD_LEVEL = 6
"""See docs/reference/store.md for the measurement behind it."""

# fmt: off
_EVERYTHING = (
    "--numeric-owner",
    "--xattrs", "--xattrs-include=*",
    "--acls",
)
# fmt: on


def pack(tree: Path, archive: Path) -> None:
    """Write `tree` to `archive`: owners, modes, times, links, holes, xattrs, ACLs, capabilities.

    The order is by name, so that equal trees give equal archives. Raises ProgramFailed.
    """
    # fmt: off
    words = [
        "tar", "--create",
        "--file", str(archive),
        "--use-compress-program", f"zstd -q -T0 -{ZSTD_LEVEL}",
        "--directory", str(tree),
        "--format=posix",
        # Times of access and change say when it was built, not what it is.
        "--pax-option=delete=atime,delete=ctime,exthdr.name=%d/PaxHeaders/%f",
        "--sort=name",
        "--sparse",
        *_EVERYTHING,
        ".",
    ]
    # fmt: on
    # tar writes its process number into the headers of files with holes; alone, it is number 1.
    alone = isolated(words) if os.geteuid() == 0 else words
    done = run(alone, timeout=timeouts.ARCHIVE, check=False)
    said = [line for line in done.err.splitlines() if line]
    if done.code and not (done.code == 1 and said and all(map(_is_new_link, said))):
        raise failure(done)


def _is_new_link(line: str) -> bool:
    """Whether tar only saw another build link to a file of the store, which changes its ctime.

    Content it cannot be: nobody writes to the store's trees.
    """
    return line.endswith(": file changed as we read it")


def unpack(archive: Path, tree: Path) -> None:
    """Unpack `archive` to the folder `tree`, exactly. Raises ProgramFailed."""
    # fmt: off
    run(
        [
            "tar", "--extract",
            "--file", str(archive),
            "--use-compress-program", "zstd",
            "--directory", str(tree),
            "--preserve-permissions", "--same-owner",
            *_EVERYTHING,
        ],
        timeout=timeouts.ARCHIVE,
    )
    # fmt: on


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
