"""A tiny role built by the real mmdebstrap: exact in the store, in the archive, and unpacked."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from role_folders import write_debian_role, write_role

from edeploy.errors import EdeployError
from edeploy.images import archive, manifest
from edeploy.images.build.image import build_image, build_images
from edeploy.images.build.line import Settings
from edeploy.images.manifest import Entry
from edeploy.images.recipe import load_recipe
from edeploy.images.store import Image, Store
from edeploy.images.verify import verify_archive, verify_image, verify_tree
from edeploy.run import ProgramFailed

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("mmdebstrap"), reason="needs root and mmdebstrap"
)

RECIPE = """\
packages: [acl, attr, libcap2-bin, mount, usr-is-merged]
users:
  - {name: keeper, uid: 777, home: /srv/keeper, groups: [adm]}
variables: {GREETING: "hello, tree"}
"""
SCRIPT = """\
#!/bin/sh
set -eu
umask 022
cd /srv
echo "$GREETING from $ROLE" > greeting
ln greeting again
ln greeting /opt/elsewhere
cp /bin/true tool
setcap cap_net_raw+ep tool
setfacl -m u:777:r greeting
setfattr -n user.note -v 0x00ff20 greeting
truncate -s 3M holes
mknod fifo p
printf x > "$(printf 'odd \\n=%%\\377')"
chown keeper: tool; setcap cap_net_raw+ep tool
touch -d '1995-01-02 03:04:05.678' old
# What a careless script leaves: a daemon and a mount. Both end with it.
sleep 1000 &
mount -t tmpfs none /mnt
cat /run/edeploy/extra
"""


@pytest.fixture(scope="module")
def roles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("roles")
    write_debian_role(folder / "tiny", RECIPE, SCRIPT)
    (folder / "tiny/files/etc/motd").write_text("from the overlay\n")
    (folder / "tiny/files/etc/motd-link").symlink_to("motd")
    (folder / "tiny/extra").write_text("beside the script\n")
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def image(roles: Path, store: Store) -> Iterator[Image]:
    yield build_image(load_recipe(roles, "tiny"), "1.0.0", store)


@pytest.fixture(scope="module")
def entries(image: Image) -> dict[bytes, Entry]:
    return {entry.path: entry for entry in manifest.parse(image.manifest.read_bytes())}


def test_all_parts_are_there_and_nothing_else(image: Image, store: Store) -> None:
    names = sorted(os.listdir(image.tree.parent))
    kinds = ["edeploy", "inputs", "json", "lock", "log", "manifest", "packages", "spdx.json"]
    assert names == [".tiny.lock", "tiny", *(f"tiny-1.0.0.{kind}" for kind in kinds)]
    assert any(line.startswith("acl\t") for line in image.packages.read_text().splitlines())
    assert list(store.pool.glob("acl_*.deb")) != []
    assert sorted(os.listdir(store.layers)) == sorted(
        name for key in image.record().layers for name in (key, f".{key}.lock")
    )
    assert "beside the script" in image.log.read_text()


def test_the_script_did_its_work(entries: dict[bytes, Entry], image: Image) -> None:
    assert (image.tree / "srv/greeting").read_text() == "hello, tree from tiny\n"
    for path in (b"opt/elsewhere", b"srv/again", b"srv/greeting"):
        assert entries[path].links == b"opt/elsewhere"
        assert {b"user.note", b"system.posix_acl_access"} == {
            name for name, _ in entries[path].xattrs
        }
    assert [name for name, _ in entries[b"srv/tool"].xattrs] == [b"security.capability"]
    assert (entries[b"srv/tool"].uid, entries[b"srv/tool"].gid) == (777, 777)
    assert entries[b"srv/holes"].sparse
    assert entries[b"srv/fifo"].type == "fifo"
    # Times tell what a path is: nothing, in both cases.
    assert entries[b"srv/old"].time == entries[b"etc/machine-id"].time
    assert entries[b"srv/odd \n=%\xff"].size == 1
    assert entries[b"dev/null"].device == (1, 3)


def test_overlay_users_and_node(entries: dict[bytes, Entry], image: Image) -> None:
    assert (image.tree / "etc/motd").read_text() == "from the overlay\n"
    assert entries[b"etc/motd-link"].target == b"motd"
    epoch = max(entry.time for entry in entries.values())
    assert entries[b"etc/motd"].time < epoch == entries[b"usr"].time
    assert entries[b"etc/motd"].uid == 0
    assert "keeper:x:777:777:" in (image.tree / "etc/passwd").read_text()
    assert "\nadm:x:4:keeper\n" in (image.tree / "etc/group").read_text()
    assert entries[b"srv/keeper"].uid == 777
    assert entries[b"usr/sbin/edeploy-node"].mode == 0o755
    assert entries[b"usr/sbin/edeploy"].target == b"edeploy-node"
    assert b"etc/systemd/system/edeploy-node.service" in entries


def test_nothing_of_one_machine_or_of_the_build(entries: dict[bytes, Entry], image: Image) -> None:
    assert entries[b"etc/machine-id"].size == 0
    assert (image.tree / "etc/shadow").read_text().startswith("root:*:")
    for name in (b"etc/resolv.conf", b"etc/hostname", b"etc/apt/apt.conf.d/99mmdebstrap"):
        assert name not in entries
    for folder in (b"tmp/", b"run/", b"mnt/", b"var/cache/apt/", b"var/lib/apt/lists/"):
        assert [path for path in entries if path.startswith(folder)] == []
    assert str(image.tree.parent) not in Path("/proc/self/mounts").read_text()
    # Links that packages make by hand may be there, manuals are not.
    manuals = [path for path in entries if path.startswith(b"usr/share/man/man1/")]
    assert not any(entries[path].type == "file" for path in manuals)


def test_the_archive_unpacks_to_the_same_tree(image: Image, tmp_path: Path) -> None:
    archive.unpack(image.archive, tmp_path)
    assert verify_tree(tmp_path, image.manifest) == []
    assert (tmp_path / "srv/holes").stat().st_blocks == 0
    getcap = subprocess.run(
        ["getcap", tmp_path / "srv/tool"], capture_output=True, text=True, check=True
    )
    assert "cap_net_raw=ep" in getcap.stdout


@pytest.mark.parametrize("make", ["mkfs.ext4 -q", "mkfs.xfs -q"])
def test_on_the_file_systems_that_machines_have(image: Image, tmp_path: Path, make: str) -> None:
    disk, root = tmp_path / "disk", tmp_path / "root"
    root.mkdir()
    with open(disk, "wb") as stream:
        stream.truncate(400 << 20)
    subprocess.run([*make.split(), disk], check=True)
    subprocess.run(["mount", "-o", "loop", disk, root], check=True)
    try:
        archive.unpack(image.archive, root)
        assert verify_tree(root, image.manifest) == []
    finally:
        subprocess.run(["umount", root], check=True)


def test_the_image_is_exact_until_a_byte_changes(image: Image, tmp_path: Path) -> None:
    assert verify_image(image) == []
    assert verify_archive(image.archive) == []
    archive.unpack(image.archive, tmp_path)
    about = (tmp_path / "etc/motd").stat()
    (tmp_path / "etc/motd").write_text("from the overlaz\n")
    os.utime(tmp_path / "etc/motd", ns=(about.st_mtime_ns, about.st_mtime_ns))
    (difference,) = verify_tree(tmp_path, image.manifest)
    assert difference.startswith("etc/motd: content differs")


def test_unchanged_then_changed(image: Image, roles: Path, store: Store) -> None:
    said: list[str] = []
    build_image(load_recipe(roles, "tiny"), "1.0.0", store, on_step=said.append)
    assert said == ["tiny 1.0.0: unchanged"]
    before = image.record()
    script = roles / "tiny/script"
    script.write_text(f"{SCRIPT}\nexit 7\n")
    try:
        with pytest.raises(ProgramFailed) as error:
            build_image(load_recipe(roles, "tiny"), "1.0.0", store)
    finally:
        script.write_text(SCRIPT)
    assert f"{script}: exit status 7" in str(error.value)
    assert "| beside the script" in str(error.value)
    assert image.record() == before
    assert verify_image(image) == []


CHILD = """\
from: tiny
packages: [zerofree]
variables: {GREETING: child}
"""


def test_a_child_is_layers_over_its_parents_and_shares_its_files(
    image: Image, roles: Path, store: Store
) -> None:
    write_role(
        roles / "child",
        CHILD,
        "#!/bin/sh\nset -eu\n[ $ROLE = child ]\necho more >> /srv/greeting\nrm /srv/old\n",
    )
    child = build_image(load_recipe(roles, "child"), "1.0.0", store)
    assert child.record().layers[:2] == image.record().layers
    assert verify_image(child) == [] == verify_image(image)
    # Hard links stay one file, here with another content, and there with its own.
    for name in ("srv/greeting", "srv/again", "opt/elsewhere"):
        assert (child.tree / name).read_text() == "hello, tree from tiny\nmore\n"
        assert (image.tree / name).read_text() == "hello, tree from tiny\n"
    assert not (child.tree / "srv/old").exists() and (image.tree / "srv/old").exists()
    assert os.path.samefile(child.tree / "usr/bin/apt", image.tree / "usr/bin/apt")
    names = {line.split("\t")[0] for line in child.packages.read_text().splitlines()}
    assert {"acl", "zerofree"} <= names
    owned = {entry.path: entry for entry in manifest.parse(child.manifest.read_bytes())}
    assert [name for name, _ in owned[b"srv/tool"].xattrs] == [b"security.capability"]
    assert (
        child.tree.joinpath("etc/passwd").read_bytes()
        == Path(image.tree / "etc/passwd").read_bytes()
    )

    said: list[str] = []
    build_image(load_recipe(roles, "child"), "1.0.0", store, on_step=said.append)
    assert said == ["child 1.0.0: unchanged"]

    with open(roles / "child/script", "a") as script:
        script.write("echo changed > /srv/changed\n")
    before = child.record()
    said = []
    build_image(load_recipe(roles, "child"), "1.0.0", store, on_step=said.append)
    assert "child: script changed" in said
    assert not [line for line in said if line.startswith("tiny") or "packages" in line]
    assert child.record().layers[:3] == before.layers[:3]

    # Another version of the same is the same, archive and all but the name in the manifest.
    other = build_image(load_recipe(roles, "child"), "2.0.0", store)
    assert os.path.samefile(other.archive, child.archive)
    assert (
        other.manifest.read_bytes().splitlines()[2:]
        == (child.manifest.read_bytes().splitlines()[2:])
    )
    document = json.loads(other.sbom.read_text())
    assert document["spdxVersion"] == "SPDX-2.3" and document["name"] == "child 2.0.0"
    listed = {package["name"] for package in document["packages"]}
    assert listed == names | {"child"}


def test_built_again_it_is_the_same_to_the_bit(image: Image, roles: Path, store: Store) -> None:
    before = image.record()
    build_image(load_recipe(roles, "tiny"), "1.0.0", store, Settings(force=True, offline=True))
    after = image.record()
    assert after.manifest_sha256 == before.manifest_sha256
    assert after.archive_sha256 == before.archive_sha256


def test_side_by_side(image: Image, roles: Path, store: Store) -> None:
    for name in ("left", "right"):
        write_role(roles / name, "from: tiny\n", f"#!/bin/sh\necho {name} > /srv/{name}\n")
    write_role(roles / "bad", "from: tiny\n", "#!/bin/sh\necho so sorry\nexit 1\n")
    recipes = [load_recipe(roles, name) for name in ("left", "bad", "right")]
    left, bad, right = build_images(recipes, "1", store, jobs=3)
    assert isinstance(left, Image) and isinstance(right, Image)
    assert (left.tree / "srv/left").exists() and (right.tree / "srv/right").exists()
    assert isinstance(bad, ProgramFailed) and "| so sorry" in str(bad)


def test_a_package_that_the_archive_does_not_have(roles: Path, store: Store) -> None:
    (roles / "wrong").mkdir()
    (roles / "wrong/role.yaml").write_text("packages:\n- acl\n- edeploy-has-no-such-package\n")
    with pytest.raises(EdeployError) as error:
        build_image(load_recipe(roles, "wrong"), "1.0.0", store)
    assert "wrong/role.yaml:3:" in str(error.value)
    assert "has no package 'edeploy-has-no-such-package'" in str(error.value)
    assert not store.has("wrong", "1.0.0")


def test_a_small_file_system_is_full(
    image: Image, roles: Path, store: Store, tmp_path: Path
) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60m", "none", tmp_path], check=True)
    try:
        for name in ("cache", "pool"):
            (tmp_path / name).symlink_to(store.root / name)
        with pytest.raises(EdeployError, match="the store is full"):
            build_image(load_recipe(roles, "tiny"), "1.0.0", Store(tmp_path))
        assert Store(tmp_path).images() == []
        assert list(tmp_path.glob("install/*/.tiny.building*")) == []
        assert [path for path in tmp_path.glob("layers/*") if path.is_dir()] == []
    finally:
        subprocess.run(["umount", tmp_path], check=True)
