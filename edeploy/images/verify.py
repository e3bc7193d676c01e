"""Compares what lies somewhere - an image, a folder, an archive - with a manifest."""

from __future__ import annotations

import tempfile
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.images import archive, manifest, trees
from edeploy.images.store import Image


def verify_image(image: Image) -> list[str]:
    """How the store's copy of an image differs from what was built, in files and tree."""
    record = image.record()
    found = [
        f"{path}: sha256 is not the one that was recorded when it was built"
        for path, wanted in (
            (image.manifest, record.manifest_sha256),
            (image.archive, record.archive_sha256),
        )
        if not path.is_file() or archive.sha256_of(path) != wanted
    ]
    return found + verify_tree(image.tree, image.manifest)


def refuse_damaged(image: Image) -> None:
    """Raise EdeployError when the manifest is not the one that was recorded at the build."""
    if archive.sha256_of(image.manifest) != image.record().manifest_sha256:
        raise EdeployError(
            f"{image.manifest}: not the manifest that was built", "Build the image again."
        )


def verify_tree(tree: Path, manifest_file: Path) -> list[str]:
    """How the tree at `tree` differs, a line each. Raises BadManifest, EdeployError."""
    try:
        entries = manifest.parse(manifest_file.read_bytes())
        return [str(difference) for difference in trees.check(tree, entries)]
    except OSError as error:
        raise EdeployError(f"{error.filename}: {error.strerror}") from error


def verify_archive(path: Path, manifest_file: Path | None = None) -> list[str]:
    """How an archive's content differs; by default from the manifest beside it.

    It is unpacked to a temporary folder beside it. Raises EdeployError, ProgramFailed.
    """
    if not path.is_file():
        raise EdeployError(f"{path}: no such archive or folder")
    with tempfile.TemporaryDirectory(prefix=".verify-", dir=path.parent) as folder:
        archive.unpack(path, Path(folder))
        return verify_tree(Path(folder), manifest_file or path.with_suffix(".manifest"))
