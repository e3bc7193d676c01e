"""Shipped roles as they were built: their own tests pass, and leave the store's tree as it was."""

import shutil
from pathlib import Path

import pytest
from racks import CHECKOUT

from edeploy.errors import EdeployError
from edeploy.images.build.image import DEFAULT_VERSION
from edeploy.images.recipe import load_recipe
from edeploy.images.role_tests import run_tests_of
from edeploy.images.store import Store
from edeploy.images.verify import verify_image


@pytest.mark.parametrize("role", ["base", "web"])
def test_a_role_passes_its_tests(store: Store, role: str) -> None:
    image = store.image(role, DEFAULT_VERSION)
    said: list[str] = []
    run_tests_of(load_recipe(CHECKOUT / "roles", role), image, said.append)
    assert any(line.endswith("s") and " passed in " in line for line in said)
    assert verify_image(image) == []


def test_a_test_that_fails_is_told(store: Store, tmp_path: Path) -> None:
    for name in ("base", "web"):
        shutil.copytree(CHECKOUT / "roles" / name, tmp_path / name)
    shutil.rmtree(tmp_path / "base/tests")
    (tmp_path / "web/tests/test_web.py").write_text(
        "def test_it(host):\n"
        "    host.check_output('echo no > /etc/motd')\n"
        "    assert not host.file('/etc/motd').exists\n"
    )
    said: list[str] = []
    with pytest.raises(EdeployError, match=r"web .*: its tests fail"):
        run_tests_of(load_recipe(tmp_path, "web"), store.image("web", DEFAULT_VERSION), said.append)
    assert any("test_it" in line for line in said)
    assert verify_image(store.image("web", DEFAULT_VERSION)) == []
