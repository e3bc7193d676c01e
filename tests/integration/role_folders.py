"""Folders of roles that are built in seconds."""

import shutil
from pathlib import Path

BASE = Path(__file__).parents[2] / "roles/base"


def write_role(folder: Path, recipe: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "role.yaml").write_text(recipe)
    (folder / "script").write_text(script)
    (folder / "script").chmod(0o755)


def write_debian_role(folder: Path, recipe: str, script: str) -> None:
    """A role without parents; apt and dpkg do as they do in the role base."""
    for name in ("apt", "dpkg"):
        shutil.copytree(BASE / "files/etc" / name, folder / "files/etc" / name)
    write_role(folder, recipe, script)
