"""What an image costs: the space of files that it has alone, and of those that others have too."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edeploy.images.store import Image

_BLOCK = 512


@dataclass(frozen=True)
class Sizes:
    """Bytes on the disk: `own` is what goes with the image's tree, `shared` what stays."""

    own: int
    shared: int


def tree_sizes(images: Sequence[Image]) -> list[Sizes]:
    """The sizes of the images' trees, seen together: give all images of a store."""
    trees = [dict(_inodes(os.fsencode(image.tree))) for image in images]
    holders = Counter(inode for tree in trees for inode in tree)
    found = []
    for tree in trees:
        own = sum(size for inode, size in tree.items() if holders[inode] == 1)
        found.append(Sizes(own, sum(tree.values()) - own))
    return found


def _inodes(folder: bytes) -> Iterator[tuple[tuple[int, int], int]]:
    """Device and number, and bytes on the disk, of each file and folder."""
    try:
        with os.scandir(folder) as names:
            for name in names:
                about = name.stat(follow_symlinks=False)
                yield (about.st_dev, about.st_ino), about.st_blocks * _BLOCK
                if name.is_dir(follow_symlinks=False):
                    yield from _inodes(name.path)
    except FileNotFoundError:
        # Removed while we look.
        return
