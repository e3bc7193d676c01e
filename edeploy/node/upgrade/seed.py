"""Old files under the names that the new version has for them: rsync tells the new against them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from edeploy.images.manifest import Entry
from edeploy.images.pairs import pairs
from edeploy.node.upgrade.tree import Old


def lay_seed(folder: Path, old: Old, entries: list[Entry]) -> None:
    """Fill the empty `folder` with links to the old version's files, at the paths of the new
    contents that they are like: a kernel's modules move with every release.

    For reading only: they are the old version's own. What cannot be linked is left out.
    """
    top, made = os.fsencode(folder), set()
    for pair in pairs(old.entries, entries):
        if pair.old < 0:
            continue
        target = os.path.join(top, entries[pair.new].path)
        parent = os.path.dirname(target)
        if parent not in made:
            os.makedirs(parent, exist_ok=True)
            made.add(parent)
        source = old.path(old.entries[pair.old].path)
        if os.path.isfile(source) and not os.path.islink(source):
            with contextlib.suppress(OSError):
                os.link(source, target, follow_symlinks=False)
