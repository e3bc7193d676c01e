"""A role of the RPM family, of a local repository by createrepo_c, its packages by rpmbuild."""

import filecmp
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from role_folders import write_role

from edeploy.errors import EdeployError
from edeploy.images.build.image import build_image
from edeploy.images.build.line import Settings
from edeploy.images.diff import owners_of
from edeploy.images.packages.apt import NoAnswer, NoSuchPackage
from edeploy.images.packages.lock import read_lock
from edeploy.images.recipe import load_recipe
from edeploy.images.store import Image, Store
from edeploy.images.verify import verify_image

NEEDED = ("dnf", "rpmbuild", "rpmsign", "createrepo_c", "gpg")
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, NEEDED)), reason="needs root and rpm's programs"
)

# What a build calls inside a tree; taken from this machine, with the libraries.
PROGRAMS = ("/bin/sh", "/bin/tar", "/usr/bin/env", "/bin/cat", "/usr/bin/id", "/usr/bin/install")
SPEC = """\
Name: {name}
Version: {version}
Release: 1
Epoch: {epoch}
Summary: for a test
License: none
AutoReqProv: no
{fields}
%description
For a test.
%install
cp -a {source}/. %{{buildroot}}/
%post
{post}
%files
/*
"""


class Repository:
    """Signed packages in a folder; `add` makes one, `publish` the index."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.key, self._home = folder / "repo", folder / "key.asc", folder / "gnupg"
        self._top = folder / "rpmbuild"
        self._home.mkdir(mode=0o700)
        self.folder.mkdir()
        self._run("gpg", "--batch", "--quiet", "--quick-gen-key", "--passphrase", "",
                  "test@example", "rsa2048", "sign", "0")  # fmt: skip
        self._run("gpg", "--batch", "--armor", "--output", str(self.key), "--export")

    def add(
        self, name: str, source: Path, *, version: str = "1.0", post: str = ":", fields: str = "",
        signed: bool = True,
    ) -> None:  # fmt: skip
        spec = self._top / f"{name}.spec"
        spec.parent.mkdir(exist_ok=True)
        epoch = 1 if name == "tool" else 0
        spec.write_text(SPEC.format(name=name, version=version, source=source, post=post,
                                    fields=fields, epoch=epoch))  # fmt: skip
        for old in self.folder.glob(f"{name}-*.rpm"):
            old.unlink()
        self._run("rpmbuild", "-bb", "--define", f"_topdir {self._top}",
                  "--define", f"_rpmdir {self.folder}", "--define", "__os_install_post %{nil}",
                  "--define", "_build_id_links none", "--define", "debug_package %{nil}",
                  "--define", "_rpmfilename %{NAME}-%{VERSION}.rpm", str(spec))  # fmt: skip
        if signed:
            self._run("rpmsign", "--define", "_gpg_name test@example", "--define",
                      "__gpg /usr/bin/gpg", "--addsign",
                      str(self.folder / f"{name}-{version}.rpm"))  # fmt: skip

    def publish(self) -> None:
        self._run("createrepo_c", "--quiet", str(self.folder))

    def _run(self, *words: str) -> None:
        env = {**os.environ, "GNUPGHOME": str(self._home), "HOME": str(self._home)}
        done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
        # The agent that gpg started would outlive the test.
        subprocess.run(["gpgconf", "--kill", "all"], env=env, check=True)
        assert done.returncode == 0, f"{words}: {done.stdout} {done.stderr}"


def ground(folder: Path) -> Path:
    """A tree in which programs run."""
    for name in ("usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "etc", "root", "usr/lib/systemd"):
        (folder / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (folder / name).symlink_to(f"usr/{name}")
    wanted = set(PROGRAMS)
    for program in PROGRAMS:
        listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True)
        wanted |= {word for word in listed.stdout.split() if word.startswith("/")}
    for path in wanted:
        target = folder / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    (folder / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (folder / "etc/group").write_text("root:x:0:\n")
    (folder / "etc/shadow").write_text("root:*:1::::::\n")
    return folder


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    made = Repository(tmp_path_factory.mktemp("rpm"))
    sources = tmp_path_factory.mktemp("sources")
    made.add("ground", ground(sources / "ground"), fields="Provides: /bin/sh")
    (sources / "tool/usr/share/tool").mkdir(parents=True)
    (sources / "tool/usr/share/tool/data").write_text("of the package\n")
    made.add("tool", sources / "tool", post="id -u > /usr/share/asked", fields="Requires: ground")
    made.publish()
    return made


@pytest.fixture(scope="module")
def roles(tmp_path_factory: pytest.TempPathFactory, repository: Repository) -> Path:
    folder = tmp_path_factory.mktemp("roles")
    (folder / "el/files/etc").mkdir(parents=True)
    (folder / "el/files/etc/motd").write_text("from the overlay\n")
    shutil.copy(repository.key, folder / "el/key.asc")
    (folder / "el/role.yaml").write_text(
        "family: rpm\nsuite: '9'\npackages:\n- ground\nrepositories:\n"
        f"- {{url: 'file://{repository.folder}', key: key.asc}}\n"
    )
    write_role(
        folder / "app",
        "from: el\npackages:\n- tool\n",
        "#!/bin/sh\ncat /usr/share/tool/data > /etc/said\n",
    )
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def image(roles: Path, store: Store) -> Image:
    return build_image(load_recipe(roles, "app"), "1.0.0", store)


def test_packages_overlay_and_script(image: Image) -> None:
    assert image.packages.read_text() == "ground\t1.0-1\tx86_64\ntool\t1:1.0-1\tx86_64\n"
    assert (image.tree / "etc/motd").read_text() == "from the overlay\n"
    assert (image.tree / "etc/said").read_text() == "of the package\n"
    assert (image.tree / "usr/share/asked").read_text() == "0\n"
    assert "file://" in (image.tree / "etc/yum.repos.d/edeploy.repo").read_text()
    assert verify_image(image) == []


def test_the_database_belongs_to_usr(image: Image) -> None:
    assert os.readlink(image.tree / "var/lib/rpm") == "../../usr/lib/sysimage/rpm"
    assert (image.tree / "usr/lib/sysimage/rpm/rpmdb.sqlite").is_file()
    assert not (image.tree / "root/.rpmdb").exists()


def test_the_bill_of_materials_and_whose_a_file_is(image: Image) -> None:
    packages = json.loads(image.sbom.read_text())["packages"]
    by_name = {package["name"]: package for package in packages}
    assert set(by_name) == {"app", "ground", "tool"}
    assert by_name["tool"]["versionInfo"] == "1:1.0-1"
    (where,) = by_name["tool"]["externalRefs"]
    assert where["referenceLocator"] == "pkg:rpm/tool@1.0-1?arch=x86_64&epoch=1"
    assert owners_of(image.tree)[b"usr/share/tool/data"] == "tool"


def test_locked(image: Image, roles: Path, tmp_path: Path) -> None:
    lock = read_lock(image.lock)
    assert [str(each) for each in lock.packages] == ["ground 1.0-1", "tool 1:1.0-1"]
    other = Store(tmp_path / "store")
    recipe = load_recipe(roles, "app")
    built = build_image(recipe, "1.0.0", other, Settings(locks={"app": lock}))
    assert built.packages.read_text() == image.packages.read_text()
    assert built.lock.read_text() == image.lock.read_text()
    # Its database too: rpm takes SOURCE_DATE_EPOCH for the time of the installation.
    assert built.manifest.read_bytes() == image.manifest.read_bytes()
    assert filecmp.cmp(built.archive, image.archive, shallow=False)
    shutil.rmtree(other.layers)
    (tool,) = other.pool.glob("tool-*")
    tool.unlink()
    with pytest.raises(NoAnswer, match=r"lacks what .* names: tool 1:1\.0-1"):
        build_image(recipe, "1.0.0", other, Settings(offline=True, force=True, locks={"app": lock}))


def test_unchanged_then_a_new_version(
    image: Image, roles: Path, store: Store, repository: Repository, tmp_path: Path
) -> None:
    said: list[str] = []
    build_image(load_recipe(roles, "app"), "1.0.0", store, on_step=said.append)
    assert said == ["app 1.0.0: unchanged"]
    (tmp_path / "usr/share/tool").mkdir(parents=True)
    (tmp_path / "usr/share/tool/data").write_text("newer\n")
    repository.add("tool", tmp_path, version="1.1", fields="Requires: ground")
    repository.publish()
    newer = build_image(load_recipe(roles, "app"), "1.1.0", store, on_step=said.append)
    assert "tool\t1:1.1-1\tx86_64\n" in newer.packages.read_text()
    assert "el: setting up" not in said
    assert (newer.tree / "etc/said").read_text() == "newer\n"


def test_a_package_that_nobody_has(roles: Path, store: Store) -> None:
    (roles / "wrong").mkdir()
    (roles / "wrong/role.yaml").write_text("from: el\npackages:\n- no-such-thing\n")
    with pytest.raises(NoSuchPackage, match="wrong/role.yaml:3:3: .* no package 'no-such-thing'"):
        build_image(load_recipe(roles, "wrong"), "1.0.0", store)


def test_an_unsigned_package_is_refused(
    roles: Path, store: Store, repository: Repository, tmp_path: Path
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/bad").write_text("?")
    repository.add("bad", tmp_path, signed=False)
    repository.publish()
    (roles / "bad").mkdir()
    (roles / "bad/role.yaml").write_text("from: el\npackages:\n- bad\n")
    with pytest.raises(EdeployError, match="bad-1.0.rpm"):
        build_image(load_recipe(roles, "bad"), "1.0.0", store)
    assert not store.has("bad", "1.0.0")
