"""Where results go: files that are whole or not there, or standard output."""

from __future__ import annotations

import sys
from pathlib import Path

from edeploy import atomic
from edeploy.errors import EdeployError

STDOUT = "-"


class BadTarget(EdeployError):
    """A file that a result must not or cannot be written to."""


def check_target(target: str, beginning: str) -> None:
    """Refuse to replace a file that is not such a result: a slip of the hand must not cost the
    measurements. `beginning` is how every result of the kind starts. Raises BadTarget."""
    try:
        _check(Path(target), target, beginning)
    except OSError as error:
        raise BadTarget(f"{target}: {error.strerror}") from error


def _check(path: Path, target: str, beginning: str) -> None:
    if target == STDOUT or not path.exists():
        if not path.parent.is_dir():
            raise BadTarget(f"{target}: there is no folder {path.parent}")
        return
    if path.is_dir():
        raise BadTarget(f"{target} is a folder", "Name a file, or - for standard output.")
    if path.is_file() and path.stat().st_size and not _starts(path, beginning):
        raise BadTarget(
            f"{target} is there and is no such result: not replaced",
            "Name another file, or remove this one first.",
        )


def write_target(target: str, text: str) -> None:
    """Write a result. Raises BadTarget."""
    path = Path(target)
    try:
        if target == STDOUT:
            sys.stdout.write(text)
        elif path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")  # a terminal or a pipe
        else:
            atomic.write(path, text)
    except OSError as error:
        raise BadTarget(f"{target}: {error.strerror}") from error


def _starts(path: Path, beginning: str) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(beginning.encode())) == beginning.encode()
