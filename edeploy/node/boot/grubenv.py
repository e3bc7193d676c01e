"""GRUB's environment block: a file of 1024 bytes in which GRUB itself counts the tries down."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from edeploy import atomic
from edeploy.errors import EdeployError

SIZE = 1024
_HEADER = b"# GRUB Environment Block\n"


class EnvFull(EdeployError):
    """The variables do not fit into the block."""


def read_env(path: Path) -> dict[str, str]:
    """The variables; none when the file is missing or is no such block, as GRUB sees it."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    if len(data) != SIZE or not data.startswith(_HEADER):
        return {}
    lines = data[len(_HEADER) :].decode("ascii", "replace").splitlines()
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def write_env(path: Path, variables: Mapping[str, str]) -> None:
    """Replace all variables. Raises EnvFull, OSError.

    A block that is there is written in its place: GRUB reads past the file system's journal, so
    after a power cut it might not see a new file yet, but always the bytes of this one. All
    variables together are shorter than a sector, which a disk writes whole or not at all.
    """
    block = env_block(variables)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        atomic.write(path, block)
        return
    try:
        if os.fstat(handle).st_size == SIZE:
            os.pwrite(handle, block, 0)
            os.fsync(handle)
            return
    finally:
        os.close(handle)
    atomic.write(path, block)


def env_block(variables: Mapping[str, str]) -> bytes:
    """The block with these variables. Raises EnvFull."""
    text = "".join(f"{name}={value}\n" for name, value in sorted(variables.items())).encode("ascii")
    block = _HEADER + text
    if len(block) > SIZE // 2:
        raise EnvFull(f"the boot loader's variables take {len(block)} bytes of {SIZE // 2}")
    return block + b"#" * (SIZE - len(block))
