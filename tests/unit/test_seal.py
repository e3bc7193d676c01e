"""Sealing: nothing of one machine stays in an image, and nothing outside the tree is touched."""

import os
from pathlib import Path

import pytest

from edeploy.errors import EdeployError
from edeploy.images.seal import seal
from edeploy.names import BadName


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    for folder in ("etc/ssh", "usr", "var/log/app", "var/lib/apt/lists", "var/cache/apt", "tmp"):
        (root / folder).mkdir(parents=True)
    (root / "etc/shadow").write_text("root:$y$secret:1:::::\ndaemon:*:1:::::\napp:!:1:::::\n")
    (root / "etc/machine-id").write_text("0123\n")
    return root


def test_what_belongs_to_one_machine_goes(tree: Path) -> None:
    gone = ["etc/ssh/ssh_host_rsa_key", "etc/hostname", "var/log/app/a.log", "tmp/x",
            "var/lib/apt/lists/l", "etc/resolv.conf"]  # fmt: skip
    for name in [*gone, "etc/ssh/sshd_config"]:
        (tree / name).write_text("x")
    seal(tree)
    assert [name for name in gone if (tree / name).exists()] == []
    assert (tree / "etc/ssh/sshd_config").exists()
    assert (tree / "var/log/app").is_dir()
    assert (tree / "etc/machine-id").read_bytes() == b""
    assert (tree / "etc/shadow").read_text().startswith("root:*:1:::::\n")


def test_times_are_whole_seconds(tree: Path) -> None:
    os.utime(tree / "usr", ns=(5, 1_500_000_000))
    seal(tree)
    assert (tree / "usr").stat().st_mtime_ns == 1_000_000_000
    times = [path.lstat().st_mtime_ns for path in (tree, *tree.rglob("*"))]
    assert all(time % 10**9 == 0 for time in times)


def test_a_password_is_refused(tree: Path) -> None:
    (tree / "etc/shadow").write_text("root:*:1:::::\nadmin:$y$x:1:::::\n")
    with pytest.raises(EdeployError, match="account admin has a password"):
        seal(tree)


def test_links_out_of_the_tree_are_not_followed(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    (tmp_path / "host/file").write_text("the builder's own")
    (tree / "var/log/app").rmdir()
    (tree / "var/log").rmdir()
    (tree / "var/log").symlink_to(tmp_path / "host")
    with pytest.raises(BadName):
        seal(tree)
    assert (tmp_path / "host/file").exists()
