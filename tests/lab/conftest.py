"""The store with the images that the lab's machines get, built once and reused."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from racks import CHECKOUT, EXAMPLES
from rich.console import Console

from edeploy.images.store import Store
from edeploy.lab.demo import build_boot, build_roles
from edeploy.server.settings import StoreSettings


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.geteuid() != 0:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="a lab needs root"))


@pytest.fixture(scope="session")
def images() -> Store:
    """The store with the roles' images, whatever the network boots."""
    found = Store(StoreSettings().path)
    build_roles(found, CHECKOUT, Console(soft_wrap=True))
    return found


@pytest.fixture(scope="session")
def store(images: Store) -> Store:
    build_boot(images, CHECKOUT, Console(soft_wrap=True))
    return images


@pytest.fixture
def profiles(tmp_path: Path) -> Path:
    """A copy of the example profiles, to be changed by a test."""
    return Path(shutil.copytree(EXAMPLES, tmp_path / "profiles"))


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder for the boot service; dnsmasq, which is not root, has to get into it."""
    with tempfile.TemporaryDirectory(prefix="edeploy-lab-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


@pytest.fixture
def same_disk(store: Store) -> Iterator[Path]:
    """A folder on the store's file system, for hard links."""
    with tempfile.TemporaryDirectory(prefix="lab-", dir=store.root.parent) as name:
        yield Path(name)
