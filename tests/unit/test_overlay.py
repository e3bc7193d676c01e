"""The machine's own files go under the new root, wherever its links lead."""

import os
import stat
from pathlib import Path

import pytest

from edeploy.errors import EdeployError
from edeploy.node.install.overlay import LinkLoop, inside, lay_over, put


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "usr/lib").mkdir(parents=True)
    (root / "etc").mkdir()
    (root / "lib").symlink_to("usr/lib")
    (root / "var").symlink_to("/usr/var/../lib")
    (root / "loop").symlink_to("loop")
    (root / "up").symlink_to("../../../etc")
    return root


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("etc/x", "etc/x"),
        ("/lib/x", "usr/lib/x"),
        ("var/x", "usr/lib/x"),
        ("up/x", "etc/x"),
        ("../../etc/x", "etc/x"),
        ("new/folder", "new/folder"),
        (".", "."),
    ],
)
def test_links_are_followed_as_the_new_system_will(root: Path, path: str, place: str) -> None:
    assert inside(root, Path(path)) == root / place


def test_a_circle_of_links(root: Path) -> None:
    with pytest.raises(LinkLoop):
        inside(root, Path("loop/x"))


def test_files_with_modes_links_and_folders(root: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "overlay"
    (overlay / "lib/new").mkdir(parents=True)
    os.chmod(overlay / "lib/new", 0o700)
    (overlay / "lib/new/key").write_text("k")
    os.chmod(overlay / "lib/new/key", 0o640)
    (overlay / "lib/alias").symlink_to("/etc/target")
    (overlay / "etc").mkdir()
    (overlay / "etc/resolv.conf").write_text("ours")
    outside = tmp_path / "outside"
    outside.write_text("theirs")
    (root / "etc/resolv.conf").symlink_to(outside)
    assert lay_over(overlay, root) == ["etc/resolv.conf", "lib/alias", "lib/new/key"]
    assert stat.S_IMODE((root / "usr/lib/new").stat().st_mode) == 0o700
    assert stat.S_IMODE((root / "usr/lib/new/key").stat().st_mode) == 0o640
    assert os.readlink(root / "usr/lib/alias") == "/etc/target"
    assert (root / "etc/resolv.conf").read_text() == "ours"
    assert outside.read_text() == "theirs"


def test_a_file_where_the_image_has_a_folder(root: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    (overlay / "etc").write_text("a file")
    with pytest.raises(EdeployError, match="is a folder in the image"):
        lay_over(overlay, root)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to root")
def test_a_secret_is_never_readable_by_others(root: Path) -> None:
    put(root, "/etc/edeploy/node.json", "{}", mode=0o600)
    put(root, "/etc/edeploy/node.json", '{"a": 1}', mode=0o600)
    about = (root / "etc/edeploy/node.json").stat()
    assert stat.S_IMODE(about.st_mode) == 0o600
    assert os.listdir(root / "etc/edeploy") == ["node.json"]
