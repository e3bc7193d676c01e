"""The store's mirror: its key, its suites, and what two archives call by one name."""

import itertools
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from edeploy.cli.mirror import command
from edeploy.errors import EdeployError
from edeploy.images.packages import mirror_key
from edeploy.images.packages.lock import Lock, LockedRole
from edeploy.images.packages.mirrors import Source
from edeploy.images.packages.plan import Package, Plan
from edeploy.images.packages.repository import PUBLIC, publish, shelves_of
from edeploy.images.recipe_file import Family
from edeploy.images.store import Store

needs_gpg = pytest.mark.skipif(not shutil.which("gpg"), reason="needs gpg")


def package(name: str, sha256: str, pocket: str, file: str = "") -> Package:
    return Package(name, "1", "amd64", 1, sha256 * 64, pocket, file or f"pool/{name}_1.deb")


def lock(*packages: Package, suite: str = "bookworm") -> Lock:
    sources = tuple(
        Source("http://mirror.example/debian", name, ("main",))
        for name in (suite, f"{suite}-security")
    )
    part = LockedRole("app", ("a",), Plan(packages))
    return Lock("app", Family.DEBIAN, suite, "amd64", sources, (), (part,))


def test_pockets_are_suites_and_third_parties_are_in_the_locks_own() -> None:
    shelves = shelves_of([
        lock(package("a", "1", "bookworm"), package("b", "2", "bookworm-security"),
             package("c", "3", "app-1")),
        lock(package("a", "4", "trixie", "pool/a_2.deb"), suite="trixie"),
    ])  # fmt: skip
    assert [(each.suite, each.package.name) for each in shelves] == [
        ("bookworm", "a"), ("bookworm", "c"), ("bookworm-security", "b"), ("trixie", "a"),
    ]  # fmt: skip


def test_two_files_of_one_path_are_both_there() -> None:
    one = package("a", "1", "bookworm", "pool/main/a.deb")
    other = package("a", "2", "app-1", "pool/main/a.deb")
    paths = {each.package.sha256: each.path for each in shelves_of([lock(one), lock(other)])}
    assert paths == {one.sha256: "pool/main/a.deb", other.sha256: f"pool/{'2' * 64}/a.deb"}


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder for what this test alone makes, with a path that is short enough for sockets."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@needs_gpg
def test_a_key_is_made_once_and_is_nobody_elses(
    tmp_path: Path, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(short))
    store = tmp_path / "store"
    words = ["update", "--store", str(store), "--roles", str(tmp_path)]
    done = CliRunner().invoke(command, words)
    assert done.exception is None and "made, the key of this mirror" in done.output
    file = store / "mirror.key"
    secret = file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600
    assert b"PRIVATE KEY" in secret
    public = (store / "mirror/mirror.asc").read_text()
    assert "PUBLIC KEY" in public and "PRIVATE" not in public
    done = CliRunner().invoke(command, words)
    assert done.exception is None and "made, the key" not in done.output
    assert file.read_bytes() == secret
    # None of gpg's agents is left behind.
    commands = [each.info["cmdline"] or [] for each in psutil.process_iter(["cmdline"])]
    assert not [words for words in commands if str(short) in " ".join(words)]
    assert list(short.iterdir()) == []


@needs_gpg
def test_whenever_an_update_is_killed_there_is_a_mirror(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.root.mkdir()
    mirror_key.make_once(store.mirror_key)
    publish(store, [], store.mirror_key)
    for renames in itertools.count():
        if not killed_after(renames, store):
            break
        assert "PUBLIC KEY" in (store.mirror / PUBLIC).read_text()
    assert renames


def killed_after(renames: int, store: Store) -> bool:
    """Whether an update was killed: after so many renames of folders of the store."""
    child = os.fork()
    if child == 0:
        left = renames

        def hear(event: str, names: tuple[object, ...]) -> None:
            nonlocal left
            if event == "os.rename" and Path(str(names[0])).parent == store.root:
                if not left:
                    os.kill(os.getpid(), signal.SIGKILL)
                left -= 1

        sys.addaudithook(hear)
        try:
            publish(store, [], store.mirror_key)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@needs_gpg
def test_keys_that_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    with pytest.raises(EdeployError, match="no such key"), mirror_key.opened(file):
        pass
    file.write_text("what is this\n")
    with pytest.raises(EdeployError, match="others can read this key"), mirror_key.opened(file):
        pass
    file.chmod(0o600)
    with pytest.raises(EdeployError, match="no OpenPGP key"), mirror_key.opened(file):
        pass
    made = tmp_path / "made"
    mirror_key.make_once(made)
    with mirror_key.opened(made) as signer:
        file.write_text(signer.public())
    os.chmod(file, 0o600)
    with pytest.raises(EdeployError, match="has no secret key"), mirror_key.opened(file):
        pass
