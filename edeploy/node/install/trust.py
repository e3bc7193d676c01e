"""Why an image may be trusted: decided before a disk is touched."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from edeploy.errors import EdeployError
from edeploy.images import signature
from edeploy.node.http import BadAnswer
from edeploy.node.install.context import InstallContext
from edeploy.node.install.image import ImageFacts, TrustedImage


class NotTrusted(EdeployError):
    """The image is not what was announced, or nobody who may do so vouches for it."""


def trusted_image(context: InstallContext, role: str, version: str) -> TrustedImage:
    """The image `role` `version`, its manifest and its signature checked.

    Raises ServerRefused, naming what there is, and NotTrusted or BadSignature.
    """
    facts = _ask(context, role, version)
    manifest = context.server.read(facts.manifest)
    found = hashlib.sha256(manifest).hexdigest()
    if found != facts.manifest_sha256:
        raise NotTrusted(
            f"{facts.manifest}: SHA-256 {found}, should be {facts.manifest_sha256}",
            "The manifest in the store is damaged: build the image again.",
        )
    signed = context.server.read(facts.signature) if facts.signature else b""
    _check_signature(context, f"{role} {version}", facts, manifest, signed)
    return TrustedImage(manifest, signed, facts)


def _check_signature(
    context: InstallContext, image: str, facts: ImageFacts, manifest: bytes, signed: bytes
) -> None:
    if signed and context.signers.is_file():
        name = signature.check(manifest, image, signed, context.signers)
        context.say(f"{image}: signed by {name}")
        return
    what = "this ramdisk carries no signers" if facts.signature else "it is not signed"
    if not facts.allow_unsigned:
        raise NotTrusted(
            f"{image}: {what}, and the server's configuration wants signatures",
            "Build the ramdisk with --signers." if facts.signature else "edeploy image sign",
        )
    context.say(f"{image}: {what}; the server's configuration allows that")


def _ask(context: InstallContext, role: str, version: str) -> ImageFacts:
    answer = context.server.get("/v1/install/image", {"role": role, "version": version})
    size = answer.get("archive_size")
    return ImageFacts(
        archive=_text(answer, "archive"),
        archive_size=size if isinstance(size, int) else 0,
        archive_sha256=_text(answer, "archive_sha256", needed=False),
        manifest=_text(answer, "manifest"),
        manifest_sha256=_text(answer, "manifest_sha256"),
        signature=_text(answer, "signature", needed=False),
        rsync=_text(answer, "rsync", needed=False),
        allow_unsigned=answer.get("allow_unsigned") is True,
    )


def _text(answer: Mapping[str, object], name: str, *, needed: bool = True) -> str:
    value = answer.get(name)
    if value is None and not needed:
        return ""
    if not isinstance(value, str):
        raise BadAnswer(f"/v1/install/image: `{name}` is no text")
    return value
