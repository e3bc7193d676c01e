"""Accounts of two origins, and what a merge of /etc says before anything is fetched."""

from pathlib import Path

import pytest

from edeploy.images import manifest, trees
from edeploy.images.manifest import Entry
from edeploy.node.upgrade.accounts import merged_accounts
from edeploy.node.upgrade.etc import EtcConflict, foresee, merge

BASE = b"root:x:0:\nadm:x:4:\nold:x:5:\n"


@pytest.mark.parametrize(
    ("mine", "new", "result"),
    [
        # Nothing of ours: the image's lines.
        (BASE, b"root:x:0:\nnew:x:9:\n", b"root:x:0:\nnew:x:9:\n"),
        # Ours added, theirs added.
        (BASE + b"me:x:1000:\n", BASE + b"new:x:9:\n", BASE + b"new:x:9:\nme:x:1000:\n"),
        # We joined a group to which the image adds somebody.
        (
            b"root:x:0:\nadm:x:4:me\nold:x:5:\n",
            b"root:x:0:\nadm:x:4:syslog\nold:x:5:\n",
            b"root:x:0:\nadm:x:4:me,syslog\nold:x:5:\n",
        ),
        # What we removed stays away; what the image removed goes.
        (b"root:x:0:\nadm:x:4:\n", b"root:x:0:\nold:x:5:\n", b"root:x:0:\n"),
        # Changed here, unchanged there.
        (b"root:!:0:\nadm:x:4:\nold:x:5:\n", BASE, b"root:!:0:\nadm:x:4:\nold:x:5:\n"),
    ],
)
def test_accounts(mine: bytes, new: bytes, result: bytes) -> None:
    assert merged_accounts(BASE, mine, new) == result


def etc(folder: Path, content: dict[str, bytes | None]) -> list[Entry]:
    """A root with this /etc (None: a folder), and its manifest's entries."""
    for name, data in content.items():
        path = folder / "etc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if data is None else path.write_bytes(data)
    return manifest.parse(manifest.dump(trees.scan(folder, workers=1)))


def test_foreseen_is_what_happens(tmp_path: Path) -> None:
    base = etc(tmp_path / "base", {"a": b"1", "b": b"1", "c/d": b"1", "e": b"1"})
    etc(tmp_path / "mine", {"a": b"2", "b": b"1", "c/d": b"2", "mine": b"x"})
    new = etc(tmp_path / "new", {"a": b"3", "b": b"2", "c/d": b"1", "e": b"1"})
    etc(tmp_path / "target", {"a": b"3", "b": b"2", "c/d": b"1", "e": b"1"})
    folders = [tmp_path / name / "etc" for name in ("base", "mine", "new", "target")]
    said = foresee(base, folders[1], new)
    assert (said.overlaps, said.kept) == ([b"a"], [b"c/d", b"e", b"mine"])
    assert merge(*folders) == said
    found = {path.name: path.read_bytes() for path in folders[3].rglob("*") if path.is_file()}
    assert found == {"a": b"2", "b": b"2", "d": b"2", "mine": b"x"}


@pytest.mark.parametrize(
    ("mine", "new", "path"),
    [
        ({"a": None}, {"a": b"2"}, "/etc/a"),
        ({"a": b"2"}, {"a": None}, "/etc/a"),
        ({"a/mine": b"x"}, {"a": b"2"}, "/etc/a"),
    ],
)
def test_a_folder_against_a_file(
    tmp_path: Path, mine: dict[str, bytes | None], new: dict[str, bytes | None], path: str
) -> None:
    base = etc(tmp_path / "base", {"a": b"1"})
    etc(tmp_path / "mine", mine)
    with pytest.raises(EtcConflict, match=path):
        foresee(base, tmp_path / "mine/etc", etc(tmp_path / "new", new))
