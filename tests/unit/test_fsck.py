"""fsck finds each damage, reads every file once, and repairs what can be made again."""

import hashlib
import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from stored import put_image, put_layer

from edeploy.cli.image import command
from edeploy.images.fsck import check_store
from edeploy.images.store import Store

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="files of a store belong to root")

FILES = {"etc/motd": "hello\n", "usr/bin/tool": "tool" * 5000}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    put_image(store, "web", "1", FILES, layers=["key"])
    put_image(store, "web", "2", {**FILES, "etc/motd": "new\n"}, layers=["key"])
    put_layer(store, "key", FILES)
    return store


def said(store: Store, *, repair: bool = False) -> list[str]:
    return [str(finding) for finding in check_store(store, repair=repair)]


def damage(path: Path) -> None:
    """Another byte, same size, same time: what a disk may do."""
    about = path.stat()
    with open(path, "r+b") as stream:
        stream.write(b"#")
    os.utime(path, ns=(about.st_mtime_ns, about.st_mtime_ns))


def test_a_good_store(store: Store) -> None:
    assert said(store) == []


def test_a_damaged_file_is_told_in_every_tree_that_has_it(store: Store) -> None:
    damage(store.image("web", "1").tree / "usr/bin/tool")
    found = said(store)
    assert [line.partition(" content")[0] for line in found] == [
        "web 1: usr/bin/tool:",
        "web 2: usr/bin/tool:",
        "layer key: damaged: usr/bin/tool:",
    ]


def test_repaired_is_what_can_be_made_again(store: Store) -> None:
    damage(store.image("web", "1").tree / "usr/bin/tool")
    found = said(store, repair=True)
    assert [line.endswith("(repaired)") for line in found] == [False, False, True]
    assert list(store.layers.glob("[!.]*")) == []
    # Whoever builds now does not link to the damaged file.
    image = put_image(store, "web", "3", FILES)
    assert (image.tree / "usr/bin/tool").read_text() == FILES["usr/bin/tool"]
    assert not [line for line in said(store) if line.startswith("web 3")]


@pytest.mark.parametrize("name", ["archive", "manifest"])
def test_damaged_parts(store: Store, name: str) -> None:
    image = store.image("web", "2")
    part: Path = getattr(image, name)
    with open(part, "ab") as stream:
        stream.write(b"x")
    assert f"web 2: {part.name}: is not what was built" in said(store)
    part.unlink()
    assert f"web 2: {part.name}: is missing" in said(store)


def test_remains_of_an_image(store: Store) -> None:
    image = store.image("web", "1")
    image.record_file.unlink()
    names = ["install/1/web", "install/1/web-1.edeploy", "install/1/web-1.manifest"]
    found = said(store, repair=True)
    assert [f"{name}: belongs to no image (repaired)" for name in names] == found[:3]
    assert said(store) == []
    assert store.image("web", "2").tree.is_dir()


def test_a_package_of_the_pool(store: Store) -> None:
    store.pool.mkdir()
    content = b"!<arch>"
    good = store.pool / f"good_1_all_{hashlib.sha256(content).hexdigest()[:16]}.deb"
    bad = store.pool / f"bad-1.noarch_{hashlib.sha256(b'other').hexdigest()[:16]}.rpm"
    for path in (good, bad):
        path.write_bytes(content)
    assert said(store) == [f"pool/{bad.name}: is not what was fetched"]
    assert said(store, repair=True) == [f"pool/{bad.name}: is not what was fetched (repaired)"]
    assert said(store) == []
    assert list(store.pool.iterdir()) == [good]


def test_the_command(store: Store) -> None:
    words = ["fsck", "--store", str(store.root)]
    assert CliRunner().invoke(command, words).exit_code == 0
    damage(store.image("web", "2").tree / "etc/motd")
    done = CliRunner().invoke(command, words)
    assert "web 2: etc/motd: content differs" in done.output
    assert "1 things are wrong" in str(done.exception)
