"""A configure script on disk: what upgrading it would change, and the change made."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edeploy import atomic
from edeploy.match.python2.upgrade import Upgrade, upgrade
from edeploy.match.scripts import read_source

CONTEXT = 3


@dataclass(frozen=True)
class ScriptUpgrade:
    """A script as it is and as it would be."""

    path: Path
    before: str
    upgrade: Upgrade

    @property
    def differs(self) -> bool:
        """Whether there is anything to write."""
        return self.before != self.upgrade.source

    @property
    def good(self) -> bool:
        """Whether what would be written is Python 3."""
        return self.upgrade.error is None


def upgrade_script(path: Path) -> ScriptUpgrade:
    """What upgrading would change. Raises BadFile: it cannot be read."""
    source = read_source(path)
    return ScriptUpgrade(path, source, upgrade(source))


def write(script: ScriptUpgrade) -> None:
    """Replace the file at once, with the mode and owner it has. Raises OSError."""
    target = script.path.resolve()
    status = target.stat()
    atomic.write(target, script.upgrade.source, mode=status.st_mode & 0o7777)
    if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
        os.chown(target, status.st_uid, status.st_gid)


def difference(script: ScriptUpgrade) -> str:
    """The change as a unified diff. No line comes or goes, so it takes no search: linear."""
    before = script.before.splitlines(keepends=True)
    after = script.upgrade.source.splitlines(keepends=True)
    if len(before) != len(after):  # form feeds and the like end a line for splitlines
        before, after = [script.before], [script.upgrade.source]
    parts = [f"--- {script.path}\n+++ {script.path} (Python 3)\n"]
    for hunk in _hunks([i for i, pair in enumerate(zip(before, after, strict=True))
                        if pair[0] != pair[1]], len(before)):  # fmt: skip
        span = f"{hunk.start + 1},{len(hunk)}"
        parts.append(f"@@ -{span} +{span} @@\n")
        parts += _lines(before, after, hunk)
    return "".join(parts) if len(parts) > 1 else ""


def _hunks(changed: Sequence[int], length: int) -> Iterator[range]:
    """Runs of changed lines with the lines around them; near ones in one."""
    begin = end = -1
    for line in changed:
        if begin >= 0 and line - CONTEXT > end:
            yield range(begin, end)
            begin = -1
        if begin < 0:
            begin = max(line - CONTEXT, 0)
        end = min(line + CONTEXT + 1, length)
    if begin >= 0:
        yield range(begin, end)


def _lines(before: Sequence[str], after: Sequence[str], hunk: range) -> Iterator[str]:
    """The lines of a hunk: those of a changed run that go, then those that come."""
    come: list[str] = []
    for line in hunk:
        if before[line] == after[line]:
            yield from come
            come = []
            yield " " + _ended(before[line])
        else:
            yield "-" + _ended(before[line])
            come.append("+" + _ended(after[line]))
    yield from come


def _ended(line: str) -> str:
    return line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
