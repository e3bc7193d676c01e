"""Locked builds that fail: one clear message each. mmdebstrap is a fake in PATH."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from apt_repo import NEEDED, Repository
from click.testing import CliRunner

from edeploy.cli.image import command
from edeploy.errors import EdeployError
from edeploy.images.build.image import build_image
from edeploy.images.build.line import Settings
from edeploy.images.ids import Account, IdConflict, Ids, Kind
from edeploy.images.packages.apt import Apt, NoAnswer, architecture
from edeploy.images.packages.lock import BadLock, Lock, LockedRole, changes, read_lock
from edeploy.images.packages.mirrors import debian_sources
from edeploy.images.packages.pool import Damaged
from edeploy.images.recipe import Recipe, load_recipe
from edeploy.images.recipe_file import Family
from edeploy.images.store import Store
from edeploy.run import ProgramFailed

pytestmark = NEEDED
pytest_plugins = ["building"]

REQUEST = ("hello", "other-one")


@pytest.fixture(autouse=True)
def ends(mmdebstrap: Callable[[str], None]) -> None:
    """mmdebstrap is only reached when the packages are as locked."""
    mmdebstrap("exit 25")


@pytest.fixture
def lock(repository: Repository, recipe: Recipe, tmp_path: Path) -> Lock:
    sources = debian_sources(
        "bookworm",
        mirror=repository.url,
        security_mirror=repository.url,
        keyring=str(repository.key),
    )
    apt = Apt(tmp_path / "apt", sources)
    apt.state()
    (tmp_path / "etc").mkdir()
    plan = apt.plan(REQUEST, tmp_path / "etc", None)
    part = LockedRole("app", REQUEST, plan)
    return written(
        Lock("app", Family.DEBIAN, "bookworm", architecture(), tuple(sources), (), (part,)), recipe
    )


def written(lock: Lock, recipe: Recipe) -> Lock:
    """The lock as the recipe's own."""
    path = recipe.parts[-1].folder / "role.lock"
    path.write_text(lock.text())
    return read_lock(path)


def build(recipe: Recipe, store: Store, lock: Lock, *, offline: bool = False) -> None:
    build_image(recipe, "1", store, Settings(offline=offline, locks={"app": lock}))


def test_a_plan_tells_versions_digests_and_pockets(lock: Lock) -> None:
    assert [str(each) for each in lock.packages] == ["apt 3.0", "hello 1.0", "other-one 2.0"]
    assert {each.pocket for each in lock.packages} == {"bookworm"}
    assert lock.packages[1].file == "pool/hello_1.0_amd64.deb"


def test_what_fits_is_fetched_and_installed(lock: Lock, recipe: Recipe, store: Store) -> None:
    with pytest.raises(ProgramFailed, match="exit status 25"):
        build(recipe, store, lock)
    assert len(list(store.pool.glob("*.deb"))) == 3
    # Now there is no need of a mirror.
    nowhere = replace(
        lock, sources=tuple(replace(each, url="file:///nowhere") for each in lock.sources)
    )
    with pytest.raises(ProgramFailed, match="exit status 25"):
        build(recipe, store, nowhere, offline=True)


def test_a_version_that_vanished_from_the_mirror(
    lock: Lock, recipe: Recipe, store: Store, repository: Repository
) -> None:
    repository.publish({"hello": "1.1", "other-one": "2.0", "apt": "3.0"})
    with pytest.raises(NoAnswer) as error:
        build(recipe, store, lock)
    assert error.value.message.startswith(f"{lock.place} names apt 3.0, hello 1.0, other-one 2.0")
    assert "hello_1.0_amd64.deb" in error.value.message
    assert len(str(error.value).splitlines()) == 2


def test_a_file_that_only_has_the_version(
    lock: Lock, recipe: Recipe, store: Store, repository: Repository
) -> None:
    file = repository.file("hello")
    file.write_bytes(bytes(reversed(file.read_bytes())))
    with pytest.raises(EdeployError, match=r"hello_1\.0_amd64\.deb.*Hash Sum mismatch"):
        build(recipe, store, lock)
    assert list(store.pool.glob("hello*")) == []


def test_a_pool_that_lacks_one(lock: Lock, recipe: Recipe, store: Store) -> None:
    with pytest.raises(ProgramFailed):
        build(recipe, store, lock)
    (hello,) = store.pool.glob("hello*")
    hello.unlink()
    with pytest.raises(NoAnswer) as error:
        build(recipe, store, lock, offline=True)
    assert error.value.message.startswith(
        f"{store.pool} lacks what {lock.place} names: hello 1.0 ("
    )
    assert len(str(error.value).splitlines()) == 2


def test_an_altered_file_in_the_pool(lock: Lock, recipe: Recipe, store: Store) -> None:
    with pytest.raises(ProgramFailed):
        build(recipe, store, lock)
    (hello,) = store.pool.glob("hello*")
    content = bytearray(hello.read_bytes())
    content[-1] ^= 1
    hello.write_bytes(content)
    with pytest.raises(Damaged, match=rf"{hello}: SHA-256 \w+, should be \w+ for hello:amd64=1\.0"):
        build(recipe, store, lock, offline=True)
    assert not hello.exists()


def test_a_lock_of_something_else(lock: Lock, recipe: Recipe, store: Store) -> None:
    with pytest.raises(BadLock, match=r"role\.lock: is for trixie, and the role for bookworm"):
        build(recipe, store, replace(lock, suite="trixie"))
    with pytest.raises(BadLock, match="is the lock of role web, not of app"):
        build(recipe, store, replace(lock, role="web"))
    with pytest.raises(BadLock, match=r"is for s390x, and this machine is"):
        build(recipe, store, replace(lock, architecture="s390x"))
    with pytest.raises(BadLock, match="is for the family rpm"):
        build(recipe, store, replace(lock, family=Family.RPM))


def test_a_recipe_that_has_changed_since(lock: Lock, recipe: Recipe, store: Store) -> None:
    path = recipe.parts[-1].folder / "role.yaml"
    path.write_text("suite: bookworm\npackages:\n  - hello\n  - other-one\n  - third\n")
    with pytest.raises(BadLock, match=rf"{path}:5:\S+: third is not in the lock {lock.place}"):
        build(load_recipe(path.parents[1], "app"), store, lock)
    path.write_text("suite: bookworm\npackages:\n  - hello\n")
    with pytest.raises(BadLock, match="has other-one, which app does not ask for any more"):
        build(load_recipe(path.parents[1], "app"), store, lock)


def test_an_account_that_is_another_here(lock: Lock, recipe: Recipe, store: Store) -> None:
    store.root.mkdir()
    Ids(store.ids).settle([Account(Kind.USER, "postfix", 101)], "mail")
    with pytest.raises(IdConflict, match="keeper is to be 101, but postfix is 101 since role mail"):
        build(recipe, store, replace(lock, accounts=(Account(Kind.USER, "keeper", 101),)))


@pytest.mark.parametrize("text", ["", "x\n", "#edeploy-lock 1\nrole a\nwhat is this\n"])
def test_what_is_no_lock(recipe: Recipe, text: str) -> None:
    path = recipe.parts[-1].folder / "role.lock"
    path.write_text(text)
    done = CliRunner().invoke(
        command,
        ["build", "app", "--locked", "--roles", str(path.parents[1]), "--store", "/nowhere"],
    )
    assert isinstance(done.exception, BadLock)
    assert str(done.exception).startswith(f"{path}:")


def test_no_lock_yet(recipe: Recipe) -> None:
    roles = recipe.parts[-1].folder.parent
    done = CliRunner().invoke(command, ["build", "app", "--locked", "--roles", str(roles)])
    assert isinstance(done.exception, BadLock)
    assert str(done.exception).endswith("Lock the role: edeploy image lock app")


def test_what_a_new_lock_changes(lock: Lock) -> None:
    apt, hello, other = lock.packages
    newer = replace(hello, version="1.1", sha256="0" * 64, pocket="bookworm-security")
    third = replace(other, name="third")
    plan = replace(lock.parts[0].plan, packages=(apt, newer, third))
    new = replace(lock, parts=(replace(lock.parts[0], plan=plan),))
    assert list(changes(lock, new)) == [
        "hello 1.0 → 1.1 (bookworm-security)",
        "other-one 2.0 is gone",
        "third 2.0 is new (bookworm)",
    ]
