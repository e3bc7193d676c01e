"""Finds secrets in what a build wrote: private keys and password hashes belong to no image."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.images.build.compiled import source_of
from edeploy.images.packages import rpm

_LARGEST = 1 << 20
# The head and a line of the key itself: programs and manuals have the head alone.
_KEY = re.compile(
    rb"^-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----\r?\n"
    rb"(?:[A-Za-z-]+: [^\n]*\n|\r?\n)*[A-Za-z0-9+/=]{40}",
    re.MULTILINE,
)
# crypt(5): prefix, settings, salt, and a hash of the method's length.
_HASH = re.compile(
    rb"\$(?:6\$(?:rounds=\d+\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{86}"
    rb"|5\$(?:rounds=\d+\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{43}"
    rb"|(?:1|apr1)\$[./A-Za-z0-9]{1,8}\$[./A-Za-z0-9]{22}"
    rb"|2[abxy]\$\d\d\$[./A-Za-z0-9]{53}"
    rb"|g?y\$[./A-Za-z0-9]+\$[./A-Za-z0-9]{1,86}\$[./A-Za-z0-9]{43}"
    rb"|7\$[./A-Za-z0-9]{11,97}\$[./A-Za-z0-9]{43})(?![./A-Za-z0-9])"
)


def refuse_secrets(tree: Path, *, own: Path | None = None) -> None:
    """Raise EdeployError for the first file with a secret that no package brought.

    What packages bring everybody can have, also as Python's compiler has it; of an overlay, only
    what it has of its own counts.
    """
    top, looked_at = os.fsencode(tree), os.fsencode(own or tree)
    from_packages: set[bytes] | None = None
    for where, _, names in os.walk(looked_at):
        for name in names:
            path = os.path.relpath(os.path.join(where, name), looked_at)
            what = _secret_in(os.path.join(top, path))
            if what is None:
                continue
            if from_packages is None:
                from_packages = set(_packaged(tree))
            if path not in from_packages and source_of(path) not in from_packages:
                raise EdeployError(
                    f"/{os.fsdecode(path)}: {what}; an image carries none",
                    "Remove it in the role's script, and have the machine make its own.",
                )


def _secret_in(path: bytes) -> str | None:
    try:
        about = os.lstat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(about.st_mode) or not 0 < about.st_size <= _LARGEST:
        return None
    with open(path, "rb") as stream:
        content = stream.read()
    if b"PRIVATE KEY-----" in content and _KEY.search(content):
        return "a private key"
    if b"$" in content and _HASH.search(content):
        return "the hash of a password"
    return None


def _packaged(tree: Path) -> Iterator[bytes]:
    """The files of packages, as they were installed."""
    for listed in (tree / "var/lib/dpkg/info").glob("*.list"):
        for path in listed.read_bytes().splitlines():
            yield path.lstrip(b"/")
            # Where folders are merged, packages may still say `/bin`.
            yield b"usr" + path
    if rpm.is_rpm(tree):
        yield from (path.lstrip(b"/") for path in rpm.files_of(tree))
