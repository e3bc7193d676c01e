"""What a disk's machine gets of its own, and how large a disk has to be."""

import stat
from pathlib import Path

from edeploy.disks.disk import smallest
from edeploy.disks.own_files import write_own_files
from edeploy.images.store import Record

MIB = 1 << 20
SYSTEMD = "usr/lib/systemd"


def tree(root: Path, *files: str) -> Path:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def written(tmp_path: Path, *files: str, keys: str = "") -> set[str]:
    """The paths of all files that come to an image with these."""
    overlay = tmp_path / "overlay"
    write_own_files(
        tree(tmp_path / "tree", *files), overlay, fstab="UUID=1 / ext4\n", authorized_keys=keys
    )
    return {str(path.relative_to(overlay)) for path in overlay.rglob("*") if not path.is_dir()}


def test_an_image_without_systemd_is_told_its_file_systems_only(tmp_path: Path) -> None:
    assert written(tmp_path) == {"etc/fstab"}


def test_addresses_and_names_are_networkds_business_where_it_is(tmp_path: Path) -> None:
    found = written(tmp_path, f"{SYSTEMD}/systemd")
    assert "etc/systemd/system/edeploy-grow.service" in found
    assert not any(path.endswith(".network") for path in found)


def test_names_are_written_unless_somebody_else_does_that(tmp_path: Path) -> None:
    own = "etc/systemd/system/edeploy-names.path"
    with_networkd = (f"{SYSTEMD}/systemd", f"{SYSTEMD}/systemd-networkd")
    assert own in written(tmp_path / "plain", *with_networkd)
    assert own not in written(tmp_path / "resolved", *with_networkd, f"{SYSTEMD}/systemd-resolved")
    assert own not in written(tmp_path / "fixed", *with_networkd, "etc/resolv.conf")


def test_units_are_enabled_by_links_that_the_new_system_can_follow(tmp_path: Path) -> None:
    written(tmp_path, f"{SYSTEMD}/systemd", f"{SYSTEMD}/systemd-networkd")
    links = [path for path in (tmp_path / "overlay").rglob("*.wants/*")]
    assert sorted(path.name for path in links) == [
        "edeploy-grow.service",
        "edeploy-names.path",
        "edeploy-names.service",
    ]
    for link in links:
        assert (tmp_path / "overlay" / str(link.readlink()).lstrip("/")).is_file()


def test_keys_are_as_sshd_wants_them(tmp_path: Path) -> None:
    assert "root/.ssh/authorized_keys" in written(tmp_path, keys="ssh-ed25519 AAAA me\n")
    overlay = tmp_path / "overlay"
    modes = {name: stat.S_IMODE((overlay / name).stat().st_mode)
             for name in ("root", "root/.ssh", "root/.ssh/authorized_keys")}  # fmt: skip
    assert modes == {"root": 0o700, "root/.ssh": 0o700, "root/.ssh/authorized_keys": 0o600}


def test_the_smallest_disk_has_room_beside_the_image() -> None:
    record = Record("", 1, 1000 * MIB, 0, "", "", 0.0)
    assert 1000 * MIB + 256 * MIB < smallest(record) < 2000 * MIB
    assert smallest(record) % MIB == 0
