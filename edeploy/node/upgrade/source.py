"""What the server has: versions of this machine's role, ways between them, and their bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.images import signature
from edeploy.images.ways import Edge
from edeploy.node import timeouts
from edeploy.node.http import BadAnswer, Server
from edeploy.node.install.unpack import Unpacker
from edeploy.run import run


class NotTrusted(EdeployError):
    """Nobody who may do so vouches for the version."""


class UnknownVersion(EdeployError):
    """The server has no such version of this role."""


@dataclass(frozen=True)
class Offer:
    """A version on the server: paths there, "" where there is none."""

    version: str
    archive: str
    archive_size: int
    archive_sha256: str
    manifest: str
    manifest_sha256: str
    signature: str
    rsync: str
    allow_unsigned: bool


def offers(server: Server, role: str) -> dict[str, Offer]:
    """All versions of a role. Raises ServerAway, ServerRefused, BadAnswer."""
    answer = server.get(f"/v1/images/{role}").get("images")
    if not isinstance(answer, dict):
        raise BadAnswer(f"/v1/images/{role}: `images` is no object")
    return {version: _offer(version, facts) for version, facts in answer.items()}


def offer(server: Server, role: str, version: str) -> Offer:
    """One version. Raises UnknownVersion, which lists what there is."""
    found = offers(server, role)
    if version not in found:
        there = ", ".join(found) or "none"
        raise UnknownVersion(
            f"{server.base} has no {role} {version}; versions: {there}",
            "Run: edeploy-node list",
        )
    return found[version]


def edges(server: Server, role: str) -> list[Edge]:
    """All edges of a role that have a pack."""
    rows = server.get(f"/v1/edges/{role}").get("edges")
    if not isinstance(rows, list):
        raise BadAnswer(f"/v1/edges/{role}: `edges` is no list")
    try:
        return [
            Edge(
                old=str(row["old"]),
                new=str(row["new"]),
                size=int(row["size"]),
                barrier=str(row["barrier"]),
                reboot=str(row["reboot"]),
            )
            for row in rows
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise BadAnswer(f"/v1/edges/{role}: {error}") from error


def pack_path(role: str, edge: Edge) -> str:
    """Where the pack of an edge is on the server."""
    return f"/metadata/{edge.old}/{role}/{edge.new}/pack"


def trusted_manifest(
    server: Server, role: str, wanted: Offer, signers: Path
) -> tuple[bytes, bytes]:
    """The manifest of a version and its signature (b"": none), checked.

    Raises NotTrusted, BadSignature, ServerAway, ServerRefused.
    """
    data = server.read(wanted.manifest)
    sig = server.read(wanted.signature) if wanted.signature else b""
    check_trust(f"{role} {wanted.version}", data, sig, wanted, signers)
    return data, sig


def check_trust(image: str, data: bytes, sig: bytes, wanted: Offer, signers: Path) -> None:
    """Raise NotTrusted or BadSignature unless this manifest of `image` may be used."""
    found = hashlib.sha256(data).hexdigest()
    if found != wanted.manifest_sha256:
        raise NotTrusted(
            f"{image}: the manifest's SHA-256 is {found}, announced was {wanted.manifest_sha256}",
            "It is damaged in the store, or was changed: build the image again.",
        )
    if signers.is_file() and sig:
        signature.check(data, image, sig, signers)
        return
    # Whoever installed this machine with signers did not mean to be talked out of them.
    if signers.is_file() or not wanted.allow_unsigned:
        what = "it is not signed" if not sig else f"{signers} is not there"
        raise NotTrusted(
            f"{image}: {what}, and without a signature nothing is installed here",
            f"On the server: edeploy image sign {image.partition(' ')[0]} --key FILE",
        )


def fetch_files(
    wanted: Offer, paths: Iterable[bytes], root: Path, seed: Path | None = None
) -> None:
    """Put these paths of the image below `root` by rsync, whatever lies there now; of files that
    `seed` has at these paths only what differs comes.

    Raises EdeployError when the server has no rsync daemon, ProgramFailed.
    """
    if not wanted.rsync:
        raise EdeployError(
            "the server runs no rsync daemon", "Set [rsync] enabled = true in its configuration."
        )
    text = b"".join(path + b"\0" for path in paths)
    names = root / ".edeploy-names"
    names.write_bytes(text)
    try:
        run(
            [
                "rsync", "-aHAXz", "--numeric-ids", "--ignore-times", "--from0",
                *([f"--copy-dest={seed}"] if seed else []),
                f"--files-from={names}", f"--timeout={timeouts.STALL:.0f}",
                f"--contimeout={timeouts.CONNECT:.0f}",
                wanted.rsync.rstrip("/") + "/", f"{root}/",
            ],
            timeout=None,
        )  # fmt: skip
    finally:
        names.unlink()


def fetch_whole(server: Server, wanted: Offer, root: Path) -> None:
    """Unpack the whole archive into the empty folder `root`. Raises ProgramFailed, ServerAway."""
    with server.open(wanted.archive) as stream, Unpacker(root) as unpacker:
        for chunk in stream.chunks():
            unpacker.feed(chunk)
        unpacker.finish()


def _offer(version: str, facts: object) -> Offer:
    if not isinstance(facts, Mapping):
        raise BadAnswer(f"version {version}: no object")
    size = facts.get("archive_size")
    return Offer(
        version=version,
        archive=str(facts.get("archive") or ""),
        archive_size=size if isinstance(size, int) else 0,
        archive_sha256=str(facts.get("archive_sha256") or ""),
        manifest=str(facts.get("manifest") or ""),
        manifest_sha256=str(facts.get("manifest_sha256") or ""),
        signature=str(facts.get("signature") or ""),
        rsync=str(facts.get("rsync") or ""),
        allow_unsigned=facts.get("allow_unsigned") is True,
    )
