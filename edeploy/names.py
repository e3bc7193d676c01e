"""Names that come from outside: what they may look like, and where they may lead."""

from __future__ import annotations

import re
from pathlib import Path

from edeploy.errors import EdeployError

PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*(:[a-z0-9-]+)?\Z")
"""A package of any family, of one architecture when it names one: RPM's have capitals and `_`."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,127}\Z")


class BadName(EdeployError):
    """A name with characters outside the allow-list, or a path that leaves its root."""


def checked(text: str, what: str) -> str:
    """`text` when it is a plain name (letters, digits, `_.+-`, 128 at most); else BadName.

    `what` says what is being named: `role`, `version`, `machine`.
    """
    if not _NAME.match(text) or ".." in text:
        raise BadName(
            f"{text!r} is no name for a {what}",
            "Use letters, digits and _ . + - only, a letter or digit first, 128 at most.",
        )
    return text


def under(root: Path, *parts: str) -> Path:
    """`root/parts…`, resolved; BadName when a link or `..` leads out of `root`."""
    path = root.joinpath(*parts).resolve()
    if not path.is_relative_to(root.resolve()):
        raise BadName(f"{'/'.join(parts)!r} leads out of {root}")
    return path
