"""Reading what the kernel tells in files: a machine's root folder, or a copy of one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

SMBIOS = "sys/firmware/dmi/tables/DMI"


@dataclass(frozen=True)
class Tree:
    """The files under `root` (`/` on a machine). What is not there or not readable is empty."""

    root: Path = Path("/")

    def path(self, name: str) -> Path:
        """The path of `name`, which is relative to the root."""
        return self.root / name

    def text(self, name: str) -> str:
        """The content of a small file, without blanks around it and without NUL bytes."""
        return self.data(name).decode(errors="replace").replace("\0", "").strip()

    def data(self, name: str) -> bytes:
        """The bytes of a small file."""
        try:
            return self.path(name).read_bytes()
        except OSError:
            # sysfs also refuses to read: the speed of a link that is down, an empty slot.
            return b""

    def number(self, name: str) -> int | None:
        """The number in a file; None when there is none."""
        try:
            return int(self.text(name))
        except ValueError:
            return None

    def names(self, folder: str) -> list[str]:
        """The sorted names in a folder."""
        try:
            return sorted(os.listdir(self.path(folder)))
        except OSError:
            return []

    def exists(self, name: str) -> bool:
        """Whether `name` is there."""
        return self.path(name).exists()

    def target(self, name: str) -> str:
        """The last part of where a link leads, such as a driver's name; empty for no link."""
        try:
            return os.path.basename(os.readlink(self.path(name)))
        except OSError:
            return ""
