"""What the server says of images and of the edges between them."""

import hashlib
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

from fastapi import APIRouter

from edeploy.boot import ipxe
from edeploy.images.edges.folder import edges
from edeploy.images.store import Image
from edeploy.machines.refusal import Refusal
from edeploy.names import checked
from edeploy.server.service import Service

JsonObject = dict[str, object]


def offers_router(service: Service) -> APIRouter:
    """Routes for installed systems: which versions of a role there are, and the ways between."""
    router = APIRouter()

    @router.get("/v1/images/{role}")
    def versions(role: str) -> JsonObject:
        checked(role, "role")
        images = [image for image in service.store.images() if image.role == role]
        return {"images": {image.version: facts_of(service, image) for image in images}}

    @router.get("/v1/edges/{role}")
    def ways(role: str) -> JsonObject:
        return {"edges": [asdict(facts.edge()) for facts in edges(service.store.root, role)]}

    return router


def offered_image(service: Service, image: Image) -> JsonObject:
    """Facts of an image that may be installed. Raises Refusal: nobody signed it."""
    if not image.signature.is_file() and not service.allow_unsigned:
        raise Refusal(
            f"{image} is not signed",
            f"edeploy image sign {image.role} --version {image.version} --key FILE;"
            " or set [images] allow_unsigned = true.",
        )
    return facts_of(service, image)


def facts_of(service: Service, image: Image) -> JsonObject:
    """Where the image's files are on this server, and what they must be."""
    record = image.record()
    base = f"/images/{image.version}/{image.role}-{image.version}"
    host = ipxe.url_host(service.boot.address)
    rsync = f"rsync://{host}:{service.rsync_port}/install/{image.version}/{image.role}/"
    return {
        "archive": f"{base}.edeploy",
        "archive_size": image.archive.stat().st_size,
        "archive_sha256": record.archive_sha256,
        "manifest": f"{base}.manifest",
        "manifest_sha256": _sha256(image.manifest, image.manifest.stat().st_mtime_ns),
        "rsync": rsync if service.rsync_port is not None else None,
        "signature": f"{base}.sig" if image.signature.is_file() else None,
        "allow_unsigned": service.allow_unsigned,
    }


@lru_cache(maxsize=64)
def _sha256(path: Path, _changed: int) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
