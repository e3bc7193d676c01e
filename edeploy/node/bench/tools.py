"""Fetches the programs that measure: an installation's ramdisk does without them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.node.http import Server, Stream

HAVE = Path("/run/edeploy/tools")


def fetch_tools(server: Server, path: str, root: Path = Path("/"), have: Path = HAVE) -> bool:
    """Unpack the archive at `path` on the server over `root`, once a boot; whether it was fetched.

    Raises EdeployError: the server does not have it, it is damaged, or memory is full.
    """
    if not path or (have.exists() and have.read_text() == path):
        return False
    argv = ["tar", "--extract", "--zstd", "--file=-", f"--directory={root}"]
    with server.open(path) as stream, subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as child:  # fmt: skip
        try:
            _feed(child, stream)
        except BaseException:
            child.kill()
            raise
        _, err = child.communicate()
    if child.returncode:
        lines = err.decode(errors="replace").strip().splitlines()[-3:]
        raise EdeployError(
            f"the programs for the test were not unpacked: {'; '.join(lines)}",
            "Build the ramdisk again: edeploy ramdisk build.",
        )
    have.parent.mkdir(parents=True, exist_ok=True)
    have.write_text(path)
    return True


def _feed(child: subprocess.Popen[bytes], stream: Stream) -> None:
    if child.stdin is None:
        raise ValueError("the child has no input")
    try:
        for chunk in stream.chunks():
            child.stdin.write(chunk)
    except BrokenPipeError:
        # tar has given up; what it said tells why.
        return
