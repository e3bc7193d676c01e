"""This machine: which version of which role runs, where its parts are, and whom it asks."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.images import manifest
from edeploy.images.signature import SIGNERS
from edeploy.node.boot.booted import physical_root, running
from edeploy.node.callhome import NODE_FILE, Node, read_node
from edeploy.node.http import Retry, Server
from edeploy.node.upgrade import source
from edeploy.node.upgrade.etc import ETC
from edeploy.node.upgrade.places import Places
from edeploy.node.upgrade.sharing import Sharing, sharing_of
from edeploy.node.upgrade.stage import Current

# An operator waits: shorter than an installation's patience.
PATIENCE = Retry(give_up=120.0)


class AnotherUpgrade(EdeployError):
    """Two at once."""


@dataclass(frozen=True)
class Here:
    """The machine whose files are below `root` (`/`)."""

    root: Path
    node: Node
    places: Places
    name: str
    server: Server

    @property
    def signers(self) -> Path:
        """Those whose images may run here, when the installation knew any."""
        return self.root / SIGNERS.relative_to("/")

    @property
    def deployed(self) -> bool:
        """Whether a version of its own tree runs, and not the root file system itself."""
        return self.places.root != self.root


def here(root: Path = Path("/"), on_wait: object = None) -> Here:
    """Look. Raises BadNodeFile when no installation left its record."""
    node = read_node(root / NODE_FILE.relative_to("/"))
    places = Places(physical_root(root))
    name = running(root)
    if name:
        node = _as_it_runs(node, places.manifest(name))
    else:
        name = f"{node.role}-{node.version}.0"
    wait = on_wait if callable(on_wait) else print
    return Here(root, node, places, name, Server(node.server, retry=PATIENCE, on_wait=wait))


def _as_it_runs(node: Node, kept: Path) -> Node:
    """The installation's record came along from version to version: the manifest tells which."""
    try:
        role, _, version = manifest.image_of(kept.read_bytes()).partition(" ")
    except OSError as error:
        raise EdeployError(f"{kept}: {error.strerror}", "The version that runs lost it.") from error
    return replace(node, role=role or node.role, version=version or node.version)


def current(machine: Here) -> Current:
    """The version that runs, with what an upgrade builds on.

    The manifest and the pristine /etc of a root that no upgrade made are asked from the server,
    and kept. Raises EdeployError.
    """
    places, node = machine.places, machine.node
    places.top.mkdir(mode=0o700, exist_ok=True)
    data = manifest_of_running(machine)
    if not places.etc_base(machine.name).is_dir():
        _fetch_etc(machine, data)
    sharing = sharing_of(places.top)
    if not machine.deployed and sharing is Sharing.LINK:
        # Programs still write to that root.
        sharing = Sharing.COPY
    return Current(
        name=machine.name,
        role=node.role,
        version=node.version,
        root=places.tree(machine.name) if machine.deployed else machine.root,
        pristine_etc=places.etc_base(machine.name),
        etc=machine.root / "etc",
        manifest=data,
        sharing=sharing,
    )


def manifest_of_running(machine: Here) -> bytes:
    """The manifest of the version that runs; of a root that no upgrade made it is the server's."""
    kept = machine.places.manifest(machine.name)
    if kept.is_file():
        return kept.read_bytes()
    node = machine.node
    wanted = source.offer(machine.server, node.role, node.version)
    data, _ = source.trusted_manifest(machine.server, node.role, wanted, machine.signers)
    return data


def _fetch_etc(machine: Here, data: bytes) -> None:
    """/etc of the running version as its image has it, from the server."""
    node, place = machine.node, machine.places.etc_base(machine.name)
    wanted = source.offer(machine.server, node.role, node.version)
    work = place.with_name(f".{place.name}.new")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    paths = [
        entry.path
        for entry in manifest.parse(data)
        if entry.path == b"etc" or entry.path.startswith(ETC)
    ]
    if wanted.rsync:
        source.fetch_files(wanted, paths, work)
    else:
        source.fetch_whole(machine.server, wanted, work)
    os.replace(work / "etc", place)
    shutil.rmtree(work, ignore_errors=True)


@contextlib.contextmanager
def alone(places: Places) -> Iterator[None]:
    """Nobody else changes this machine's versions meanwhile. Raises AnotherUpgrade."""
    places.top.mkdir(mode=0o700, exist_ok=True)
    with open(places.lock, "a+", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise AnotherUpgrade(
                f"process {lock.read().strip() or 'unknown'} changes the versions here now",
                "Wait until it is done: edeploy-node status",
            ) from error
        lock.seek(0)
        lock.truncate()
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield
