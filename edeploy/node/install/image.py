"""What the server says of the image to install."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edeploy.node.http import BadAnswer
from edeploy.node.install.context import InstallContext


@dataclass(frozen=True)
class ImageFacts:
    """Paths on the server, hexadecimal SHA-256 and size in bytes; an empty text is not known."""

    archive: str
    archive_size: int
    archive_sha256: str
    manifest: str
    manifest_sha256: str
    rsync: str


def ask_image(context: InstallContext) -> ImageFacts:
    """The image that the configure script chose. Raises ServerRefused, naming what there is."""
    query = {"role": context.decisions.role, "version": context.decisions.version}
    answer = context.server.get("/v1/install/image", query)
    size = answer.get("archive_size")
    return ImageFacts(
        archive=_text(answer, "archive"),
        archive_size=size if isinstance(size, int) else 0,
        archive_sha256=_text(answer, "archive_sha256", needed=False),
        manifest=_text(answer, "manifest"),
        manifest_sha256=_text(answer, "manifest_sha256"),
        rsync=_text(answer, "rsync", needed=False),
    )


def _text(answer: Mapping[str, object], name: str, *, needed: bool = True) -> str:
    value = answer.get(name)
    if value is None and not needed:
        return ""
    if not isinstance(value, str):
        raise BadAnswer(f"/v1/install/image: `{name}` is no text")
    return value
