"""Whose a path of a version is: read from what its image says of itself."""

from __future__ import annotations

import json
from pathlib import Path

from edeploy.errors import EdeployError

PATHS = "usr/lib/edeploy/paths.json"
# Of an image that does not say it.
_STATE: tuple[str, ...] = ("var",)


def state_paths(tree: Path) -> tuple[str, ...]:
    """The paths that the image in `tree` leaves to the machine, such as `var`. Raises
    EdeployError."""
    return _read(tree, "state", _STATE)


def excluded_paths(tree: Path) -> tuple[str, ...]:
    """The rsync patterns of what an upgrade in place leaves alone. Raises EdeployError."""
    return _read(tree, "exclude", ())


def _read(tree: Path, key: str, otherwise: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(str(path) for path in json.loads((tree / PATHS).read_bytes())[key])
    except FileNotFoundError:
        return otherwise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EdeployError(
            f"the image's /{PATHS} is not readable: {error}", "Build the image again."
        ) from error
