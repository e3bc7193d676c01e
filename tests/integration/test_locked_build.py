"""A tiny role, locked: built again elsewhere without any network, it is the same to the byte."""

import filecmp
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from role_folders import write_debian_role, write_role

from edeploy.errors import EdeployError
from edeploy.images.build.image import build_image, lock_role
from edeploy.images.build.line import Settings
from edeploy.images.build.reproducible import check_reproducible
from edeploy.images.packages.apt import Apt
from edeploy.images.packages.lock import Lock, read_lock
from edeploy.images.packages.mirrors import COMPONENTS, Source
from edeploy.images.recipe import load_recipe
from edeploy.images.store import Image, Store
from edeploy.images.verify import verify_image

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("mmdebstrap"), reason="needs root and mmdebstrap"
)

# The locked build runs elsewhere: no network at all, and all that builders differ in.
ELSEWHERE = (
    "unshare", "--net", "--uts", "--", "sh", "-c",
    'hostname elsewhere && umask 027 && exec "$@"', "sh",
)  # fmt: skip
OTHER = {"TZ": "Pacific/Kiritimati", "HOME": "/nonexistent", "LANG": "tr_TR.UTF-8"}


@pytest.fixture(scope="module")
def roles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("roles")
    write_debian_role(
        folder / "small",
        "packages: [acl, adduser, openssl, usr-is-merged]\n",
        "#!/bin/sh\nset -eu\nadduser --system --group keeper\n"
        'echo "$ROLE of $(date -u -d "@$SOURCE_DATE_EPOCH" +%Y)" > /etc/said\n'
        "chown keeper: /etc/said\ncat /run/edeploy/role.yaml\n",
    )
    write_role(
        folder / "odd",
        "from: small\n",
        '#!/bin/sh\nset -eu\necho "made on $(uname -n) by nobody" > /etc/made\n',
    )
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def lock(roles: Path, store: Store) -> Lock:
    said = edeploy("image", "lock", "small", "--roles", str(roles), "--store", str(store.root))
    assert "small/role.lock: " in said and "packages, written" in said
    return read_lock(roles / "small/role.lock")


@pytest.fixture(scope="module")
def image(roles: Path, store: Store, lock: Lock) -> Image:
    return build_image(load_recipe(roles, "small"), "1", store, Settings(locks={"small": lock}))


@pytest.fixture(scope="module")
def mirror(store: Store, roles: Path, image: Image) -> Path:
    edeploy("mirror", "update", "--store", str(store.root), "--roles", str(roles))
    return store.mirror


def edeploy(*words: str, around: tuple[str, ...] = (), env: dict[str, str] | None = None) -> str:
    """What the command prints."""
    program = "from edeploy.cli.main import main; main()"
    done = subprocess.run(
        [*around, sys.executable, "-c", program, *words],
        capture_output=True,
        text=True,
        env={**os.environ, **(env or {})},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_lock_says_what_is_installed_and_from_where(image: Image, lock: Lock) -> None:
    rows = {tuple(line.split("\t")) for line in image.packages.read_text().splitlines()}
    installed = lock.installed.values()
    assert rows == {(each.name, each.version, each.architecture) for each in installed}
    pockets = {f"{lock.suite}{kind}" for kind in ("", "-updates", "-security")}
    assert {source.suite for source in lock.sources} <= pockets
    assert {each.pocket for each in installed} <= pockets
    assert "keeper" in {account.name for account in lock.accounts}
    assert image.lock.read_text() == lock.text()


def test_locked_again_it_is_the_same_and_no_other_layer(
    image: Image, roles: Path, store: Store
) -> None:
    words = ("small", "--roles", str(roles), "--store", str(store.root))
    assert "unchanged" in edeploy("image", "lock", "--check", *words)
    said = edeploy("image", "build", "--locked", "--version", "1", *words)
    assert said.splitlines()[0] == "small 1: unchanged"


def test_built_elsewhere_without_a_network(
    image: Image, roles: Path, mirror: Path, tmp_path: Path
) -> None:
    other = Store(tmp_path / "another folder, of another length")
    checkout = tmp_path / "checkout"
    shutil.copytree(roles, checkout)
    said = edeploy(
        "image", "build", "small", "--lock", str(image.lock), "--version", "1",
        "--roles", str(checkout), "--store", str(other.root),
        "--mirror", f"file://{mirror}", "--security-mirror", f"file://{mirror}",
        around=ELSEWHERE, env=OTHER,
    )  # fmt: skip
    assert "downloading" in said
    again = other.image("small", "1")
    assert again.record().manifest_sha256 == image.record().manifest_sha256
    assert again.manifest.read_bytes() == image.manifest.read_bytes()
    assert filecmp.cmp(again.archive, image.archive, shallow=False)
    assert again.sbom.read_bytes() == image.sbom.read_bytes()
    assert again.lock.read_text() == image.lock.read_text()
    assert verify_image(again) == []
    # And now nothing else is needed.
    words = ("small", "--lock", str(image.lock), "--version", "1", "--offline")
    places = ("--roles", str(checkout), "--store", str(other.root))
    assert "small 1: unchanged" in edeploy("image", "build", *words, *places, around=ELSEWHERE)


def test_the_day_of_the_build_is_nowhere(image: Image) -> None:
    today = datetime.now(UTC)
    days = str(int(today.timestamp() // 86400))
    for line in (image.tree / "etc/shadow").read_text().splitlines():
        assert line.split(":")[2] != days, line
    for path in image.tree.rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            for form in ("%Y-%m-%d", "%Y%m%d", "%a %b %d"):
                assert today.strftime(form).encode() not in content, path


def test_a_script_that_removes_a_package(image: Image, roles: Path, store: Store) -> None:
    write_role(roles / "sneaky", "from: small\n", "#!/bin/sh\ndpkg --purge acl\n")
    recipe = load_recipe(roles, "sneaky")
    with pytest.raises(EdeployError, match=r"sneaky: has other packages .* acl is not there"):
        lock_role(recipe, store)
    locks = {"sneaky": replace(read_lock(image.lock), role="sneaky")}
    with pytest.raises(EdeployError, match=r"acl is not there, locked 2\."):
        build_image(recipe, "1", store, Settings(locks=locks))
    assert not store.has("sneaky", "1")


def test_apt_takes_the_mirror_for_an_archive(mirror: Path, lock: Lock, tmp_path: Path) -> None:
    key = str(mirror / "mirror.asc")
    sources = [Source(f"file://{mirror}", source.suite, COMPONENTS, key) for source in lock.sources]
    apt = Apt(tmp_path / "apt", sources)
    apt.state()
    (tmp_path / "etc").mkdir()
    plan = apt.plan(lock.parts[0].requests, tmp_path / "etc", None)
    assert {each.sha256 for each in plan.packages} == {each.sha256 for each in lock.packages}
    assert {str(each): each.pocket for each in plan.packages} == {
        str(each): each.pocket for each in lock.packages
    }
    release = mirror / "dists" / lock.suite / "InRelease"
    release.write_text(release.read_text().replace("Label: edeploy", "Label: somebody"))
    with pytest.raises(EdeployError, match=r"(?i)signature|signed"):
        Apt(tmp_path / "apt2", sources).state()


def test_two_builds_of_a_role_that_says_where_it_was_built(
    image: Image, roles: Path, store: Store
) -> None:
    before = sorted(os.listdir(store.root))
    found = check_reproducible(load_recipe(roles, "odd"), store)
    assert found.unlike is not None
    # What is below is equal, in all that the second build had otherwise.
    assert found.unlike.layer == "setup of odd"
    assert found.unlike.path == "etc/made"
    assert "made on " in found.unlike.what and "another-builder" in found.unlike.what
    assert found.unlike.writer == str(roles / "odd/script")
    assert found.unlike.cause == "the builder's host name"
    assert found.unlike.others == ()
    assert sorted(os.listdir(store.root)) == before


@pytest.mark.long
def test_two_builds_that_are_equal(image: Image, roles: Path, store: Store) -> None:
    words = ("small", "--roles", str(roles), "--store", str(store.root), "--locked", "--json")
    found = json.loads(edeploy("image", "check-reproducible", *words))
    assert found["unlike"] is None
    assert found["archive_sha256"] == image.record().archive_sha256


def test_what_nobody_names_leaves_the_pool(
    image: Image, roles: Path, store: Store, mirror: Path
) -> None:
    (store.pool / "old_1.0_amd64_0123456789abcdef.deb").write_bytes(b"old")
    (store.pool / ".killed").mkdir()
    there = set(os.listdir(store.pool)) - {".killed"}
    said = edeploy("image", "gc", "--store", str(store.root))
    assert "the pool has 1 packages" in said
    assert set(os.listdir(store.pool)) == there
    words = ("--store", str(store.root), "--roles", str(roles))
    assert "1 of " in edeploy("mirror", "prune", "--dry-run", *words)
    assert set(os.listdir(store.pool)) == there
    edeploy("mirror", "prune", *words)
    assert there - set(os.listdir(store.pool)) == {"old_1.0_amd64_0123456789abcdef.deb"}
    listed = json.loads(edeploy("mirror", "ls", "--json", *words))
    assert all(row["in_pool"] and (mirror / row["path"]).is_file() for row in listed)
