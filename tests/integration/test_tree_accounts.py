"""Accounts of a tree get the table's ids, and so do their files, with all that hangs on them."""

import os
import subprocess
from pathlib import Path

import pytest

from edeploy.images.build.accounts import settle_ids
from edeploy.images.build.bench import Bench
from edeploy.images.ids import Account, Ids, Kind
from edeploy.images.recipe import load_recipe

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="gives files away")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    tree = tmp_path / "tree"
    for folder in ("etc", "var/a", "var/b"):
        (tree / folder).mkdir(parents=True)
    (tree / "etc/passwd").write_text(
        "root:x:0:0::/root:/bin/sh\na:x:101:101:A:/var/a:/bin/sh\nb:x:102:102::/var/b:/bin/sh\n"
    )
    (tree / "etc/group").write_text("root:x:0:\na:x:101:b\nb:x:102:\n")
    for name, number in (("a", 101), ("b", 102)):
        os.chown(tree / f"var/{name}", number, number)
    return Bench(tree, None, None, tmp_path, tmp_path / "log", 0)


def test_numbers_change_places(bench: Bench, tmp_path: Path) -> None:
    tool, kept = bench.tree / "var/a/tool", bench.tree / "var/a/kept"
    tool.write_bytes(b"x")
    os.link(tool, bench.tree / "var/b/again")
    os.symlink("tool", bench.tree / "var/a/link")
    os.lchown(bench.tree / "var/a/link", 101, 102)
    os.chown(tool, 101, 102)
    tool.chmod(0o6755)
    kept.write_bytes(b"y")
    os.chown(kept, 102, 0)
    subprocess.run(["setcap", "cap_net_raw+ep", kept], check=True)
    subprocess.run(["setfacl", "-m", "u:101:r,u:102:rw,g:101:rwx", kept], check=True)
    ids = Ids(tmp_path / "ids")
    known = [
        Account(kind, name, number) for kind in Kind for name, number in (("b", 101), ("a", 102))
    ]
    ids.settle(known, "other")
    (tmp_path / "roles/r").mkdir(parents=True)
    (tmp_path / "roles/r/role.yaml").write_text("")
    settle_ids(load_recipe(tmp_path / "roles", "r"), bench, ids)
    assert (bench.tree / "etc/passwd").read_text() == (
        "root:x:0:0::/root:/bin/sh\na:x:102:102:A:/var/a:/bin/sh\nb:x:101:101::/var/b:/bin/sh\n"
    )
    assert (bench.tree / "etc/group").read_text() == "root:x:0:\na:x:102:b\nb:x:101:\n"
    about = tool.stat()
    assert (about.st_uid, about.st_gid, about.st_mode & 0o7777) == (102, 101, 0o6755)
    assert (bench.tree / "var/b/again").stat().st_ino == about.st_ino
    link = (bench.tree / "var/a/link").lstat()
    assert (link.st_uid, link.st_gid) == (102, 101)
    said = subprocess.run(["getcap", kept], capture_output=True, text=True, check=True).stdout
    assert "cap_net_raw=ep" in said
    rights = subprocess.run(
        ["getfacl", "-nc", kept], capture_output=True, text=True, check=True
    ).stdout.split()
    assert {"user:102:r--", "user:101:rw-", "group:102:rwx"} <= set(rights)
    # Again, nothing changes.
    before = {path: path.lstat().st_ctime_ns for path in bench.tree.rglob("*")}
    settle_ids(load_recipe(tmp_path / "roles", "r"), bench, ids)
    assert before == {path: path.lstat().st_ctime_ns for path in bench.tree.rglob("*")}
