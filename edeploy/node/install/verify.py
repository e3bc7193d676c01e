"""The phase `verify`: every file on the disk is what the image's manifest says."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Callable

from edeploy.images import manifest, trees
from edeploy.images.trees import Difference, NotTheImage
from edeploy.node.install.context import InstallContext
from edeploy.node.install.image import Contents
from edeploy.node.mounts import Mount, below

DROP_CACHES = Path("/proc/sys/vm/drop_caches")
# File systems without owners, modes and exact times.
_PLAIN = ("vfat", "exfat", "msdos")


def verify(context: InstallContext) -> None:
    """Check the whole new root. Raises NotTheImage with the first differences."""
    decided = context.decisions
    forget_cached()
    refuse_differences(
        context.root,
        context.image,
        f"{decided.role} {decided.version}",
        lambda done, total: context.progress(done, total, "bytes"),
    )
    context.log(f"{len(context.image.entries)} paths are as the manifest says")


def refuse_differences(
    root: Path, image: Contents, name: str, on_progress: Callable[[int, int], None]
) -> None:
    """Check the tree at `root` against the image `name`; `on_progress` hears how many bytes of how
    many. Raises NotTheImage with the first differences."""
    found = trees.check(root, image.entries, on_progress=on_progress)
    differences = without_mounts(found, root, below(root))
    if differences:
        hint = "Archive, disk or memory are damaged: build the image again, or check the machine."
        raise NotTheImage.told(name, differences, hint)


def forget_cached() -> None:
    """Let what follows read the disk, not the memory through which it was written."""
    os.sync()
    DROP_CACHES.write_text("1\n")


def without_mounts(
    differences: Iterable[Difference], root: Path, mounts: Iterable[Mount]
) -> list[Difference]:
    """The differences but those that a mount below the root makes: its mount point, what mkfs
    put there, and all of a file system that cannot hold what an image has."""
    top = root.resolve()
    points = {
        manifest.quote(os.fsencode(mount.point.relative_to(top))): mount.kind
        for mount in mounts
        if mount.point != top
    }
    return [item for item in differences if not _by_mount(item.path, points)]


def _by_mount(path: str, points: dict[str, str]) -> bool:
    for point, kind in points.items():
        if path == point or point.startswith(f"{path}/") or path == f"{point}/lost+found":
            return True
        if kind in _PLAIN and path.startswith(f"{point}/"):
            return True
    return False
