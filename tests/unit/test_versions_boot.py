"""The boot loader's entries, the count of tries and the kernels of a machine's versions."""

import os
import re
from pathlib import Path

import pytest

from edeploy.node.boot.booted import booted
from edeploy.node.boot.disk import BootDisk
from edeploy.node.boot.grub_loader import GrubLoader
from edeploy.node.boot.grubenv import SIZE, EnvFull, read_env, write_env
from edeploy.node.boot.kexec_loader import KexecLoader
from edeploy.node.boot.loader import NotBootable
from edeploy.node.boot.marker import Marker
from edeploy.node.boot.systemd_boot import SystemdBootLoader
from edeploy.node.upgrade.places import Places

DISK = BootDisk("root=UUID=r00t ro", ("search --fs-uuid --set=root b00t",), "b00t", "/boot")
SURVIVING = "panic=30 rd.shell=0 rd.emergency=reboot"
ONE, TWO, OLD = "web-1.0.1", "web-1.1.1", "web-0.9.0"


def tree(places: Places, name: str, kernel: str = "6.1.0-50", grub: str = "quiet") -> Path:
    """A version with a kernel and settings."""
    root = places.tree(name)
    for folder in ("boot", "etc/default", "usr/lib"):
        (root / folder).mkdir(parents=True)
    (root / f"boot/vmlinuz-{kernel}-amd64").write_bytes(f"kernel {kernel}".encode())
    (root / f"boot/initrd.img-{kernel}-amd64").write_bytes(f"initrd {name}".encode())
    (root / "etc/default/grub").write_text(f'GRUB_CMDLINE_LINUX="{grub}"\n')
    (root / "usr/lib/os-release").write_text('PRETTY_NAME="Debian 12"\n')
    (root / "etc/os-release").symlink_to("../usr/lib/os-release")
    return root


@pytest.fixture
def places(tmp_path: Path) -> Places:
    (tmp_path / "boot/grub").mkdir(parents=True)
    found = Places(tmp_path)
    tree(found, ONE)
    tree(found, TWO, "6.1.0-56")
    return found


@pytest.fixture
def loader(places: Places) -> GrubLoader:
    return GrubLoader(places, DISK)


def config(places: Places) -> str:
    return (places.root / "boot/grub/edeploy.cfg").read_text()


def entries(places: Places) -> list[str]:
    return re.findall(r"--id edeploy-(\S+) ", config(places))


def env(places: Places) -> dict[str, str]:
    return read_env(places.root / "boot/grub/edeploy.env")


def test_the_good_version_is_the_first_entry_with_its_own_kernel(
    places: Places, loader: GrubLoader
) -> None:
    loader.prepare([ONE, TWO], TWO)
    assert entries(places) == [TWO, ONE]
    text = config(places)
    assert f"menuentry '{TWO}: Debian 12, Linux 6.1.0-56-amd64' --id edeploy-{TWO} {{" in text
    assert (
        f"\t\tlinux /boot/edeploy/{TWO}/vmlinuz root=UUID=r00t ro edeploy={TWO} {SURVIVING} quiet "
        f"${{edeploy_mark}}\n\t\tinitrd /boot/edeploy/{TWO}/initrd\n"
    ) in text
    boot = places.root / "boot"
    assert (boot / f"edeploy/{ONE}/vmlinuz").read_bytes() == b"kernel 6.1.0-50"
    assert (boot / f"edeploy/{TWO}/initrd").read_bytes() == f"initrd {TWO}".encode()
    assert "source ${prefix}/edeploy.cfg" in (boot / "grub/grub.cfg").read_text()
    assert env(places) == {"edeploy_good": TWO}


def test_a_version_that_is_gone_takes_its_kernel_along(places: Places, loader: GrubLoader) -> None:
    loader.prepare([ONE, TWO], ONE)
    loader.prepare([TWO], TWO)
    assert os.listdir(places.root / "boot/edeploy") == [TWO]
    assert entries(places) == [TWO]


def test_a_kernel_that_was_damaged_beside_the_loader_is_brought_again(
    places: Places, loader: GrubLoader
) -> None:
    loader.prepare([ONE], ONE)
    path = places.root / f"boot/edeploy/{ONE}/vmlinuz"
    path.unlink()
    path.write_bytes(b"kernel 6.1.0-5X")
    loader.prepare([ONE], ONE)
    assert path.read_bytes() == b"kernel 6.1.0-50"


def test_a_trial_its_confirmation_and_its_end(places: Places, loader: GrubLoader) -> None:
    loader.prepare([ONE, TWO], ONE)
    assert loader.armed() == ""
    loader.arm(TWO)
    assert env(places) == {"edeploy_good": ONE, "edeploy_trial": TWO, "edeploy_tries": "3"}
    assert (loader.armed(), Marker(places).read()) == (TWO, TWO)
    assert entries(places) == [ONE, TWO]
    assert loader.good() == ONE
    loader.confirm(TWO)
    assert (env(places), entries(places)) == ({"edeploy_good": TWO}, [TWO, ONE])
    assert loader.good() == TWO
    assert (loader.armed(), Marker(places).read()) == ("", "")
    loader.arm(ONE, tries=1)
    loader.disarm()
    assert env(places) == {"edeploy_good": TWO}
    assert Marker(places).read() == ""


def test_without_its_block_the_first_entry_is_what_starts(
    places: Places, loader: GrubLoader
) -> None:
    assert loader.good() == ""
    loader.prepare([ONE, TWO], TWO)
    (places.root / "boot/grub/edeploy.env").unlink()
    assert loader.good() == TWO


def test_a_trial_without_tries_is_not_armed(places: Places, loader: GrubLoader) -> None:
    loader.prepare([ONE, TWO], ONE)
    loader.arm(TWO)
    # As GRUB leaves it after the last try.
    write_env(places.root / "boot/grub/edeploy.env", {**env(places), "edeploy_tries": "0"})
    assert loader.armed() == ""


def test_only_what_has_an_entry_is_tried(loader: GrubLoader) -> None:
    loader.prepare([ONE], ONE)
    with pytest.raises(NotBootable, match=f"no entry for {TWO}: there is {ONE}"):
        loader.arm(TWO)
    with pytest.raises(NotBootable, match="10 tries"):
        loader.arm(ONE, tries=10)
    with pytest.raises(NotBootable, match="not one of them"):
        loader.prepare([ONE], TWO)


def test_the_system_from_before_the_first_upgrade_starts_as_it_did(
    places: Places, loader: GrubLoader
) -> None:
    boot = places.root / "boot"
    (boot / "vmlinuz-5.10.0-9").write_bytes(b"old")
    (boot / "initrd.img-5.10.0-9").write_bytes(b"old")
    (boot / "grub/grub.cfg").write_text("menuentry 'Debian' {\n}\n")
    (places.root / "etc/default").mkdir(parents=True)
    (places.root / "etc/grub.d").mkdir()
    (places.root / "etc/default/grub").write_text("GRUB_CMDLINE_LINUX=old\n")
    loader.prepare([OLD, ONE], OLD)
    assert (
        f"\t\tlinux /boot/vmlinuz-5.10.0-9 root=UUID=r00t ro {SURVIVING} old ${{edeploy_mark}}\n"
        "\t\tinitrd /boot/initrd.img-5.10.0-9\n"
    ) in config(places)
    assert (boot / "grub/grub.cfg.before-edeploy").read_text().startswith("menuentry")
    script = places.root / "etc/grub.d/09_edeploy"
    assert os.access(script, os.X_OK)
    assert "source ${prefix}/edeploy.cfg" in script.read_text()


def test_update_grub_of_each_version_starts_the_versions(
    places: Places, loader: GrubLoader
) -> None:
    for name in (ONE, TWO):
        (places.tree(name) / "etc/grub.d").mkdir()
    loader.prepare([ONE], ONE)
    scripts = {name: places.tree(name) / "etc/grub.d/09_edeploy" for name in (ONE, TWO)}
    assert "source ${prefix}/edeploy.cfg" in scripts[ONE].read_text()
    assert not scripts[TWO].exists()
    # Somebody's own, in whatever encoding.
    scripts[TWO].write_bytes(b"# \xe9\n")
    loader.prepare([ONE, TWO], ONE)
    assert scripts[TWO].read_bytes() == scripts[ONE].read_bytes()
    assert os.access(scripts[TWO], os.X_OK)


def test_entries_follow_a_change_of_the_settings(places: Places, loader: GrubLoader) -> None:
    loader.prepare([ONE, TWO], TWO)
    path = places.tree(ONE) / "etc/default/grub"
    path.write_text('GRUB_CMDLINE_LINUX="nosmt panic=5 console=ttyS1,9600"\n')
    loader.refresh()
    assert (
        f"edeploy={ONE} rd.shell=0 rd.emergency=reboot nosmt panic=5 console=ttyS1,9600 $"
        in config(places)
    )
    assert entries(places) == [TWO, ONE]


def test_where_grub_cannot_write_it_is_not_asked_to(places: Places) -> None:
    loader = KexecLoader(places, DISK)
    loader.prepare([ONE, TWO], ONE)
    assert "save_env" not in config(places)
    assert not (places.root / "boot/grub/edeploy.env").exists()


def test_a_trial_by_kexec_leaves_the_loader_as_it_is(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("kexec", "systemctl"):
        (programs / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/called\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    loader = KexecLoader(places, DISK)
    loader.prepare([ONE, TWO], ONE)
    before = config(places)
    loader.arm(TWO)
    loader.restart()
    assert config(places) == before
    folder = places.root / f"boot/edeploy/{TWO}"
    assert (tmp_path / "called").read_text() == (
        f"kexec --load {folder}/vmlinuz --initrd={folder}/initrd"
        f" --command-line=root=UUID=r00t ro edeploy={TWO} {SURVIVING} quiet edeploy.trial\n"
        "systemctl kexec\n"
    )
    loader.confirm(TWO)
    assert entries(places) == [TWO, ONE]
    assert loader.armed() == ""


def test_kexec_must_be_there_for_a_trial(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    loader = KexecLoader(places, DISK)
    loader.prepare([ONE, TWO], ONE)
    with pytest.raises(NotBootable) as caught:
        loader.arm(TWO)
    assert "kexec-tools" in caught.value.hint


def test_a_block_is_written_in_its_place_and_read_by_grubs_own_tool(tmp_path: Path) -> None:
    path = tmp_path / "env"
    write_env(path, {"b": "2", "a": "1"})
    inode = path.stat().st_ino
    write_env(path, {"a": "x=y"})
    assert path.stat().st_ino == inode
    assert len(path.read_bytes()) == SIZE
    assert path.read_bytes().startswith(b"# GRUB Environment Block\na=x=y\n####")
    assert read_env(path) == {"a": "x=y"}


@pytest.mark.parametrize("data", [b"", b"\0" * SIZE, b"# GRUB Environment Block\na=1\n"])
def test_what_is_no_block_has_no_variables(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "env"
    path.write_bytes(data)
    assert read_env(path) == {}
    write_env(path, {"a": "1"})
    assert read_env(path) == {"a": "1"}


def test_variables_stay_in_one_sector(tmp_path: Path) -> None:
    with pytest.raises(EnvFull):
        write_env(tmp_path / "env", {"a": "1" * SIZE})
    assert not (tmp_path / "env").exists()


@pytest.mark.parametrize(
    ("cmdline", "name"),
    [
        ("BOOT_IMAGE=/vmlinuz ro quiet", ""),
        ("ro edeploy=web-1.0.1 quiet", "web-1.0.1"),
        ("ro edeploy=a edeploy=web-1.0.1 edeploy.trial", "web-1.0.1"),
    ],
)
def test_what_runs_is_on_the_kernels_command_line(cmdline: str, name: str) -> None:
    assert booted(cmdline) == name


@pytest.fixture
def systemd(places: Places) -> SystemdBootLoader:
    return SystemdBootLoader(places, places.root / "efi", "root=UUID=r00t ro")


def conf(places: Places) -> dict[str, int]:
    """systemd-boot's entries with their rank."""
    folder = places.root / "efi/loader/entries"
    return {
        path.name: int(re.findall(r"^version (\d)$", path.read_text(), re.MULTILINE)[0])
        for path in folder.iterdir()
    }


def test_systemd_boot_counts_in_the_name_of_an_entry(
    places: Places, systemd: SystemdBootLoader
) -> None:
    systemd.prepare([ONE, TWO], ONE)
    assert conf(places) == {f"edeploy-{ONE}.conf": 2, f"edeploy-{TWO}.conf": 1}
    systemd.arm(TWO)
    counted = places.root / f"efi/loader/entries/edeploy-{TWO}+3.conf"
    assert conf(places)[counted.name] == 3
    assert f"options root=UUID=r00t ro edeploy={TWO} {SURVIVING} quiet edeploy.trial\n" in (
        counted.read_text()
    )
    assert f"linux /edeploy/{TWO}/vmlinuz\ninitrd /edeploy/{TWO}/initrd\n" in counted.read_text()
    # As the loader renames it at each start.
    spent = counted.rename(counted.with_name(f"edeploy-{TWO}+2-1.conf"))
    assert systemd.armed() == TWO
    spent.rename(spent.with_name(f"edeploy-{TWO}+0-3.conf"))
    assert systemd.armed() == ""


def test_systemd_boot_after_a_verdict(places: Places, systemd: SystemdBootLoader) -> None:
    assert systemd.good() == ""
    systemd.prepare([ONE, TWO], ONE)
    systemd.arm(TWO)
    assert systemd.good() == ONE
    systemd.confirm(TWO)
    assert systemd.good() == TWO
    assert conf(places) == {f"edeploy-{TWO}.conf": 2, f"edeploy-{ONE}.conf": 1}
    assert Marker(places).read() == ""
    systemd.arm(ONE, tries=1)
    systemd.disarm()
    assert conf(places) == {f"edeploy-{TWO}.conf": 2, f"edeploy-{ONE}.conf": 1}
    systemd.prepare([TWO], TWO)
    assert conf(places) == {f"edeploy-{TWO}.conf": 2}
    assert (places.root / "efi/loader/loader.conf").read_text() == "default edeploy-*\n"
    with pytest.raises(NotBootable):
        systemd.arm(ONE)
