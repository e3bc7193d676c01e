"""GRUB: it counts the tries of a trial down by itself and returns to the good version."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from edeploy import atomic
from edeploy.node.boot import grub, settings
from edeploy.node.boot.booted import ARGUMENT
from edeploy.node.boot.disk import BootDisk, boot_folder
from edeploy.node.boot.entries import is_root_itself, is_there, title_of_version
from edeploy.node.boot.flush import flush
from edeploy.node.boot.grubenv import read_env, write_env
from edeploy.node.boot.kernels import (
    FOLDER,
    INITRD,
    LINUX,
    drop_others,
    find_kernels,
    keep_kernel,
)
from edeploy.node.boot.loader import TRIES, Loader, NotBootable
from edeploy.node.boot.marker import Marker
from edeploy.node.upgrade.places import Places

GRUB_D = "etc/grub.d/09_edeploy"


class GrubLoader(Loader):
    """Versions in `places`, on `disk`."""

    def __init__(self, places: Places, disk: BootDisk) -> None:
        self._places = places
        self.disk = disk
        self._boot = boot_folder(places.root)
        self._env = self._boot / "grub" / grub.ENV
        self._marker = Marker(places)

    counted = True

    def prepare(self, names: Sequence[str], good: str) -> None:
        """See `Loader.prepare`."""
        if good not in names:
            raise NotBootable(f"{good} shall be the good version, but is not one of them")
        ordered = [good, *(name for name in names if name != good)]
        self._write([self._entry(name) for name in ordered])
        env = self._read()
        if env.get(grub.GOOD) != good:
            self._change({**env, grub.GOOD: good})
        # Entries that GRUB may still see must have their kernels.
        flush(self._boot)
        drop_others(self._boot, ordered)

    def arm(self, name: str, tries: int = TRIES) -> None:
        """See `Loader.arm`."""
        self._refuse_unknown(name)
        if not 1 <= tries <= grub.MOST_TRIES:
            raise NotBootable(f"{tries} tries", f"GRUB counts from 1 to {grub.MOST_TRIES}.")
        self._marker.put(name)
        self._change({**self._read(), grub.TRIAL: name, grub.TRIES: str(tries)})

    def confirm(self, name: str) -> None:
        """See `Loader.confirm`."""
        self._refuse_unknown(name)
        self._change({grub.GOOD: name})
        # Should the block be lost one day, the first entry is what starts.
        self.prepare([name, *(other for other in self._names() if other != name)], name)
        self._marker.take()

    def disarm(self) -> None:
        """See `Loader.disarm`."""
        env = self._read()
        if grub.TRIAL in env:
            self._change({grub.GOOD: env.get(grub.GOOD, "")})
        self._marker.take()

    def good(self) -> str:
        """See `Loader.good`."""
        names = self._names()
        chosen = self._read().get(grub.GOOD, "")
        return chosen if chosen in names else next(iter(names), "")

    def armed(self) -> str:
        """See `Loader.armed`."""
        env = self._read()
        return env.get(grub.TRIAL, "") if env.get(grub.TRIES, "0") != "0" else ""

    def describe(self) -> str:
        """See `Loader.describe`."""
        return "GRUB counts the tries itself and starts the good version when none is left"

    def refresh(self) -> None:
        """Write the entries anew, after a change of /etc/default/grub."""
        self.prepare(self._names(), self.good())

    # --- parts of it

    def _write(self, entries: Sequence[grub.Entry]) -> None:
        menu = grub.Menu(
            entries=tuple(entries),
            access=self.disk.access,
            serial=settings.serial_command(entries[0].arguments),
            counted=self.counted,
        )
        folder = self._boot / "grub"
        folder.mkdir(parents=True, exist_ok=True)
        atomic.write(folder / grub.CONFIG, grub.config(menu))
        self._name_in_main_config(folder / "grub.cfg")
        for entry in entries:
            self._outlive_update_grub(entry.name)

    def _name_in_main_config(self, path: Path) -> None:
        """A grub.cfg of another tool is kept aside: it sets a default of its own."""
        line = f"source ${{prefix}}/{grub.CONFIG}"
        there = path.read_text(errors="replace").splitlines() if path.exists() else []
        if line in there:
            return
        if there:
            shutil.copyfile(path, path.with_name("grub.cfg.before-edeploy"))
        atomic.write(path, grub.main_config())

    def _outlive_update_grub(self, name: str) -> None:
        """Whatever version runs, what its update-grub writes starts the versions."""
        root = self._places.root if is_root_itself(name) else self._places.tree(name)
        script, text = root / GRUB_D, grub.update_grub_script().encode()
        if script.parent.is_dir() and not (script.is_file() and script.read_bytes() == text):
            atomic.write(script, text, mode=0o755)

    def _entry(self, name: str) -> grub.Entry:
        if is_root_itself(name):
            return self._entry_of_root(name)
        tree = self._places.tree(name)
        kernel = keep_kernel(tree, self._boot, name)
        folder = f"{self.disk.prefix}/{FOLDER}/{name}"
        arguments = f"{ARGUMENT}{name} {settings.surviving(settings.arguments_of(tree))}"
        return grub.Entry(
            name=name,
            title=title_of_version(tree, name, kernel.version),
            linux=f"{folder}/{LINUX}",
            initrd=f"{folder}/{INITRD}" if kernel.initrd else "",
            arguments=f"{self.disk.root} {arguments}",
        )

    def _entry_of_root(self, name: str) -> grub.Entry:
        """The system that was on the machine before its first upgrade starts as it always did."""
        kernel = find_kernels(os.listdir(self._boot))[0]
        root = self._places.root
        arguments = settings.surviving(settings.arguments_of(root))
        return grub.Entry(
            name=name,
            title=title_of_version(root, name, kernel.version),
            linux=f"{self.disk.prefix}/{kernel.file}",
            initrd=f"{self.disk.prefix}/{kernel.initrd}" if kernel.initrd else "",
            arguments=f"{self.disk.root} {arguments}",
        )

    def _names(self) -> list[str]:
        """The versions of edeploy.cfg whose trees have not been removed since, in its order."""
        path = self._boot / "grub" / grub.CONFIG
        names = grub.names_in(path.read_text()) if path.is_file() else []
        return [name for name in names if is_there(self._places, name)]

    def _refuse_unknown(self, name: str) -> None:
        names = self._names()
        if name not in names:
            raise NotBootable(
                f"GRUB has no entry for {name}: there is {', '.join(names) or 'none'}",
                "`edeploy-node status` tells which versions are here.",
            )

    def _read(self) -> dict[str, str]:
        return read_env(self._env)

    def _change(self, variables: dict[str, str]) -> None:
        write_env(self._env, variables)
