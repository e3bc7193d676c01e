"""What all boot loaders say of a version."""

from __future__ import annotations

import os
from pathlib import Path

from edeploy.node.boot import settings
from edeploy.node.upgrade.places import Places


def is_root_itself(name: str) -> bool:
    """Whether a name is that of the system from before the first upgrade: serial 0."""
    return name.endswith(".0")


def is_there(places: Places, name: str) -> bool:
    """Whether a version that had an entry can still be started."""
    return is_root_itself(name) or places.tree(name).is_dir()


def title_of_version(tree: Path, name: str, kernel: str) -> str:
    """A line for people: name, system and kernel."""
    path = tree / "etc/os-release"
    # Mostly a link: to be followed inside of the tree.
    path = tree / os.readlink(path).lstrip("./") if path.is_symlink() else path
    about = settings.title_of(path.read_text()) if path.is_file() else "Linux"
    return f"{name}: {about}, Linux {kernel}"
