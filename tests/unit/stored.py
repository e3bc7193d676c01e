"""Images that were not built but put into a store, of files that share as those of builds do."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from edeploy.images import archive, manifest, trees
from edeploy.images.build.layers import About, Kind, Layer, Layers
from edeploy.images.build.shared_tree import Find, How, Source, make_tree
from edeploy.images.manifest import Entry
from edeploy.images.objects import Objects
from edeploy.images.store import Image, Record, Store, record_text

EPOCH = 1_700_000_000


def put_image(
    store: Store,
    role: str,
    version: str,
    files: Mapping[str, str],
    *,
    packages: Mapping[str, str] | None = None,
    layers: Sequence[str] = (),
) -> Image:
    """An image whose tree has these files (path → content; a time in 2023, mode 0644)."""
    image = store.place(role, version)
    image.tree.parent.mkdir(parents=True, exist_ok=True)
    source = plain_tree(store.root / f".source-{role}-{version}", files)
    entries = trees.scan(source)
    make_tree(entries, image.tree, find=found_in(source), objects=Objects(store.objects))
    image.manifest.write_bytes(manifest.dump(entries, str(image)))
    archive.pack(image.tree, image.archive)
    rows = (f"{name}\t{number}\tall\n" for name, number in (packages or {}).items())
    image.packages.write_text("".join(rows))
    sums = [archive.sha256_of(path) for path in (image.archive, image.manifest)]
    size = sum(entry.size for entry in entries)
    record = Record("", len(entries), size, 9, sums[0], sums[1], 1.0, tuple(layers))
    image.record_file.write_text(record_text(record))
    return image


def put_layer(store: Store, key: str, files: Mapping[str, str]) -> Layer:
    """A finished layer with this key."""
    layers = Layers(store.layers, store.trash)
    source = plain_tree(store.root / f".source-{key}", files)
    with layers.making(key, lambda _: None) as folder:
        entries = trees.scan(source)
        objects = Objects(store.objects)
        make_tree(entries, folder / "tree", find=found_in(source), objects=objects)
        (folder / "manifest").write_bytes(manifest.dump(entries))
        return layers.keep(folder, key, About("web", Kind.SETUP, EPOCH, 1.0), {"parent": ""})


def plain_tree(folder: Path, files: Mapping[str, str]) -> Path:
    """A folder with these files; all times are the same."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (EPOCH, EPOCH))
    return folder


def found_in(tree: Path) -> Find:
    """For `make_tree`: content is moved from `tree`."""

    def find(entry: Entry, _: Sequence[bytes]) -> Source:
        return Source(os.path.join(os.fsencode(tree), entry.path), How.MOVE)

    return find
