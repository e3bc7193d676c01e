"""Fetches the programs that measure: an installation's ramdisk does without them."""

from __future__ import annotations

import hashlib
import re
import tempfile
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.node import timeouts
from edeploy.node.http import Server
from edeploy.run import ProgramFailed, run

# Written by the build, as `KERNEL SHA-256`: the one archive that belongs to this ramdisk.
MARK = Path("/etc/edeploy-tools")
HAVE = Path("/run/edeploy/tools")
_MARK = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.+-]*) ([0-9a-f]{64})\n?\Z")
_BUILD_AGAIN = "Build the ramdisk again (edeploy ramdisk build) and restart the machine."


def fetch_tools(
    server: Server, root: Path = Path("/"), mark: Path = MARK, have: Path = HAVE
) -> bool:
    """Unpack the archive of this ramdisk over `root`, once a boot; whether it was fetched.

    Where there is no mark the programs are part of the system. Raises EdeployError: the server has
    another archive than the ramdisk was built with, or memory is full.
    """
    if not mark.exists():
        return False
    found = _MARK.match(mark.read_text())
    if not found:
        raise EdeployError(f"{mark} names no archive", _BUILD_AGAIN)
    kernel, digest = found.groups()
    if have.exists() and have.read_text() == digest:
        return False
    with tempfile.NamedTemporaryFile(prefix="edeploy-tools-") as file:
        hashed = hashlib.sha256()
        with server.open(f"/ramdisk/{kernel}/tools") as stream:
            for chunk in stream.chunks():
                hashed.update(chunk)
                file.write(chunk)
        file.flush()
        if hashed.hexdigest() != digest:
            raise EdeployError(
                "the server's programs for tests are not those of this ramdisk", _BUILD_AGAIN
            )
        try:
            run(
                ["tar", "--extract", "--zstd", f"--file={file.name}", f"--directory={root}"],
                timeout=timeouts.UNPACK_TOOLS,
            )
        except ProgramFailed as error:
            raise EdeployError(
                f"the programs for tests were not unpacked: {error.message}", _BUILD_AGAIN
            ) from error
    have.parent.mkdir(parents=True, exist_ok=True)
    have.write_text(digest)
    return True
