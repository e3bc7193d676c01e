"""What live mode will do, path by path: asked of rsync, whose patterns an edge has."""

from __future__ import annotations

import enum
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.run import run

_ESCAPED = re.compile(rb"\\#([0-7]{3})")
# What only a boot brings or ends, and what boot loaders have.
_NEVER = tuple(
    f"/{name}"
    for name in (
        "boot/edeploy", "boot/efi", "boot/grub", "boot/loader", "dev", "edeploy", "efi",
        "lost+found", "proc", "run", "sys", "sysroot", "tmp",
    )
)  # fmt: skip


class Do(enum.Enum):
    """What happens to one path."""

    # Whatever is there gives way to what was staged.
    PUT = "put"
    FOLDER = "folder"
    # A folder gets the owner, mode and time of the staged one.
    ATTRIBUTES = "attributes"
    REMOVE = "remove"


@dataclass(frozen=True)
class Action:
    """One path, relative to the root."""

    do: Do
    path: bytes


def actions(
    staged: Path, root: Path, exclude: Path, add_only: Path, *, boot: Path | None = None
) -> list[Action]:
    """What makes `root` the staged tree: first folders, then files, then what goes, the innermost
    first, and attributes of folders last. `boot` is where its own /boot is when another one is
    seen there. Raises ProgramFailed, EdeployError."""
    never = [f"--exclude={path}" for path in _NEVER]
    if boot:
        never.append("--exclude=/boot/")
    found = _ask(staged, root, ["--delete", *never, f"--exclude-from={exclude}"])
    known = {action.path for action in found}
    second = _ask(staged, root, ["--ignore-existing", *never, f"--include-from={add_only}"])
    found += [action for action in second if action.path not in known]
    if boot:
        own = _ask(staged / "boot", boot, ["--delete"])
        found += [Action(action.do, b"boot/" + action.path) for action in own]
    found = _whole_folders(found, os.fsencode(root))
    order = [Do.FOLDER, Do.PUT, Do.REMOVE, Do.ATTRIBUTES]
    return sorted(found, key=lambda action: (order.index(action.do), _place(action)))


def _whole_folders(found: list[Action], root: bytes) -> list[Action]:
    """A folder that becomes something else goes as a whole: nothing may be done through its name
    once a link has it."""
    gone = {action.path for action in found if action.do is Do.REMOVE}
    replaced = []
    for action in found:
        path = os.path.join(root, action.path)
        if action.do is Do.PUT and os.path.isdir(path) and not os.path.islink(path):
            _refuse_what_stays(action.path, root, gone)
            replaced.append(action.path)
    return [
        action
        for action in found
        if action.do is not Do.REMOVE
        or not any(action.path == path or action.path.startswith(path + b"/") for path in replaced)
    ]


def _refuse_what_stays(folder: bytes, root: bytes, gone: set[bytes]) -> None:
    for inside, folders, files in os.walk(os.path.join(root, folder)):
        for name in (*folders, *files):
            path = os.path.relpath(os.path.join(inside, name), root)
            if path not in gone:
                raise EdeployError(
                    f"/{os.fsdecode(path)} is to be left alone, and /{os.fsdecode(folder)} is no"
                    " folder in the new version",
                    "Move it away, or change the edge's `exclude`.",
                )


def _place(action: Action) -> tuple[int, bytes]:
    depth = action.path.count(b"/")
    inner_first = action.do in (Do.REMOVE, Do.ATTRIBUTES)
    return (-depth if inner_first else depth, action.path)


def _ask(staged: Path, root: Path, words: list[str]) -> list[Action]:
    done = run(
        [
            "rsync", "--dry-run", "-aHAX", "--numeric-ids", "--checksum", *words,
            "--out-format=%i %n", f"{staged}/", f"{root}/",
        ],
        timeout=None,
    )  # fmt: skip
    return [action for line in done.out.splitlines() for action in _action(os.fsencode(line))]


def _action(line: bytes) -> Iterator[Action]:
    if line.startswith(b"*deleting "):
        yield Action(Do.REMOVE, _plain(line.split(None, 1)[1]))
        return
    what, _, name = line.partition(b" ")
    path = _plain(name.partition(b" -> ")[0] if what[1:2] == b"L" else name)
    path = path.partition(b" => ")[0] if what[:1] == b"h" else path
    if len(what) != 11:
        raise EdeployError(f"rsync said what is not understood: {os.fsdecode(line)}")
    if path in (b".", b"./"):
        return
    if what[1:2] == b"d":
        new = what[:1] == b"c"
        yield Action(Do.FOLDER if new else Do.ATTRIBUTES, path.rstrip(b"/"))
        if new:
            yield Action(Do.ATTRIBUTES, path.rstrip(b"/"))
    else:
        yield Action(Do.PUT, path)


def _plain(name: bytes) -> bytes:
    text = _ESCAPED.sub(lambda found: bytes([int(found[1], 8)]), name)
    return text.rstrip(b"/") if text != b"./" else text
