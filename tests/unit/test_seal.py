"""Sealing: nothing of one machine stays in an image, and nothing outside the tree is touched."""

import os
import py_compile
import subprocess
import sys
from pathlib import Path

import pytest

from edeploy.errors import EdeployError
from edeploy.images.build.seal import seal
from edeploy.names import BadName

EPOCH = 1_700_000_000
TIMESTAMP = py_compile.PycInvalidationMode.TIMESTAMP
CHECKED_HASH = py_compile.PycInvalidationMode.CHECKED_HASH


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
    (tree / "vmlinuz.old").symlink_to("boot/gone")
    gone.append("vmlinuz.old")
    seal(tree, EPOCH)
    assert [name for name in gone if os.path.lexists(tree / name)] == []
    assert (tree / "etc/ssh/sshd_config").exists()
    assert (tree / "var/log/app").is_dir()
    assert (tree / "etc/machine-id").read_bytes() == b""
    assert (tree / "etc/shadow").read_text().startswith("root:*:1:::::\n")


def test_what_is_equal_has_equal_times_and_what_differs_has_others(tree: Path) -> None:
    os.mkfifo(tree / "fifo")
    files = {"a": "one", "b": "two", "usr/a": "one"}
    for name, content in files.items():
        (tree / name).write_text(content)
    (tree / "l").symlink_to("a")
    # Of two releases of a package: packed at other times, and not the same content.
    (tree / "usr/a").touch()
    os.utime(tree / "usr/a", (EPOCH - 5, EPOCH - 5))
    os.utime(tree / "b", (EPOCH - 5, EPOCH - 5))
    for folder in ("opt/x", "srv/x"):
        (tree / folder).mkdir(parents=True)
        (tree / folder / "file").write_text(folder)
    seal(tree, EPOCH)
    times = {name: (tree / name).stat().st_mtime for name in files}
    assert times["a"] == times["usr/a"] != times["b"]
    # A folder is the names in it.
    assert (tree / "opt/x").stat().st_mtime == (tree / "srv/x").stat().st_mtime
    assert (tree / "opt/x").stat().st_mtime != (tree / "opt").stat().st_mtime
    assert (tree / "opt/x/file").stat().st_mtime != (tree / "srv/x/file").stat().st_mtime
    every = [path.lstat().st_mtime_ns for path in (tree, *tree.rglob("*"))]
    assert all(time % 10**9 == 0 for time in every)
    before = {path: path.lstat().st_mtime_ns for path in tree.rglob("*")}
    seal(tree, EPOCH)
    assert before == {path: path.lstat().st_mtime_ns for path in tree.rglob("*")}


def test_newer_packages_are_newer_for_systemd(tree: Path) -> None:
    seal(tree, EPOCH)
    seal(tree, EPOCH + 9)
    for name in ("usr", "etc/.updated", "var/.updated"):
        assert (tree / name).stat().st_mtime == EPOCH + 9


def compiled_of(source: Path) -> Path:
    made = py_compile.compile(str(source), invalidation_mode=TIMESTAMP, doraise=True)
    assert made is not None
    return Path(made)


def test_python_still_runs_what_was_compiled(tree: Path) -> None:
    source = tree / "usr/module.py"
    source.write_text("x = 1\n")
    compiled = compiled_of(source)
    by_content = tree / "usr/other.py"
    by_content.write_text("x = 2\n")
    py_compile.compile(str(by_content), invalidation_mode=CHECKED_HASH, doraise=True)
    seal(tree, EPOCH)
    moment = source.stat().st_mtime
    assert moment < EPOCH
    assert int.from_bytes(compiled.read_bytes()[8:12], "little") == moment
    run = "import sys; sys.path.insert(0, sys.argv[1]); import module, other"
    said = subprocess.run(
        [sys.executable, "-vBc", run, tree / "usr"], check=True, capture_output=True, text=True
    ).stderr
    assert "matches" in said and str(compiled) in said
    assert "is stale" not in said


def test_compiled_files_of_a_package_keep_their_sources_time(tree: Path) -> None:
    source = tree / "usr/module.py"
    source.write_text("x = 1\n")
    os.utime(source, (EPOCH - 7, EPOCH - 7))
    compiled = compiled_of(source)
    os.utime(compiled, (EPOCH - 7, EPOCH - 7))
    content = compiled.read_bytes()
    seal(tree, EPOCH)
    assert (source.stat().st_mtime, compiled.read_bytes()) == (EPOCH - 7, content)


PRIVATE_KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\n" + "b3BlbnNzaC1rZXktdjEAAAAA" * 3 + "\n"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (PRIVATE_KEY, "a private key"),
        ("admin:$6$salt$" + "x" * 86 + ":1::\n", "the hash of a password"),
        ("admin:$2y$10$" + "x" * 53 + "\n", "the hash of a password"),
        ("u: $y$j9T$" + "x" * 22 + "$" + "x" * 43 + "\n", "the hash of a password"),
    ],
)
def test_secrets_are_refused_wherever_they_are(tree: Path, content: str, what: str) -> None:
    (tree / "etc/some").write_text(content)
    with pytest.raises(EdeployError, match=f"/etc/some: {what}"):
        seal(tree, EPOCH)


def test_a_key_that_a_package_brings_is_no_secret(tree: Path) -> None:
    (tree / "usr/example").write_text(PRIVATE_KEY)
    (tree / "usr/manual").write_text("-----BEGIN PRIVATE KEY-----\nand so on\n")
    (tree / "usr/example.py").write_text(f'"""{PRIVATE_KEY}"""\n')
    py_compile.compile(str(tree / "usr/example.py"), doraise=True)
    (tree / "var/lib/dpkg/info").mkdir(parents=True)
    listed = "/.\n/usr\n/usr/example\n/usr/example.py\n"
    (tree / "var/lib/dpkg/info/docs.list").write_text(listed)
    seal(tree, EPOCH)


def test_a_password_is_refused(tree: Path) -> None:
    (tree / "etc/shadow").write_text("root:*:1:::::\nadmin:$y$x:1:::::\n")
    with pytest.raises(EdeployError, match="account admin has a password"):
        seal(tree, EPOCH)


def test_links_out_of_the_tree_are_not_followed(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    (tmp_path / "host/file").write_text("the builder's own")
    (tree / "var/log/app").rmdir()
    (tree / "var/log").rmdir()
    (tree / "var/log").symlink_to(tmp_path / "host")
    with pytest.raises(BadName):
        seal(tree, EPOCH)
    assert (tmp_path / "host/file").exists()


def test_an_image_for_versions_has_a_place_for_the_disk(tree: Path) -> None:
    seal(tree, EPOCH)
    assert not (tree / "sysroot").exists()
    (tree / "usr/lib/edeploy").mkdir(parents=True)
    (tree / "usr/lib/edeploy/paths.json").write_text("{}")
    seal(tree, EPOCH)
    assert (tree / "sysroot").stat().st_mode & 0o7777 == 0o755
