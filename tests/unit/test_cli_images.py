"""`edeploy role` and `edeploy image` as an operator meets them."""

import json
import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from edeploy.cli.image import command as image
from edeploy.cli.role import command as role
from edeploy.errors import EdeployError
from edeploy.images import archive, manifest, trees
from edeploy.images.owners import TOP
from edeploy.images.store import Record, Store, record_text


@pytest.fixture
def roles(tmp_path: Path) -> Path:
    for name, text in (("base", "packages: [a1]\n"), ("web", "from: base\npackages: [b1]\n")):
        (tmp_path / "roles" / name).mkdir(parents=True)
        (tmp_path / "roles" / name / "role.yaml").write_text(text)
    return tmp_path / "roles"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with one image that was not built but put there."""
    store = Store(tmp_path / "store")
    place = store.place("web", "1.0.0")
    (place.tree / "etc").mkdir(parents=True)
    (place.tree / "etc/motd").write_text("hello\n")
    os.link(place.tree / "etc/motd", place.tree / "motd")
    place.manifest.write_bytes(manifest.dump(trees.scan(place.tree)))
    archive.pack(place.tree, place.archive)
    sums = [archive.sha256_of(path) for path in (place.archive, place.manifest)]
    place.record_file.write_text(record_text(Record("in", 4, 6, 9, sums[0], sums[1], 1.0)))
    return store


def call(group: click.Command, *words: str | Path) -> Result:
    return CliRunner().invoke(group, [str(word) for word in words])


def test_role_show_names_the_line_of_each_part(roles: Path) -> None:
    shown = call(role, "show", "web", "--roles", roles)
    assert f"package: a1    # {roles}/base/role.yaml:1:12\n" in shown.output
    assert f"package: b1    # {roles}/web/role.yaml:2:12\n" in shown.output
    facts = json.loads(call(role, "show", "web", "--roles", roles, "--json").output)
    assert facts["packages"] == ["a1", "b1"] and facts["roles"] == ["base", "web"]


def test_role_ls(roles: Path) -> None:
    facts = json.loads(call(role, "ls", "--roles", roles, "--json").output)
    assert [each["name"] for each in facts] == ["base", "web"]


def test_role_lint_tells_every_mistake_once(roles: Path) -> None:
    (roles / "base/role.yaml").write_text(f"paths: {{image: [{', '.join(TOP)}]}}\n")
    assert call(role, "lint", "--roles", roles).output == "2 roles, no mistakes\n"
    (roles / "base/role.yaml").write_text("pakages: [a1]\n")
    done = call(role, "lint", "--roles", roles)
    assert done.output.count("base/role.yaml:1:1: unknown key 'pakages'") == 1
    assert isinstance(done.exception, EdeployError)


def test_image_ls(store: Store) -> None:
    (facts,) = json.loads(call(image, "ls", "--store", store.root, "--json").output)
    assert (facts["role"], facts["version"], facts["files"]) == ("web", "1.0.0", 4)
    assert "1.0.0" in call(image, "ls", "--store", store.root).output


@pytest.mark.parametrize("name", ["web", "web-1.0.0"])
def test_image_verify_an_image(store: Store, name: str) -> None:
    assert call(image, "verify", name, "--store", store.root).output == f"{name}: exact\n"
    (store.place("web", "1.0.0").tree / "extra").touch()
    done = call(image, "verify", name, "--store", store.root)
    assert "extra: is not in the image\n" in done.output
    assert isinstance(done.exception, EdeployError)


@pytest.mark.skipif(os.geteuid() != 0, reason="unpacking owners needs root")
def test_image_verify_paths(store: Store, tmp_path: Path) -> None:
    place = store.place("web", "1.0.0")
    assert call(image, "verify", place.archive).output == f"{place.archive}: exact\n"
    disk = tmp_path / "disk"
    disk.mkdir()
    archive.unpack(place.archive, disk)
    words = ("verify", disk, "--image", "web", "--store", store.root)
    assert call(image, *words).output == f"{disk}: exact\n"
    (disk / "motd").unlink()
    assert "motd: is missing\n" in call(image, *words).output
    assert call(image, "verify", disk).exit_code == 2


def test_a_damaged_archive_is_told(store: Store) -> None:
    place = store.place("web", "1.0.0")
    data = bytearray(place.archive.read_bytes())
    data[len(data) // 2] ^= 1
    place.archive.write_bytes(bytes(data))
    assert (
        f"{place.archive}: sha256 is not"
        in call(image, "verify", "web", "--store", store.root).output
    )
