"""Ends a lab: all processes in its network, the network, its files."""

import shutil
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.lab import network
from edeploy.lab.folder import LAB_ROOT, LabFolder
from edeploy.lab.lock import locked
from edeploy.lab.processes import end_all

_DISKS = ("disk*.raw", "vars.fd")
_LOGS = ("*.log",)


class NoLab(EdeployError):
    """There is no lab of this name."""


def down(name: str, *, root: Path = LAB_ROOT, keep_disks: bool = False) -> None:
    """End every process in the lab's network, remove the network and the files.

    The logs stay until the lab goes up again, the disks only with `keep_disks`. Works on what
    a lab that was killed has left, too. Raises NoLab, LabBusy, StillAlive.
    """
    folder = LabFolder(root, name)
    if not network.exists(folder.namespace) and not folder.path.exists():
        raise NoLab(f"there is no lab {name}", "`edeploy lab ls` lists those there are.")
    with locked(folder):
        end_all(lambda: network.processes(folder.namespace))
        network.delete(folder.namespace)
        remove_files(folder, keep_disks=keep_disks)


def has_disks(folder: LabFolder) -> bool:
    """Whether an earlier lab of this name left disks."""
    return any(any(folder.path.glob(f"*/{pattern}")) for pattern in _DISKS)


def remove_files(folder: LabFolder, *, keep_disks: bool) -> None:
    """Remove a lab's files but its logs, and its disks too if asked for."""
    kept = (*_LOGS, *(_DISKS if keep_disks else ()))
    if not folder.path.exists():
        return
    for path in sorted(folder.path.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif not any(path.match(pattern) for pattern in kept):
            path.unlink()
    if not any(folder.path.iterdir()):
        shutil.rmtree(folder.path)
