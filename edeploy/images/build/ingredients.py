"""What goes into a layer, by name: equal ingredients need no new build, others say what changed."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import edeploy.images
from edeploy.images.build.role_files import early_files, file_digest, overlay_files
from edeploy.images.manifest import quote
from edeploy.images.nodepack import node_bytes
from edeploy.images.owners import paths_text
from edeploy.images.packages.apt import architecture
from edeploy.images.packages.debian import request_of, users_of
from edeploy.images.packages.mirrors import Source
from edeploy.images.packages.plan import Plan
from edeploy.images.recipe import LOCK, Recipe
from edeploy.images.recipe_file import Family

# The steps of a build are an ingredient like the recipe: these modules hold them.
_BOTH = (
    "build/bench.py",
    "build/accounts.py",
    "build/chroot.py",
    "build/compiled.py",
    "build/layer_process.py",
    "build/logged.py",
    "build/role_files.py",
    "build/seal.py",
    "build/secrets.py",
    "build/shared_tree.py",
    "build/times.py",
)
_PACKAGES = (*_BOTH, "packages/debian.py", "packages/index.py", "build/initramfs.py")
_RPMS = (*_BOTH, "packages/rpm.py", "packages/debian.py")
_SETUP = (*_BOTH, "build/initramfs.py", "build/role_setup.py", "owners.py")


def of_packages(
    recipe: Recipe, suite: str, sources: Sequence[Source], plan: Plan, parent: str
) -> dict[str, str]:
    """The ingredients of a role's packages, over the layer with the key `parent` ("": none)."""
    found = {
        "parent": parent,
        "suite": suite,
        "architecture": architecture(),
        "steps": _steps(_RPMS if recipe.family is Family.RPM else _PACKAGES),
        "sources": _digest("".join(map(_stanza, sources)).encode()),
    }
    if not parent and recipe.family is Family.DEBIAN:
        found["mmdebstrap"] = _program("mmdebstrap")
    for name in request_of(recipe):
        found[f"request {name}"] = "yes"
    for package in plan.packages:
        found[f"package {package.name}:{package.architecture}"] = (
            f"{package.version} {package.sha256}"
        )
    for name in plan.removed:
        found[f"remove {name}"] = "yes"
    for user in users_of(recipe):
        found[f"user {user.name}"] = f"{user.uid}:{user.gid} {user.group} {user.home} {user.shell}"
    for repository in recipe.repositories:
        found[f"key {repository.name}"] = _digest(repository.key.read_bytes())
    for path, source in early_files(recipe.parts[-1]).items():
        found[f"file {_name(path)}"] = file_digest(source)
    return found


def of_setup(recipe: Recipe, parent: str) -> dict[str, str]:
    """The ingredients of a role's setup, over the layer with the key `parent`."""
    part = recipe.parts[-1]
    found = {"parent": parent, "role": recipe.name, "steps": _steps(_SETUP)}
    for path, source in overlay_files(part).items():
        found[f"file {_name(path)}"] = file_digest(source)
    if part.script:
        found["script"] = file_digest(part.script)
        # It may read whatever else is in its role's folder.
        others = [folder for folder in (part.files, part.tests) if folder]
        for source in sorted(part.folder.rglob("*")):
            # What a lock says is in the packages: a lock of them is no change.
            is_lock = source == part.folder / LOCK
            if not is_lock and not any(source.is_relative_to(folder) for folder in others):
                name = _name(str(source.relative_to(part.folder)))
                found[f"beside the script: {name}"] = file_digest(source)
        for name, value in recipe.variables.items():
            # By its digest: values may be long, or not for everybody.
            found[f"variable {name}"] = _digest(value.encode())
    for unit in recipe.enable:
        found[f"enable {unit}"] = "yes"
    for unit in recipe.disable:
        found[f"disable {unit}"] = "yes"
    for user in users_of(recipe):
        found[f"groups of {user.name}"] = f"{' '.join(user.groups)} {user.home}"
    if recipe.paths:
        found["paths"] = _digest(paths_text(recipe.paths, recipe.exclude).encode())
    if recipe.kernel:
        found["kernel"] = recipe.kernel
    if recipe.parent is None:
        found["node"] = _digest(node_bytes())
    return found


def changes(role: str, before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What an operator calls the difference of two layers' ingredients; the parent's is its own."""
    found = []
    for name in sorted({*before, *now} - {"parent"}):
        old, new = before.get(name), now.get(name)
        if old == new:
            continue
        kind, _, rest = name.partition(" ")
        if kind == "package":
            versions = [value.split()[0] if value else "" for value in (old, new)]
            package = rest.partition(":")[0]
            if not old:
                found.append(f"{package} {versions[1]} is new")
            elif not new:
                found.append(f"{package} is gone")
            else:
                found.append(f"{package} {versions[0]} → {versions[1]}")
        elif name == "steps":
            found.append("edeploy builds it in another way")
        elif old is None:
            found.append(f"{name} is new")
        elif new is None:
            found.append(f"{name} is gone")
        else:
            found.append(f"{name} changed")
    return [f"{role}: {what}" for what in found]


def _stanza(source: Source) -> str:
    """A repository's key counts by what it is (`key NAME`), not by where the role lies."""
    return (replace(source, keyring="") if source.name else source).stanza()


def _name(path: str) -> str:
    return quote(os.fsencode(path))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _steps(names: Sequence[str]) -> str:
    folder = Path(edeploy.images.__file__).parent
    return _digest(b"".join((folder / name).read_bytes() for name in names))


@cache
def _program(name: str) -> str:
    found = shutil.which(name)
    return _digest(Path(found).read_bytes()) if found else "not there"
