"""The phase `fetch`: the image goes from the server to the new root, straight through."""

from __future__ import annotations

import hashlib
import re
import time
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.node import timeouts
from edeploy.node.follow import follow
from edeploy.node.http import Retry
from edeploy.node.install.context import InstallContext
from edeploy.node.install.image import ImageFacts
from edeploy.node.install.unpack import Unpacker
from edeploy.node.mounts import below
from edeploy.run import Done, ProgramFailed, failure

_PROGRESS = re.compile(r" *([\d,]+) +\d+% ")
# rsync's words for a server that is away or went away: 5 start-up refused (busy), 10 socket,
# 12 protocol stream, 30 and 35 time-outs.
_AWAY = (5, 10, 12, 30, 35)


class FetchFailed(EdeployError):
    """The image did not arrive, or is not what the server announced."""


def fetch(context: InstallContext) -> None:
    """Fill the new root, as the profile says. Raises FetchFailed, ServerAway, ServerRefused."""
    image = context.image.facts
    if context.job.fetch == "rsync":
        by_rsync(context, image)
    else:
        by_http(context, image)


def by_http(context: InstallContext, image: ImageFacts) -> None:
    """Stream the archive through zstd and tar; nothing is kept but what tar writes."""
    digest = hashlib.sha256()
    with context.server.open(image.archive) as stream:
        try:
            with Unpacker(context.root) as unpacker:
                for chunk in stream.chunks():
                    digest.update(chunk)
                    unpacker.feed(chunk)
                    context.progress(stream.position, image.archive_size, "bytes")
                unpacker.finish()
        except ProgramFailed as error:
            # The whole archive says whether it or this machine is to blame.
            for chunk in stream.chunks():
                digest.update(chunk)
            refuse_damage(image, digest.hexdigest(), because=error)
            raise
    refuse_damage(image, digest.hexdigest())


def refuse_damage(image: ImageFacts, found: str, because: ProgramFailed | None = None) -> None:
    """Raise FetchFailed when the archive that arrived is not the one that was announced."""
    if image.archive_sha256 and found != image.archive_sha256:
        raise FetchFailed(
            f"{image.archive}: SHA-256 {found}, should be {image.archive_sha256}",
            "The archive in the store is damaged: build the image again.",
        ) from because


def by_rsync(context: InstallContext, image: ImageFacts, retry: Retry | None = None) -> None:
    """Copy the tree; goes on where it was when the server was away, as `retry` says."""
    if not image.rsync:
        raise FetchFailed(
            "the profile says fetch=rsync, but the server runs no rsync daemon",
            'Set [rsync] enabled = true, or fetch = "http" in the profile.',
        )
    patience = retry or context.server.retry
    argv = rsync_words(image.rsync, context.root, protected_points(context.root))
    pauses, end, copied = patience.pauses(), time.monotonic() + patience.give_up, 0
    while True:
        progress = _Progress(context)
        done = follow(argv, on_line=progress.line, on_tick=progress.tick)
        if done.code == 0:
            return
        if progress.done > copied:
            # Bytes came: the next trouble gets full patience.
            pauses, end = patience.pauses(), time.monotonic() + patience.give_up
            copied = progress.done
        if done.code not in _AWAY or time.monotonic() > end:
            raise _rsync_failure(done)
        context.log(f"rsync: status {done.code}; trying again")
        time.sleep(next(pauses))


def rsync_words(source: str, root: Path, protected: list[str]) -> list[str]:
    """The rsync command that makes `root` the tree at `source`, but for protected paths."""
    filters = [f"--filter=protect {_escaped(path)}" for path in ("/lost+found", *protected)]
    return [
        "rsync",
        "-aHAX", "--sparse", "--numeric-ids",
        "--delete", *filters,
        f"--timeout={timeouts.STALL:.0f}", f"--contimeout={timeouts.CONNECT:.0f}",
        "--info=progress2", "--outbuf=L",
        source.rstrip("/") + "/", f"{root}/",
    ]  # fmt: skip


def protected_points(root: Path) -> list[str]:
    """What the configure script mounted below the root, as paths in it."""
    top = root.resolve()
    points = {mount.point for mount in below(root)} - {top}
    return [f"/{point.relative_to(top)}" for point in sorted(points)]


def _escaped(path: str) -> str:
    return re.sub(r"([*?\[\\])", r"\\\1", path)


def _rsync_failure(done: Done) -> EdeployError:
    error = failure(done)
    return FetchFailed(error.message, "The server's rsync daemon says more in its log.")


class _Progress:
    """Turns what rsync prints into progress and log lines."""

    def __init__(self, context: InstallContext) -> None:
        self._context = context
        self.done = 0

    def line(self, line: str) -> None:
        found = _PROGRESS.match(line)
        if found:
            self.done = int(found[1].replace(",", ""))
        else:
            self._context.log(line)

    def tick(self) -> None:
        self._context.progress(self.done, 0, "bytes")
