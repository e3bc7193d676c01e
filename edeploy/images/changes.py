"""Which packages are different between two images."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Packages:
    """Names with versions; of those that changed the old and the new one."""

    added: dict[str, str]
    removed: dict[str, str]
    changed: dict[str, tuple[str, str]]


def compare(old: str, new: str) -> Packages:
    """From two lists as beside images: name, version and architecture between tabs."""
    before, after = _versions(old), _versions(new)
    return Packages(
        added={name: after[name] for name in sorted(after.keys() - before.keys())},
        removed={name: before[name] for name in sorted(before.keys() - after.keys())},
        changed={
            name: (before[name], after[name])
            for name in sorted(before.keys() & after.keys())
            if before[name] != after[name]
        },
    )


def _versions(text: str) -> dict[str, str]:
    rows = (line.split("\t") for line in text.splitlines())
    return {name: version for name, version, _architecture in rows}
