"""Machines that are folders, and programs that are scripts."""

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from edeploy.inventory.items import Item, Report
from edeploy.node.detect.tree import Tree

CAPTURED = Path(__file__).parents[1] / "captured"


def machine(root: Path, files: Mapping[str, str], links: Mapping[str, str] | None = None) -> Tree:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    for name, target in (links or {}).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(target)
    return Tree(root)


def fake(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    os.chmod(folder / name, stat.S_IRWXU)


def report(items: Iterable[Item]) -> Report:
    return Report(tuple(items))


def block(name: str, sectors: int, **files: str) -> dict[str, str]:
    return {f"sys/block/{name}/size": f"{sectors}\n"} | {
        f"sys/block/{name}/{file.replace('__', '/')}": text for file, text in files.items()
    }
