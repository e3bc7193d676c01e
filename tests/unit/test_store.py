"""The store: an image is there when its record is, and what is missing is told with what is not."""

from pathlib import Path

import pytest

from edeploy.errors import EdeployError
from edeploy.images.store import NoSuchImage, Record, Store, record_text
from edeploy.names import BadName

RECORD = Record("in", 3, 10, 5, "aa", "bb", 1.5)


def put(store: Store, role: str, version: str) -> None:
    image = store.place(role, version)
    image.tree.mkdir(parents=True)
    image.record_file.write_text(record_text(RECORD))


def test_images_are_listed_when_complete(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.images() == []
    put(store, "web", "1.0.0")
    put(store, "web-big", "1.0.0")
    put(store, "base", "2")
    store.place("half", "1.0.0").tree.mkdir()
    assert [str(image) for image in store.images()] == ["base 2", "web 1.0.0", "web-big 1.0.0"]
    assert store.has("web", "1.0.0") and not store.has("half", "1.0.0")
    image = store.image("web", "1.0.0")
    assert image.tree == tmp_path / "install/1.0.0/web"
    assert image.archive == tmp_path / "install/1.0.0/web-1.0.0.edeploy"
    assert image.record() == RECORD


def test_a_missing_image_is_told_with_those_that_are_there(tmp_path: Path) -> None:
    store = Store(tmp_path)
    put(store, "base", "2")
    with pytest.raises(NoSuchImage) as error:
        store.image("base", "1")
    assert "base 1, but base 2" in str(error.value)
    assert "edeploy image build base --version 1" in str(error.value)
    with pytest.raises(NoSuchImage, match="edeploy ramdisk build --kernel cloud"):
        store.ramdisk("cloud")


@pytest.mark.parametrize(("role", "version"), [("..", "1"), ("web", "../1"), (".x", "1")])
def test_names_do_not_lead_out(tmp_path: Path, role: str, version: str) -> None:
    with pytest.raises(BadName):
        Store(tmp_path).place(role, version)


def test_a_damaged_record(tmp_path: Path) -> None:
    store = Store(tmp_path)
    put(store, "web", "1")
    store.place("web", "1").record_file.write_text('{"size": 1}')
    with pytest.raises(EdeployError, match="not the record of an image"):
        store.image("web", "1").record()
