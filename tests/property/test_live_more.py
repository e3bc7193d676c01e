"""Whatever two trees are, and wherever a live upgrade is killed: it converges, or is taken back."""

import os
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from edeploy.images import trees
from edeploy.images.manifest import Entry
from edeploy.node.upgrade.live import journal
from edeploy.node.upgrade.live.plan import actions

NAMES = st.sampled_from(["a", "b", "d/a", "d/b", "d/e/a", "f", "odd name\n", "d"])
# A file's content, a link's target, or a folder.
WHAT = st.one_of(
    st.binary(max_size=3).map(lambda data: ("file", data)),
    st.sampled_from([("link", b"a"), ("link", b"nowhere"), ("dir", b"")]),
)
TREES = st.dictionaries(NAMES, st.tuples(WHAT, st.sampled_from([0o600, 0o755])), max_size=6)


class Killed(Exception):
    """As SIGKILL between two calls."""


def fill(root: Path, content: dict[str, tuple[tuple[str, bytes], int]]) -> None:
    root.mkdir()
    for name, ((kind, data), mode) in sorted(content.items()):
        path = root / name
        if any(parent.is_symlink() or parent.is_file() for parent in path.parents):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            continue
        if kind == "dir":
            path.mkdir(mode)
        elif kind == "link":
            path.symlink_to(data.decode())
        else:
            path.write_bytes(data)
            path.chmod(mode)
    for path in (root, *root.rglob("*")):
        os.utime(path, ns=(10**18, 10**18), follow_symlinks=False)


def plain(root: Path) -> list[Entry]:
    """What a tree is, but for folders' times: the way there changes them."""
    return [
        entry._replace(time=0) if entry.type == "dir" else entry
        for entry in trees.scan(root, workers=1)
    ]


def killed_after(calls: int, root: Path) -> journal.Physical:
    left = [calls]

    def physical(path: bytes) -> bytes:
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return os.path.join(os.fsencode(root), path)

    return physical


def physical_of(root: Path) -> journal.Physical:
    return lambda path: os.path.join(os.fsencode(root), path)


@settings(max_examples=1500, deadline=None)
@given(TREES, TREES, st.integers(0, 12), st.booleans())
def test_converges_or_is_taken_back(
    before: dict[str, tuple[tuple[str, bytes], int]],
    after: dict[str, tuple[tuple[str, bytes], int]],
    killed: int,
    back: bool,
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root, work = folder / "root", folder / "live"
        fill(root, before)
        work.mkdir()
        fill(work / "tree", after)
        wanted, was = plain(work / "tree"), plain(root)
        for rules in ("exclude", "add_only"):
            (work / rules).write_text("- *\n" if rules == "add_only" else "")
        todo = actions(work / "tree", root, work / "exclude", work / "add_only")
        begun = journal.begin(work, todo, physical_of(root))
        read = journal.read_journal(work)
        assert read == begun
        try:
            journal.apply(begun, killed_after(killed, root))
        except Killed:
            pass
        if back:
            journal.undo(begun, physical_of(root))
            journal.undo(begun, physical_of(root))
            assert plain(root)[1:] == was[1:]
            return
        journal.apply(begun, physical_of(root))
        assert plain(root)[1:] == wanted[1:]
        journal.undo(begun, physical_of(root))
        assert plain(root)[1:] == was[1:]
