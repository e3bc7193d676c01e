"""What is made of an overlay is to the bit what the overlay shows, whatever was done in it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edeploy.images import trees
from edeploy.images.build.bench import Bench, Origins, opened
from edeploy.images.build.layer_process import entries_of
from edeploy.images.build.shared_tree import Find, How, Source, make_tree
from edeploy.images.manifest import Entry
from edeploy.images.objects import Objects

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts an overlay")

FOLDERS = ("a", "b", "a/deep", "c")
FILES = ("one", "two", "three")


@contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def lower_tree(top: Path) -> dict[bytes, Entry]:
    for folder in FOLDERS:
        (top / folder).mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (top / folder / name).write_text(f"{folder} {name}\n" * 50)
        os.link(top / folder / "one", top / folder / "again")
        (top / folder / "link").symlink_to("one")
    os.link(top / "a/two", top / "c/elsewhere")
    (top / "a/holes").touch()
    os.truncate(top / "a/holes", 1 << 20)
    subprocess.run(["setfattr", "-n", "user.x", "-v", "1", top / "b/two"], check=True)
    return {entry.path: entry for entry in trees.scan(top)}


def found_in(tree: Path) -> Find:
    """For `make_tree`: content is moved from `tree`."""
    return lambda entry, _: Source(os.path.join(os.fsencode(tree), entry.path), How.MOVE)


def is_exact(bench: Bench, below: dict[bytes, Entry]) -> list[Entry]:
    """Read through the overlay's sides and plainly, it is the same; so is the tree made of it."""
    entries = entries_of(bench, below)
    plain = trees.scan(bench.tree)
    assert entries == plain
    return entries


def made(entries: list[Entry], bench: Bench, folder: Path) -> Path:
    tree = folder / "made"
    make_tree(entries, tree, find=Origins(bench).source, objects=Objects(folder / "objects"))
    assert trees.check(tree, entries) == []
    return tree


paths = st.tuples(st.sampled_from(FOLDERS), st.sampled_from((*FILES, "again", "link", "new")))
steps = st.one_of(
    st.tuples(st.just("write"), paths),
    st.tuples(st.just("append"), paths),
    st.tuples(st.just("remove"), paths),
    st.tuples(st.just("chmod"), paths),
    st.tuples(st.just("touch"), paths),
    st.tuples(st.just("rename"), st.tuples(paths, paths)),
    st.tuples(st.just("hardlink"), st.tuples(paths, paths)),
    st.tuples(st.just("xattr"), paths),
    st.tuples(st.just("rmtree"), st.sampled_from(FOLDERS)),
    st.tuples(st.just("mkdir"), st.sampled_from(FOLDERS)),
    st.tuples(st.just("rename_folder"), st.tuples(st.sampled_from(FOLDERS), st.just("moved"))),
    st.tuples(st.just("replace_by_file"), st.sampled_from(FOLDERS)),
    st.tuples(st.just("replace_by_folder"), paths),
)


def do(tree: Path, what: str, where: object) -> None:
    """One step of a careless script; it may well not be possible."""
    if isinstance(where, str):
        path, other = tree / where, tree
    else:
        assert isinstance(where, tuple)
        one, two = where
        if isinstance(one, tuple):
            path, other = tree.joinpath(*one), tree.joinpath(*two)
        else:
            path = tree / one / two if what != "rename_folder" else tree / one
            other = tree / two
    try:
        if what == "write":
            path.unlink(missing_ok=True)
            path.write_text("written")
        elif what == "append":
            with open(path, "a") as stream:
                stream.write("appended")
        elif what == "remove":
            path.unlink()
        elif what == "chmod":
            path.chmod(0o600)
        elif what == "touch":
            os.utime(path, (5, 5), follow_symlinks=False)
        elif what in ("rename", "rename_folder"):
            path.rename(other)
        elif what == "hardlink":
            os.link(path, other, follow_symlinks=False)
        elif what == "xattr":
            os.setxattr(path, "user.y", b"2", follow_symlinks=False)
        elif what == "rmtree":
            shutil.rmtree(path)
        elif what == "mkdir":
            path.mkdir()
            (path / "fresh").write_text("fresh")
        elif what == "replace_by_file":
            shutil.rmtree(path)
            path.write_text("a file now")
        elif what == "replace_by_folder":
            path.unlink()
            path.mkdir()
            (path / "inner").write_text("inner")
    except OSError:
        pass


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(steps, max_size=12))
def test_whatever_is_done(todo: list[tuple[str, object]]) -> None:
    with scratch() as folder:
        below = lower_tree(folder / "source")
        lower, objects = folder / "lower", Objects(folder / "objects")
        make_tree(list(below.values()), lower, find=found_in(folder / "source"), objects=objects)
        with opened(folder / "bench", lower, 0, lambda _: None) as bench:
            assert bench.upper is not None
            for what, where in todo:
                do(bench.tree, what, where)
            entries = is_exact(bench, below)
        tree = made(entries, bench, folder)
        # What is below has not changed, and nothing of it was copied.
        assert {entry.path: entry for entry in trees.scan(lower)} == below
        for entry in entries:
            if below.get(entry.path) == entry and entry.type == "file" and not entry.links:
                name = os.fsdecode(entry.path)
                assert os.path.samefile(tree / name, lower / name), name


def test_two_versions_share_by_content_and_never_within_a_tree(tmp_path: Path) -> None:
    objects = Objects(tmp_path / "objects")
    for version in ("1", "2"):
        source = tmp_path / f"source{version}"
        source.mkdir()
        for name in ("x", "y"):
            (source / name).write_text("equal")
            os.utime(source / name, (5, 5))
        (source / "z").write_text(version)
        entries = trees.scan(source)

        make_tree(entries, tmp_path / version, find=found_in(source), objects=objects)
        assert trees.check(tmp_path / version, entries) == []
    assert os.path.samefile(tmp_path / "1/x", tmp_path / "2/x")
    assert not os.path.samefile(tmp_path / "1/x", tmp_path / "1/y")
    assert (tmp_path / "1/z").read_text() == "1"


def test_without_overlayfs_it_is_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lower = tmp_path / "lower"
    below = lower_tree(lower)
    (tmp_path / "bin").mkdir()
    fake = tmp_path / "bin/mount"
    fake.write_text("#!/bin/sh\necho 'mount: unknown filesystem type overlay' >&2; exit 32\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    said: list[str] = []
    with opened(tmp_path / "bench", lower, 0, said.append) as bench:
        do(bench.tree, "append", ("a", "three"))
        entries = is_exact(bench, below)
    made(entries, bench, tmp_path)
    assert "no overlayfs here" in said[0]
    assert {entry.path: entry for entry in trees.scan(lower)} == below
