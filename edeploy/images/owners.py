"""Whose a path of an image is: the image's, the machine's, or of both."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from pathlib import Path, PurePosixPath

from edeploy.errors import EdeployError

PATHS = "usr/lib/edeploy/paths.json"
"""Where an image says it, for what runs on machines."""

# What a merged Debian tree has at its top.
TOP = tuple(
    f"/{name}"
    for name in (
        "bin", "boot", "dev", "etc", "home", "lib", "lib64", "media", "mnt", "opt", "proc",
        "root", "run", "sbin", "srv", "sys", "tmp", "usr", "var",
    )
)  # fmt: skip
# Of no image, or of the running system: no upgrade looks at these.
_NEVER = ("/boot/grub/", "/dev/", "/edeploy/", "/lost+found", "/proc/", "/run/", "/sys/",
          "/sysroot/")  # fmt: skip


class Owner(StrEnum):
    """A path of the image is as the image has it; what is merged is the image's with the
    machine's changes; state outlives every version."""

    IMAGE = "image"
    MERGED = "merged"
    STATE = "state"


def unowned(paths: Mapping[str, Owner], tops: Iterable[str]) -> list[str]:
    """Of these top-level paths (`/srv`) those that nobody owns."""
    return sorted(set(tops) - set(paths))


def tops_of(tree: Path) -> list[str]:
    """The top-level paths of a tree."""
    return [f"/{path.name}" for path in tree.iterdir()]


def owner_above(paths: Mapping[str, Owner], path: str) -> Owner | None:
    """Whose the nearest folder above `path` is that anybody owns."""
    return next(
        (paths[str(each)] for each in PurePosixPath(path).parents if str(each) in paths), None
    )


def exclude_of(paths: Mapping[str, Owner], more: Iterable[str]) -> list[str]:
    """rsync patterns of what an upgrade in place leaves alone; `more` are a role's own."""
    left = (f"{path}/" for path, owner in paths.items() if owner is not Owner.IMAGE)
    return sorted({*_NEVER, *left, *more})


def paths_text(paths: Mapping[str, Owner], more: Iterable[str]) -> str:
    """The text of PATHS: paths without the first slash by owner, and `exclude`.

    Each key has a line of its own: an initramfs without a parser of JSON reads it as well.
    """
    lists = {
        str(owner): sorted(path[1:] for path, its in paths.items() if its is owner)
        for owner in Owner
    }
    lists["exclude"] = exclude_of(paths, more)
    lines = ",\n".join(f'  "{name}": {json.dumps(each)}' for name, each in lists.items())
    return f"{{\n{lines}\n}}\n"


def read_exclude(tree: Path, otherwise: Collection[str]) -> list[str]:
    """The patterns that the image in `tree` says, or `otherwise`. Raises EdeployError."""
    path = tree / PATHS
    try:
        return [str(each) for each in json.loads(path.read_bytes())["exclude"]]
    except FileNotFoundError:
        return list(otherwise)
    except (ValueError, KeyError, TypeError) as error:
        raise EdeployError(f"{path}: not readable: {error}", "Build the image again.") from error
