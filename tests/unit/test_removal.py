"""rm and gc: what nobody needs goes, what somebody uses stays, and no image is harmed."""

import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from stored import put_image, put_layer

from edeploy.cli.image import command
from edeploy.images import locks
from edeploy.images.removal import clear, remove
from edeploy.images.store import Store
from edeploy.images.verify import verify_image

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="files of a store belong to root")

FILES = {"etc/motd": "hello\n", "usr/bin/tool": "tool" * 5000}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    put_image(store, "web", "1.0.0", FILES, layers=["old"])
    put_image(store, "web", "1.10.0", {**FILES, "etc/motd": "new\n"}, layers=["new"])
    for key in ("old", "new", "nobodys"):
        put_layer(store, key, {"usr/bin/tool": FILES["usr/bin/tool"]})
    return store


def test_versions_share_what_did_not_change(store: Store) -> None:
    one, other = store.images()
    assert os.path.samefile(one.tree / "usr/bin/tool", other.tree / "usr/bin/tool")
    assert not os.path.samefile(one.tree / "etc/motd", other.tree / "etc/motd")
    shown = CliRunner().invoke(command, ["ls", "--store", str(store.root), "--json"])
    assert shown.exit_code == 0
    assert '"shared": 20480' in shown.output and '"version": "1.10.0"' in shown.output


def test_an_image_goes_and_the_other_is_exact(store: Store) -> None:
    one, other = store.images()
    assert str(other) == "web 1.10.0"
    remove(one, store)
    assert store.images() == [other]
    assert [path for path in one.files if path.exists()] == [] and not one.tree.exists()
    assert verify_image(other) == []


def test_only_layers_of_the_newest_version_stay(store: Store) -> None:
    cleared = clear(store)
    assert (cleared.layers, cleared.leftovers, cleared.is_all) == (2, 0, True)
    assert [path.name for path in store.layers.iterdir()] == ["new"]
    assert list(store.trash.iterdir()) == []
    assert [verify_image(image) for image in store.images()] == [[], []]


def test_files_without_a_tree_go(store: Store) -> None:
    objects = sum(1 for path in store.objects.rglob("*") if path.is_file())
    for image in store.images():
        remove(image, store)
    cleared = clear(store)
    assert cleared.freed >= len(FILES["usr/bin/tool"])
    assert objects and not [path for path in store.objects.rglob("*") if path.is_file()]


def test_a_running_build_keeps_all_layers(store: Store) -> None:
    with locks.together(store.lock_file):
        cleared = clear(store)
    assert (cleared.layers, cleared.is_all) == (0, False)
    assert len(list(store.layers.glob("[!.]*"))) == 3


def test_a_tree_that_somebody_reads_stays_until_he_is_done(store: Store) -> None:
    image = store.images()[0]
    reader = subprocess.Popen(
        ["sh", "-c", "read wait; cat etc/motd"],
        cwd=image.tree,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    remove(image, store)
    assert not clear(store).is_all
    assert reader.communicate("go\n")[0] == "hello\n"
    assert clear(store).is_all
    assert list(store.trash.iterdir()) == []


def test_leftovers_of_killed_builds_go_but_not_of_running_ones(store: Store) -> None:
    image = store.images()[0]
    left = image.tree.parent / ".web.building-4711"
    (left / "install").mkdir(parents=True)
    with locks.alone(image.build_lock, "builds it"):
        assert clear(store).leftovers == 0 and left.exists()
        with pytest.raises(locks.Busy, match="builds or removes web 1.0.0"):
            remove(image, store)
    assert clear(store).leftovers == 1 and not left.exists()
    assert image.exists


def test_the_commands(store: Store) -> None:
    words = ["--store", str(store.root)]
    done = CliRunner().invoke(command, ["rm", "web-1.10.0", *words])
    assert done.output == "web 1.10.0: removed\n"
    done = CliRunner().invoke(command, ["gc", *words])
    assert done.output.startswith("removed 2 layers and 0 leftovers")
    assert [str(image) for image in store.images()] == ["web 1.0.0"]
