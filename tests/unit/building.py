"""A role of two packages, a repository that has them and a fake mmdebstrap: a pytest plugin."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from apt_repo import Repository

from edeploy.images.recipe import Recipe, load_recipe
from edeploy.images.store import Store


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    folder = tmp_path / "roles/app"
    folder.mkdir(parents=True)
    (folder / "role.yaml").write_text("suite: bookworm\npackages:\n  - hello\n  - other-one\n")
    return load_recipe(tmp_path / "roles", "app")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(tmp_path_factory.mktemp("repo"))


@pytest.fixture
def repository(made: Repository) -> Repository:
    made.publish({"hello": "1.0", "other-one": "2.0", "apt": "3.0"})
    return made


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def mmdebstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Says which lines of shell mmdebstrap is; its last argument but sources is the tree."""
    path = tmp_path / "bin/mmdebstrap"
    path.parent.mkdir()
    path.touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")

    def runs(body: str) -> None:
        path.write_text(f"#!/bin/sh\n{body}\n")

    return runs
