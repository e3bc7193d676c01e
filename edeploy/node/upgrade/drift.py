"""What on this machine is not what its image has, by cause."""

from __future__ import annotations

import enum
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from edeploy.images import manifest, trees
from edeploy.images.trees import Difference
from edeploy.node.upgrade.etc import ETC

# On a root that no upgrade made: the machine's own, whatever the image has there.
STATE = frozenset(
    b"boot dev edeploy home lost+found media mnt proc root run srv sys sysroot tmp var".split()
)


class Cause(enum.Enum):
    """Why a path differs."""

    CHANGED = "changed"
    MISSING = "missing"
    EXTRA = "extra"
    MODE = "mode"
    OWNER = "owner"
    XATTR = "xattr"
    OTHER = "other"


@dataclass(frozen=True)
class Drift:
    """One difference; `ours`: below a path that belongs to the machine, not to the image."""

    path: str
    cause: Cause
    what: str
    ours: bool


# Beginnings of what `trees.check` says.
_CAUSES = (
    ("content differs", Cause.CHANGED),
    ("size ", Cause.CHANGED),
    ("points to ", Cause.CHANGED),
    ("is missing", Cause.MISSING),
    ("is not in the image", Cause.EXTRA),
    ("mode ", Cause.MODE),
    ("owner ", Cause.OWNER),
    ("xattr ", Cause.XATTR),
)


def drift(
    root: Path,
    data: bytes,
    excluded: Iterable[str] = (),
    without: Collection[bytes] = (),
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[Drift]:
    """Every path of the image below `root` by its SHA-256, mode, owner and attributes, on all
    processors, without a network.

    `data` is the manifest, `excluded` are paths that the role leaves to the machine (a folder ends
    with `/`), `without` top-level names that are not looked at. Times are not compared: programs
    touch files. Raises BadManifest, OSError.
    """
    entries = manifest.parse(data)
    ours = [os.fsdecode(ETC), *(path.lstrip("/") for path in excluded)]
    found: list[Drift] = []
    for item in trees.check(root, entries, without=without, on_progress=on_progress):
        cause = _cause(item)
        if cause is not None:
            found.append(Drift(item.path, cause, item.what, _matches(item.path, ours)))
    return found


def _cause(difference: Difference) -> Cause | None:
    if difference.what.startswith("time "):
        return None
    for words, cause in _CAUSES:
        if difference.what.startswith(words):
            return cause
    return Cause.OTHER


def _matches(path: str, patterns: Iterable[str]) -> bool:
    for pattern in patterns:
        if path == pattern.rstrip("/") or path.startswith(pattern.rstrip("/") + "/"):
            return True
        if pattern.endswith("*") and path.startswith(pattern[:-1]):
            return True
    return False
