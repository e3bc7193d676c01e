"""Equal trees give equal archives, wherever and whenever they are packed."""

import os
import subprocess
from pathlib import Path

import pytest

from edeploy.images import archive, trees
from edeploy.run import ProgramFailed

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners and capabilities need root")


def tree(folder: Path, names: list[str]) -> Path:
    """A tree with these names, made in their order, with all that an archive must keep."""
    folder.mkdir()
    for name in names:
        (folder / name).write_text(name * 1000)
    (folder / "holes").touch()
    os.truncate(folder / "holes", 3 << 20)
    os.link(folder / names[0], folder / "second")
    os.chown(folder / names[1], 12345, 54321)
    os.mkfifo(folder / "fifo")
    (folder / os.fsdecode(b"odd \n\xff")).write_text("x")
    subprocess.run(["setfattr", "-n", "user.n", "-v", "0x00ff", folder / names[1]], check=True)
    subprocess.run(["setfacl", "-m", "u:7:r", folder / names[1]], check=True)
    subprocess.run(["setcap", "cap_net_raw+ep", folder / names[1]], check=True)
    for path in (*folder.iterdir(), folder):
        os.utime(path, (1_700_000_000, 1_700_000_000), follow_symlinks=False)
    return folder


def test_the_same_bytes_of_the_same_tree(tmp_path: Path) -> None:
    names = ["a", "n" * 150, "ü", "z"]
    one = tree(tmp_path / "one", names)
    archive.pack(one, tmp_path / "one.edeploy")
    # Made in another order, read at another time, and on one processor.
    two = tree(tmp_path / "two", [names[0], names[1], *reversed(names[2:])])
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        (two / "a").read_text()
        archive.pack(two, tmp_path / "two.edeploy")
    finally:
        os.sched_setaffinity(0, cores)
    assert (tmp_path / "one.edeploy").read_bytes() == (tmp_path / "two.edeploy").read_bytes()
    (tmp_path / "out").mkdir()
    archive.unpack(tmp_path / "one.edeploy", tmp_path / "out")
    assert trees.check(tmp_path / "out", trees.scan(one)) == []


@pytest.mark.parametrize(
    ("said", "is_fine"),
    [
        ("tar: ./usr/lib/libx.so: file changed as we read it", True),
        ("tar: ./usr/lib/libx.so: File shrank by 3 bytes; padding with zeros", False),
        ("", False),
    ],
)
def test_a_new_link_to_a_file_is_no_change_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, is_fine: bool
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/tar").write_text(f"#!/bin/sh\necho '{said}' >&2; exit 1\n")
    (tmp_path / "bin/tar").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    if is_fine:
        archive.pack(tmp_path, tmp_path / "x.edeploy")
    else:
        with pytest.raises(ProgramFailed):
            archive.pack(tmp_path, tmp_path / "x.edeploy")
