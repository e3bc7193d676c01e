"""What goes into an image, as one digest: equal digests need no new build."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import edeploy.images
from edeploy.images.nodepack import node_bytes
from edeploy.images.overlay import overlay_files, overlay_mode
from edeploy.images.recipe import Recipe

# The steps of a build are an input like the recipe: these modules hold them.
_STEPS = ("archive.py", "build.py", "chroot.py", "debian.py", "overlay.py", "seal.py")


def inputs_digest(recipe: Recipe, suite: str) -> str:
    """SHA-256 (hex) over the recipe, its files and scripts, the node, and the build's own steps.

    Times, places and the mirror's name do not count. What the mirror offers does not either:
    `edeploy image build --force` asks it again.
    """
    digest = hashlib.sha256()
    for name, content in _inputs(recipe, suite):
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _inputs(recipe: Recipe, suite: str) -> Iterator[tuple[str, bytes]]:
    yield "recipe", json.dumps(_facts(recipe, suite), sort_keys=True).encode()
    for path, source in overlay_files(recipe).items():
        yield f"files {path} {overlay_mode(source):o}", _content(source)
    for part in recipe.parts:
        if part.script:
            # A script may read whatever else is in its role's folder.
            for source in sorted(part.folder.rglob("*")):
                name = source.relative_to(part.folder)
                yield f"role {part.role} {name} {overlay_mode(source):o}", _content(source)
    for repository in recipe.repositories:
        yield f"key {repository.name}", repository.key.read_bytes()
    yield "node", node_bytes()
    for step in _STEPS:
        yield f"step {step}", (Path(edeploy.images.__file__).parent / step).read_bytes()


def _content(source: Path) -> bytes:
    if source.is_symlink():
        return os.fsencode(os.readlink(source))
    return source.read_bytes() if source.is_file() else b""


def _facts(recipe: Recipe, suite: str) -> dict[str, object]:
    return {
        "name": recipe.name,
        "roles": [part.role for part in recipe.parts],
        "suite": suite,
        "packages": recipe.packages,
        "repositories": [
            (each.name, each.url, each.suite, each.components) for each in recipe.repositories
        ],
        "enable": recipe.enable,
        "disable": recipe.disable,
        "users": [vars(user) for user in recipe.users],
        "kernel": recipe.kernel,
        "variables": dict(recipe.variables),
        "exclude": recipe.exclude,
    }
