"""Layers: finished trees under the digest of all that went into them, each made once."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from edeploy import atomic
from edeploy.errors import EdeployError
from edeploy.images import manifest
from edeploy.images.locks import Busy, alone
from edeploy.images.manifest import Entry
from edeploy.images.trash import discard, remove_tree


class Kind(StrEnum):
    """The two layers of a role: the second is its finished tree."""

    PACKAGES = "packages"
    SETUP = "setup"


@dataclass(frozen=True)
class About:
    """Of which role and kind a layer is; its `epoch` in Unix seconds; what making it took."""

    role: str
    kind: Kind
    epoch: int
    seconds: float


@dataclass(frozen=True)
class Layer:
    """A finished layer in its folder."""

    key: str
    folder: Path

    @property
    def tree(self) -> Path:
        return self.folder / "tree"

    @property
    def manifest(self) -> Path:
        return self.folder / "manifest"

    @property
    def packages(self) -> Path:
        return self.folder / "packages"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def about(self) -> About:
        """Raises EdeployError when the layer is damaged."""
        try:
            data = json.loads((self.folder / "about.json").read_bytes())
            return About(**{**data, "kind": Kind(data["kind"])})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise EdeployError(
                f"{self.folder}: not a layer: {error}", "Run: edeploy image fsck --repair"
            ) from error

    def ingredients(self) -> dict[str, str]:
        """What went in, by name."""
        return parse_ingredients((self.folder / "ingredients").read_text(encoding="utf-8"))

    def entries(self) -> dict[bytes, Entry]:
        """What its tree is, by path. Raises BadManifest."""
        return {entry.path: entry for entry in manifest.parse(self.manifest.read_bytes())}


class Layers:
    """The layers of a store, in `folder`."""

    def __init__(self, folder: Path, trash: Path) -> None:
        self.folder = folder
        self._trash = trash

    def find(self, key: str) -> Layer | None:
        """The layer of this key. It counts as used from now."""
        layer = Layer(key, self.folder / key)
        try:
            os.utime(layer.folder)
        except FileNotFoundError:
            return None
        return layer

    def all(self) -> list[Layer]:
        """Every finished layer."""
        return [Layer(path.name, path) for path in sorted(self.folder.glob("[!.]*"))]

    @contextmanager
    def making(self, key: str, on_wait: Callable[[str], None]) -> Iterator[Path]:
        """An empty folder for the layer of this key; nobody else makes it meanwhile."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with alone(self._lock(key), f"makes the layer {key[:12]}", on_wait=on_wait):
            folder = self.folder / f".{key}.making"
            remove_tree(folder)
            folder.mkdir()
            try:
                yield folder
            finally:
                remove_tree(folder)

    def keep(self, folder: Path, key: str, about: About, ingredients: Mapping[str, str]) -> Layer:
        """Make a finished folder the layer of this key, at one moment and for good."""
        layer = Layer(key, self.folder / key)
        atomic.write(folder / "ingredients", ingredients_text(ingredients))
        atomic.write(folder / "about.json", json.dumps(asdict(about), indent=1) + "\n")
        # One for all files: nothing of a layer may be missing after a crash when its name is there.
        atomic.sync_file_system(folder)
        if layer.folder.exists():
            # A running build may have it as the parent's tree: it only goes out of sight.
            discard(layer.folder, self._trash)
        folder.rename(layer.folder)
        atomic.sync_folder(self.folder)
        return layer

    def clear_leftovers(self) -> None:
        """Remove what builds that were killed have left."""
        for folder in self.folder.glob(".*.making"):
            key = folder.name.removeprefix(".").removesuffix(".making")
            with suppress(Busy), alone(self._lock(key), "makes it"):
                remove_tree(folder)

    def _lock(self, key: str) -> Path:
        return self.folder / f".{key}.lock"


def key_of(ingredients: Mapping[str, str]) -> str:
    """The key of a layer: the SHA-256 over all its ingredients, its parent's key among them."""
    return hashlib.sha256(ingredients_text(ingredients).encode()).hexdigest()


def ingredients_text(ingredients: Mapping[str, str]) -> str:
    """A line for each, sorted: its name, a tab, its value."""
    return "".join(f"{name}\t{value}\n" for name, value in sorted(ingredients.items()))


def parse_ingredients(text: str) -> dict[str, str]:
    """What `ingredients_text` wrote."""
    lines = (line.partition("\t") for line in text.splitlines())
    return {name: value for name, _, value in lines}
