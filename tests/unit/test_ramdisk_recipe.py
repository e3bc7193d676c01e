from pathlib import Path

import pytest
from click.testing import CliRunner

from edeploy.cli.ramdisk import SHIPPED, command
from edeploy.errors import EdeployError
from edeploy.images.ramdisk_recipe import BadRamdiskRecipe, load_recipe, read_key

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKx me@desk"


@pytest.mark.parametrize("kernel", ["cloud", "generic"])
def test_the_recipe_that_ships_loads(kernel: str) -> None:
    recipe = load_recipe(SHIPPED / "ramdisk.yaml", kernel)
    assert any(package.startswith("linux-image-") for package in recipe.packages)
    assert "arch/x86/kvm/*" in recipe.without_modules
    assert bool(recipe.firmware) == (kernel == "generic")
    assert any("infiniband" in pattern for pattern in recipe.modules) == (kernel == "generic")
    assert ("nvme-cli" in recipe.packages) == (kernel == "generic")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kernels: {cloud: {packages: [x]}}\nflavor: 1\n", "unknown key 'flavor'"),
        ("kernels: {generic: {}}\n", "no kernel 'cloud'"),
        ("kernels: {cloud: {packages: x}}\n", "`packages` must be a list"),
        ("kernels: {cloud: {packages: ['--x']}}\n", "no name for a package"),
        ("- a\n", "must be a mapping"),
        ("a: [\n", "line 2"),
    ],
)
def test_a_wrong_recipe_is_told(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "ramdisk.yaml"
    path.write_text(text)
    with pytest.raises(EdeployError, match=said.replace("[", r"\[")):
        load_recipe(path, "cloud")


def test_a_missing_recipe_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadRamdiskRecipe, match="No such file"):
        load_recipe(tmp_path / "ramdisk.yaml", "cloud")


def test_only_public_keys_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "id.pub"
    path.write_text(f"# mine\n\n{KEY}\n")
    assert read_key(path) == f"{KEY}\n"
    for text in ("", "-----BEGIN OPENSSH PRIVATE KEY-----\n", f"{KEY}\ncommand=x\n"):
        path.write_text(text)
        with pytest.raises(EdeployError, match="no OpenSSH public key"):
            read_key(path)
    with pytest.raises(EdeployError, match="No such file"):
        read_key(tmp_path / "missing")


def test_a_store_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    result = CliRunner().invoke(command, ["build", "--store", str(tmp_path / "store")])
    assert isinstance(result.exception, EdeployError)
    assert "--store" in result.exception.hint
