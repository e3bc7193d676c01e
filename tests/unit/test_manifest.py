"""The manifest: what is written about a tree, and every way in which a tree may differ."""

import os
import subprocess
from pathlib import Path

import pytest

from edeploy.errors import EdeployError
from edeploy.images import manifest, trees
from edeploy.images.manifest import BadManifest, Entry

SHA = "0" * 64
ROOT = ". type=dir mode=0755 uid=0 gid=0 time=1.000000000"
FILE = f"a type=file mode=0644 uid=0 gid=0 size=0 time=1.000000000 sha256={SHA}"


def text(*lines: str) -> bytes:
    return "\n".join([manifest.HEADER, *lines, ""]).encode()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "bin").mkdir(parents=True)
    (root / "bin/tool").write_bytes(b"tool\n")
    os.chmod(root / "bin/tool", 0o4700)
    os.link(root / "bin/tool", root / "bin/tool2")
    os.link(root / "bin/tool", root / "also")
    (root / "link").symlink_to("bin/tool")
    os.mkfifo(root / "pipe")
    (root / "odd \n=%é").write_bytes(b"")
    Path(os.fsdecode(os.fsencode(root) + b"/bad\xff")).write_bytes(b"x")
    (root / "!first").write_bytes(b"y")
    with open(root / "holes", "wb") as stream:
        stream.write(b"start")
        stream.truncate(1 << 20)
    os.setxattr(root / "bin/tool", "user.note", b"\x00 \xff")
    return root


def entries_by_path(root: Path) -> dict[bytes, Entry]:
    return {entry.path: entry for entry in trees.scan(root)}


def differences(root: Path, entries: list[Entry]) -> list[str]:
    return [str(difference) for difference in trees.check(root, entries)]


def test_a_tree_is_its_own_manifest(tree: Path) -> None:
    entries = trees.scan(tree)
    data = manifest.dump(entries)
    assert manifest.parse(data) == entries
    assert manifest.dump(trees.scan(tree, workers=1)) == data
    assert trees.check(tree, entries) == []


def test_what_is_written(tree: Path) -> None:
    lines = manifest.dump(trees.scan(tree)).decode().splitlines()
    assert lines[0] == "#edeploy-manifest 1"
    assert lines[1].startswith(". type=dir mode=0755 ")
    assert lines[2].startswith("!first type=file ")
    odd = next(line for line in lines if line.startswith("odd"))
    assert odd.startswith("odd%20%0A%3D%25%C3%A9 type=file mode=0644 ")
    tool = next(line for line in lines if line.startswith("bin/tool2"))
    assert " mode=4700 " in tool
    assert tool.endswith(" links=also xattr.user.note=0020ff")
    found = entries_by_path(tree)
    assert found[b"link"].target == b"bin/tool"
    assert found[b"pipe"].type == "fifo"
    assert found[b"holes"].sparse and not found[b"bin/tool"].sparse
    assert found[b"bad\xff"].size == 1


def test_progress_counts_the_bytes_of_files(tree: Path) -> None:
    seen: list[tuple[int, int]] = []
    entries = trees.scan(tree, on_progress=lambda done, total: seen.append((done, total)))
    total = sum(entry.size for entry in entries)
    assert seen[-1] == (total, total)
    seen.clear()
    trees.check(tree, entries, on_progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (total, total)


def test_content_of_equal_size_and_time(tree: Path) -> None:
    entries = trees.scan(tree)
    about = os.stat(tree / "!first")
    (tree / "!first").write_bytes(b"z")
    os.utime(tree / "!first", ns=(about.st_atime_ns, about.st_mtime_ns))
    (found,) = differences(tree, entries)
    assert found.startswith("!first: content differs: sha256 ")


def test_each_property_is_compared(tree: Path) -> None:
    entries = trees.scan(tree)
    os.chmod(tree / "!first", 0o600)
    os.utime(tree / "pipe", ns=(0, 5))
    os.truncate(tree / "holes", 9)
    os.utime(tree / "holes", ns=(0, next(e.time for e in entries if e.path == b"holes")))
    (tree / "link").unlink()
    (tree / "link").symlink_to("elsewhere")
    os.setxattr(tree / "also", "user.note", b"other")
    os.setxattr(tree / "odd \n=%é", "user.more", b"")
    found = differences(tree, entries)
    assert "!first: mode 0600, should be 0644" in found
    assert any(line.startswith("pipe: time 0.000000005, should be ") for line in found)
    assert "holes: size 9, should be 1048576" in found
    assert "link: points to elsewhere, should be bin/tool" in found
    assert "also: xattr user.note is 6f74686572, should be 0020ff" in found
    assert "odd%20%0A%3D%25%C3%A9: xattr user.more should not be there" in found


@pytest.mark.skipif(os.geteuid() != 0, reason="changing owners needs root")
def test_owner_and_device(tree: Path) -> None:
    os.mknod(tree / "null", 0o600 | 0o020000, os.makedev(1, 3))
    entries = trees.scan(tree)
    assert next(e for e in entries if e.path == b"null").device == (1, 3)
    (tree / "null").unlink()
    os.mknod(tree / "null", 0o600 | 0o020000, os.makedev(1, 5))
    os.chown(tree / "link", 7, 8, follow_symlinks=False)
    found = differences(tree, entries)
    assert "null: device (1, 5), should be (1, 3)" in found
    assert "link: owner 7:8, should be 0:0" in found


def test_hard_links_split_and_joined(tree: Path) -> None:
    entries = trees.scan(tree)
    copy = (tree / "bin/tool2").read_bytes()
    (tree / "bin/tool2").unlink()
    (tree / "bin/tool2").write_bytes(copy)
    (tree / "!first").unlink()
    os.link(tree / "also", tree / "!first")
    found = differences(tree, entries)
    assert "bin/tool2: should be a hard link of also" in found
    assert "also: should not be a hard link of !first" in found


def test_links_out_of_the_tree_are_no_group(tree: Path, tmp_path: Path) -> None:
    os.link(tree / "!first", tmp_path / "outside")
    assert entries_by_path(tree)[b"!first"].links == b""


def test_missing_extra_and_changed_types(tree: Path) -> None:
    entries = trees.scan(tree)
    subprocess.run(["rm", "-r", tree / "bin"], check=True)
    (tree / "bin").symlink_to("/usr/bin")
    (tree / "new").mkdir()
    (tree / "lost+found").mkdir()
    found = differences(tree, entries)
    assert "bin: is a link, should be a dir" in found
    assert "bin/tool: is missing" in found
    assert "new: is not in the image" in found
    assert not any("lost+found" in line for line in found)


def test_a_socket_is_refused(tree: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(tree)
        try:
            server.bind("sock")
        finally:
            os.chdir(here)
    with pytest.raises(EdeployError, match="sock: a socket"):
        trees.scan(tree)


@pytest.mark.parametrize(
    ("data", "line", "what"),
    [
        (b"", 1, "not '#edeploy-manifest 1'"),
        (b"#edeploy-manifest 2\n", 1, "not '#edeploy-manifest 1'"),
        (b"#edeploy-manifest 1\n", 2, "no entries"),
        (text(ROOT)[:-1], 2, "cut off"),
        (text(FILE), 2, "first path"),
        (text(ROOT, FILE, FILE), 4, "out of order"),
        (text(ROOT, ROOT), 3, "no path inside a tree"),
        (text(ROOT, FILE.replace("a ", "b/a ", 1)), 3, "folder is not in the manifest"),
        (text(ROOT, FILE.replace("a ", "/a ", 1)), 3, "no path inside a tree"),
        (text(ROOT, FILE.replace("a ", ".. ", 1)), 3, "no path inside a tree"),
        (text(ROOT, FILE.replace("a ", "%00 ", 1)), 3, "no path inside a tree"),
        (text(ROOT, FILE.replace("a ", "%61 ", 1)), 3, "needs no escape"),
        (text(ROOT, FILE.replace(" size=0", "")), 3, "do not fit type=file"),
        (text(ROOT, FILE.replace("type=file", "type=dir")), 3, "do not fit type=dir"),
        (text(ROOT, FILE.replace("mode=0644", "mode=644")), 3, "not a manifest line"),
        (text(ROOT, FILE + " extra=1"), 3, "not a manifest line"),
        (text(ROOT, FILE + " links=b"), 3, "no earlier path"),
        (text(ROOT, FILE + " xattr.b=00 xattr.a=00"), 3, "xattrs are out of order"),
        (text(ROOT, FILE).replace(b"a type", b"\xff type"), 3, "outside ASCII"),
    ],
)
def test_bad_manifests_name_the_line(data: bytes, line: int, what: str) -> None:
    with pytest.raises(BadManifest) as error:
        manifest.parse(data)
    assert f"manifest line {line}: " in str(error.value)
    assert what in str(error.value)
