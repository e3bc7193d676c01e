"""The rules of an edge as text to sign: which patterns and hooks it has, by their SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from edeploy.errors import EdeployError

HEADER = "#edeploy-edge 1"
NAMES = ("add_only", "exclude", "post", "pre")


class BadRules(EdeployError):
    """The rules of another edge, or a file that is not the one in the rules."""


def rules_text(edge: str, files: Mapping[str, bytes]) -> str:
    """The text for the edge `web 1.0 1.1`."""
    lines = [f"{hashlib.sha256(files[name]).hexdigest()} {name}" for name in sorted(files)]
    return "\n".join([HEADER, f"#edge {edge}", *lines, ""])


def check_rules(text: str, edge: str, files: Mapping[str, bytes]) -> None:
    """Raise BadRules unless the text is that of this edge with exactly these files."""
    if text != rules_text(edge, files):
        first = text.splitlines()[1:2]
        named = first[0].removeprefix("#edge ") if first else "nothing"
        what = f"they are those of {named}" if named != edge else "a file is not the one in them"
        raise BadRules(
            f"the rules of the edge {edge}: {what}", "On the server: edeploy edge make again."
        )
