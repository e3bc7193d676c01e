"""What a new version brings for the machine's own /var."""

from pathlib import Path

from edeploy.images import trees
from edeploy.node.upgrade.upgrade import put_shared


def test_what_is_missing_comes_and_the_rest_stays(tmp_path: Path) -> None:
    tree, root = tmp_path / "tree", tmp_path / "root"
    for folder in ("var/lib/new", "var/lib/dpkg/info", "etc"):
        (tree / folder).mkdir(parents=True)
    for name in ("var/lib/new/a", "var/lib/old", "var/lib/dpkg/info/new.list", "etc/x"):
        (tree / name).write_text("image")
    # A running version has its package databases read-only: they are no part of the machine's.
    (root / "var/lib/dpkg").mkdir(parents=True)
    (root / "var/lib/old").write_text("machine")
    put_shared(tree, root, trees.scan(tree))
    assert (root / "var/lib/new/a").read_text() == "image"
    assert (root / "var/lib/old").read_text() == "machine"
    assert list((root / "var/lib/dpkg").iterdir()) == []
    assert not (root / "etc").exists()
