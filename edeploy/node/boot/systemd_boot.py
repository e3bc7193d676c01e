"""systemd-boot: it counts the tries in the name of a trial's entry, and puts spent ones last."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from edeploy import atomic
from edeploy.node.boot import settings
from edeploy.node.boot.booted import ARGUMENT, TRIAL
from edeploy.node.boot.entries import is_root_itself, is_there, title_of_version
from edeploy.node.boot.flush import flush
from edeploy.node.boot.kernels import FOLDER, INITRD, LINUX, drop_others, keep_kernel
from edeploy.node.boot.loader import TRIES, Loader, NotBootable
from edeploy.node.boot.marker import Marker
from edeploy.node.upgrade.places import Places

# In efivarfs, UTF-16 after four bytes of attributes.
LOADER_INFO = Path("/sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f")
# Entries of one sort-key are shown by this, the highest first, and the first one starts.
_OTHER, _GOOD, _TRIAL = 1, 2, 3
_FILE = re.compile(r"edeploy-(?P<name>.+?)(?:\+(?P<left>\d+)(?:-\d+)?)?\.conf\Z")
_VERSION = re.compile(r"^version (\d+)$", re.MULTILINE)


def started_by_systemd_boot() -> bool:
    """Whether systemd-boot started the system that runs."""
    return LOADER_INFO.is_file() and b"systemd-boot" in LOADER_INFO.read_bytes().replace(b"\0", b"")


class SystemdBootLoader(Loader):
    """Versions in `places`, entries and kernels on the ESP at `esp`; `root`: the kernel's
    arguments for the root file system."""

    def __init__(self, places: Places, esp: Path, root: str) -> None:
        self._places = places
        self._esp = esp
        self._root = root
        self._entries = esp / "loader/entries"
        self._marker = Marker(places)

    def prepare(self, names: Sequence[str], good: str) -> None:
        """See `Loader.prepare`."""
        if good not in names:
            raise NotBootable(f"{good} shall be the good version, but is not one of them")
        self._entries.mkdir(parents=True, exist_ok=True)
        # The good one first: at no moment is there none.
        for name in sorted(names, key=lambda name: name != good):
            self._write(name, _GOOD if name == good else _OTHER)
        for path in self._files():
            if _name(path) not in names:
                path.unlink()
        self._choose_ours()
        flush(self._esp)
        drop_others(self._esp, names)

    def arm(self, name: str, tries: int = TRIES) -> None:
        """See `Loader.arm`."""
        plain = self._entries / f"edeploy-{name}.conf"
        if not plain.is_file():
            raise NotBootable(f"systemd-boot has no entry for {name}")
        self._marker.put(name)
        self._drop_counted()
        text = _VERSION.sub(f"version {_TRIAL}", plain.read_text())
        counted = self._entries / f"edeploy-{name}+{tries}.conf"
        atomic.write(counted, re.sub(r"^(options .*)$", rf"\1 {TRIAL}", text, flags=re.M))

    def confirm(self, name: str) -> None:
        """See `Loader.confirm`."""
        names = self._names()
        if name not in names:
            raise NotBootable(f"systemd-boot has no entry for {name}")
        self.prepare(names, name)
        self._drop_counted()
        self._marker.take()

    def disarm(self) -> None:
        """See `Loader.disarm`."""
        self._drop_counted()
        self._marker.take()

    def good(self) -> str:
        """See `Loader.good`."""
        for path in self._files():
            if _left(path) is None and f"version {_GOOD}\n" in path.read_text():
                return _name(path)
        return ""

    def armed(self) -> str:
        """See `Loader.armed`."""
        for path in self._files():
            if _left(path):
                return _name(path)
        return ""

    def refresh(self) -> None:
        """See `Loader.refresh`."""
        good = self.good()
        if good:
            self.prepare(self._names(), good)

    def describe(self) -> str:
        """See `Loader.describe`."""
        return "systemd-boot counts the tries and starts the good version when none is left"

    def _write(self, name: str, rank: int) -> None:
        if is_root_itself(name):
            tree, chosen = self._places.root, ""
        else:
            tree, chosen = self._places.tree(name), f"{ARGUMENT}{name} "
        kernel = keep_kernel(tree, self._esp, name)
        folder = f"/{FOLDER}/{name}"
        arguments = settings.surviving(settings.arguments_of(tree))
        lines = [
            f"title {title_of_version(tree, name, kernel.version)}",
            "sort-key edeploy",
            f"version {rank}",
            f"linux {folder}/{LINUX}",
            *([f"initrd {folder}/{INITRD}"] if kernel.initrd else []),
            f"options {self._root} {chosen}{arguments}",
        ]
        atomic.write(self._entries / f"edeploy-{name}.conf", "\n".join([*lines, ""]))

    def _choose_ours(self) -> None:
        path = self._esp / "loader/loader.conf"
        lines = path.read_text().splitlines() if path.is_file() else []
        kept = [line for line in lines if not line.startswith("default")]
        if [*kept, "default edeploy-*"] != lines:
            atomic.write(path, "\n".join([*kept, "default edeploy-*", ""]))

    def _drop_counted(self) -> None:
        for path in self._files():
            if _left(path) is not None:
                path.unlink()

    def _files(self) -> list[Path]:
        return sorted(path for path in self._entries.glob("edeploy-*.conf") if _name(path))

    def _names(self) -> list[str]:
        """The versions that have entries, and trees that have not been removed since."""
        names = [_name(path) for path in self._files() if _left(path) is None]
        return [name for name in names if is_there(self._places, name)]


def _name(path: Path) -> str:
    found = _FILE.match(path.name)
    return found["name"] if found else ""


def _left(path: Path) -> int | None:
    """The tries that an entry has left; None for one that is not counted."""
    found = _FILE.match(path.name)
    return int(found["left"]) if found and found["left"] is not None else None
