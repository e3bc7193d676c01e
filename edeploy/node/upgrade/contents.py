"""New contents out of packs: restored where they belong, each against the old one it is told by."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Callable

from edeploy.images import pack
from edeploy.images.pack import Pack
from edeploy.images.ways import Step, steps
from edeploy.node.upgrade.partial import Partial


class Contents:
    """The contents that packs bring to a machine that has those of `have`.

    `have` gives the path of an old file by the SHA-256 of its content; `between` is a folder for
    contents that only others are told against. Raises BadPack when the packs do not fit.
    """

    def __init__(
        self,
        packs: Sequence[Pack],
        files: Sequence[Partial],
        have: dict[str, bytes],
        between: Path,
    ) -> None:
        self._files = files
        self._paths = dict(have)
        self._between = os.fsencode(between)
        self._steps = {step.blob.sha256: step for step in steps(packs, have)}

    @property
    def new_bytes(self) -> int:
        """What all of it takes on the disk."""
        return sum(step.blob.size for step in self._steps.values())

    @property
    def transfer(self) -> int:
        """Bytes of all frames that are needed."""
        return sum(step.blob.length for step in self._steps.values())

    def fetch(self, on_bytes: Callable[[int], None] = lambda _: None) -> None:
        """Have all frames here. Raises ServerAway, ServerRefused."""
        for number, file in enumerate(self._files):
            blobs = [step.blob for step in self._steps.values() if step.pack == number]
            spans = [(blob.offset, blob.offset + blob.length) for blob in blobs]
            file.fetch(spans, on_bytes)

    def restore(self, sha256: str, path: bytes) -> bool:
        """Write this content to `path`, which must not exist; False when no pack has it.

        Raises BadPack when it does not come out: the old file was edited, or the pack is damaged.
        """
        step = self._steps.get(sha256)
        if step is None:
            return False
        blob = step.blob
        source = self._source(step) if blob.source else None
        try:
            self._write(step, source, path)
        except BaseException:
            if os.path.lexists(path):
                os.unlink(path)
            raise
        self._paths.setdefault(sha256, path)
        return True

    def _source(self, step: Step) -> bytes:
        known = self._paths.get(step.blob.source)
        if known is not None:
            return known
        path = os.path.join(self._between, step.blob.source.encode())
        self.restore(step.blob.source, path)
        return path

    def _write(self, step: Step, source: bytes | None, path: bytes) -> None:
        blob = step.blob
        read = self._files[step.pack].read
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(made, "wb") as writer:
            if source is None:
                writer.writelines(pack.restored(blob, read, None))
                return
            with open(source, "rb") as reader:
                writer.writelines(pack.restored(blob, read, reader))
