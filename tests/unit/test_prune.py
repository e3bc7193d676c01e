import os
from pathlib import Path

import pytest

from edeploy.errors import EdeployError
from edeploy.images import prune


def tree(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return root


def left(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


def test_what_is_excluded_goes_with_its_folder_and_what_is_kept_stays(tmp_path: Path) -> None:
    root = tree(tmp_path, "usr/share/doc/a", "usr/share/misc/pci.ids", "usr/bin/x", "etc/passwd")
    (root / "usr/share/link").symlink_to("doc")
    prune.remove_paths(root, ["usr/share", "etc/*"], ["usr/share/misc/pci.ids"])
    assert left(root) == {"usr/share/misc/pci.ids", "usr/bin/x"}
    assert not (root / "usr/share/doc").exists() and not (root / "etc").exists()
    assert not (root / "usr/share/link").is_symlink()


def modules(root: Path) -> Path:
    tree(
        root,
        *(
            f"kernel/{name}.ko"
            for name in (
                "fs/ext4",
                "lib/crc16",
                "lib/crc32c_generic",
                "lib/never",
                "kvm/kvm_amd",
                "net/a-b",
            )
        ),
    )
    (root / "modules.dep").write_text(
        "kernel/fs/ext4.ko: kernel/lib/crc16.ko\nkernel/lib/crc16.ko:\n"
        "kernel/lib/crc32c_generic.ko:\nkernel/lib/never.ko:\nkernel/kvm/kvm_amd.ko:\n"
        "kernel/net/a-b.ko:\n"
    )
    (root / "modules.softdep").write_text("# comment\nsoftdep ext4 pre: a_b\n")
    return root  # fmt: skip


def test_wanted_modules_stay_with_those_that_they_need(tmp_path: Path) -> None:
    root = modules(tmp_path)
    prune.remove_modules(root, ["fs/*", "kvm/*"], ["kvm/kvm-*"])
    assert {name for name in left(root) if name.startswith("kernel")} == {
        "kernel/fs/ext4.ko", "kernel/lib/crc16.ko", "kernel/lib/crc32c_generic.ko",
        "kernel/net/a-b.ko",
    }  # fmt: skip


def test_a_kernel_without_a_list_of_modules_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "modules.dep").write_text("")
    with pytest.raises(EdeployError, match="names no module"):
        prune.remove_modules(tmp_path, [], [])


def test_firmware_stays_when_a_module_asks_for_it(tmp_path: Path) -> None:
    root = tree(tmp_path, "bnx2/a.fw", "bnx2/b.fw", "ice/ice-1.3.pkg", "qed/x-8.bin", "gpu/y.bin")
    (root / "ice/ice.pkg").symlink_to("ice-1.3.pkg")
    prune.remove_firmware(root, ["bnx2/a.fw", "ice/ice.pkg", "qed/x-*.bin"])
    assert left(root) == {"bnx2/a.fw", "ice/ice-1.3.pkg", "ice/ice.pkg", "qed/x-8.bin"}
    prune.remove_firmware(root / "missing", ["x"])


def test_libraries_that_nothing_needs_go(tmp_path: Path) -> None:
    lib = "usr/lib/x86_64-linux-gnu"
    root = tree(tmp_path, f"{lib}/liba.so.1.2", f"{lib}/libb.so.1", f"{lib}/libc.so.1",
                f"{lib}/ld-linux.so.2")  # fmt: skip
    (root / lib / "liba.so.1").symlink_to("liba.so.1.2")
    (root / lib / "libc.so").symlink_to("libc.so.1")
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/x").write_bytes(b"\x7fELF")
    needs = {"x": ["/lib/liba.so.1"], "liba.so.1.2": ["/lib64/libb.so.1"]}
    prune.remove_unneeded_libraries(root, lambda path: needs.get(path.name, []))
    assert left(root / lib) == {"liba.so.1", "liba.so.1.2", "libb.so.1", "ld-linux.so.2"}


def test_the_overlay_replaces_files_and_knows_only_two_modes(tmp_path: Path) -> None:
    overlay = tree(tmp_path / "overlay", "etc/hosts", "init")
    (overlay / "init").chmod(0o775)
    (overlay / "etc/hosts").chmod(0o600)
    (overlay / "etc/mtab").symlink_to("/proc/mounts")
    root = tree(tmp_path / "root", "etc/hosts")
    os.unlink(root / "etc/hosts")
    (root / "etc/hosts").symlink_to("/nowhere")
    prune.put_overlay(root, overlay)
    assert (root / "etc/hosts").read_text() == "etc/hosts"
    assert (root / "etc/hosts").stat().st_mode & 0o777 == 0o644
    assert (root / "init").stat().st_mode & 0o777 == 0o755
    assert os.readlink(root / "etc/mtab") == "/proc/mounts"
