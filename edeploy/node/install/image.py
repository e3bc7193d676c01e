"""The image of an installation: what the server says of it, and what it must be."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from edeploy.images.manifest import Entry, parse


@dataclass(frozen=True)
class ImageFacts:
    """What the server says: paths on it, hexadecimal SHA-256 and size in bytes; an empty text is
    not known. `allow_unsigned`: the server's configuration does without signatures."""

    archive: str
    archive_size: int
    archive_sha256: str
    manifest: str
    manifest_sha256: str
    signature: str
    rsync: str
    allow_unsigned: bool


@dataclass(frozen=True)
class Contents:
    """The manifest that says what an image must be, and its signature (empty for none)."""

    manifest: bytes
    signature: bytes

    @functools.cached_property
    def entries(self) -> list[Entry]:
        """What the manifest says; read once, as it is long."""
        return parse(self.manifest)


@dataclass(frozen=True)
class TrustedImage(Contents):
    """An image of the server, which may be installed."""

    facts: ImageFacts
