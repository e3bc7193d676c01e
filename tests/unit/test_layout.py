"""From a hint to a disk, from a wish to a plan, and who holds a disk."""

from pathlib import Path

import pytest

from edeploy.errors import EdeployError
from edeploy.node.detect.disks import Disk
from edeploy.node.detect.tree import Tree
from edeploy.node.install import layout
from edeploy.node.install.disk import DiskInUse, NoDisk, find_disk, refuse_if_used
from edeploy.node.install.layout import GIB, MIB, BadLayout, Plan, Wish


def disk(name: str, serial: str = "", wwn: str = "", *ids: str, real: bool = True) -> Disk:
    return Disk(name, 8 * GIB, 512, serial, wwn, ids, real)


VDA = disk("vda", "EDL0001", "", "virtio-EDL0001")
SDA = disk("sda", "Z1", "0x5000c500a1b2c3d4", "ata-ST_Z1", "wwn-0x5000c500a1b2c3d4")
LOOP = disk("loop0", real=False)
ALL = [VDA, SDA, LOOP]


class TestFindDisk:
    @pytest.mark.parametrize(
        ("hint", "found"),
        [
            ("/dev/disk/by-id/virtio-EDL0001", VDA),
            ("virtio-EDL0001", VDA),
            ("/dev/vda", VDA),
            ("vda", VDA),
            ("EDL0001", VDA),
            ("0x5000c500a1b2c3d4", SDA),
            ("wwn-0x5000C500A1B2C3D4", SDA),
            ("naa.5000c500a1b2c3d4", SDA),
            ("5000c500a1b2c3d4", SDA),
            (" sda ", SDA),
            ("/dev/loop0", LOOP),
        ],
    )
    def test_by_every_stable_name(self, hint: str, found: Disk) -> None:
        assert find_disk(hint, ALL) == found

    @pytest.mark.parametrize(
        "hint", ["", "sdb", "/dev/sda1", "/dev/disk/by-id/x", "EDL000", "loop0", "0x", "/dev/", "-"]
    )
    def test_nothing_is_an_error_that_says_what_there_is(self, hint: str) -> None:
        with pytest.raises(NoDisk) as caught:
            find_disk(hint, ALL)
        assert "serial=EDL0001" in caught.value.message
        assert "loop0" not in caught.value.message.partition("this machine has")[2]

    def test_two_are_an_error(self) -> None:
        twins = [disk("sda", "S"), disk("sdb", "S")]
        with pytest.raises(NoDisk, match="/dev/sda, /dev/sdb"):
            find_disk("S", twins)


def uuid(number: int) -> str:
    return f"{number}" * 8 + "-0000-4000-8000-000000000000"


def plan_of(wish: Wish, *firmwares: str, on: Disk = VDA) -> Plan:
    uuids = map(uuid, range(1, 9))
    firmwares = firmwares or ("bios",)
    return layout.make_plan(wish, on, firmwares, "f" * 64, lambda: next(uuids))


class TestPlan:
    def test_bios(self) -> None:
        plan = plan_of(Wish("vda", swap="1G"))
        shown = [(part.device("/dev/vda"), part.format, part.size) for part in plan.partitions]
        assert shown == [
            ("/dev/vda1", "none", MIB),
            ("/dev/vda2", "swap", GIB),
            ("/dev/vda3", "ext4", 8 * GIB - GIB - 3 * MIB),
        ]
        table = layout.table_step(plan).stdin.splitlines()
        assert table[:4] == ["label: gpt", f"label-id: {uuid(6)}", "unit: sectors", ""]
        assert table[4:] == [
            f'start=2048, size=2048, type={layout.BIOS_BOOT}, uuid={uuid(1)}, name="bios"',
            f'start=4096, size=2097152, type={layout.SWAP}, uuid={uuid(3)}, name="swap"',
            f'start=2101248, size=14673920, type={layout.LINUX_ROOT}, uuid={uuid(5)}, name="root"',
        ]
        assert layout.fstab(plan) == (
            f"UUID={uuid(2)} none swap sw 0 0\nUUID={uuid(4)} / ext4 errors=remount-ro 0 1\n"
        )

    def test_uefi(self) -> None:
        plan = plan_of(Wish("vda", filesystem="xfs"), "uefi")
        assert [(part.name, part.format) for part in plan.partitions] == [
            ("efi", "vfat"),
            ("root", "xfs"),
        ]
        assert "UUID=1111-1111 /boot/efi vfat" in layout.fstab(plan)
        assert [step.argv[0] for step in layout.format_steps(plan)] == ["mkfs.vfat", "mkfs.xfs"]

    def test_both_firmwares_and_a_root_that_can_grow(self) -> None:
        plan = plan_of(Wish("vda"), "bios", "uefi")
        assert [part.name for part in plan.partitions] == ["bios", "efi", "root"]

    def test_partitions_of_nvme(self) -> None:
        plan = plan_of(Wish("nvme0n1"), on=disk("nvme0n1"))
        assert layout.format_steps(plan)[-1].argv[-1] == "/dev/nvme0n1p2"

    def test_the_text_says_what_will_be_written(self) -> None:
        assert plan_of(Wish("vda"), "uefi").text() == [
            "/dev/vda (/dev/disk/by-id/virtio-EDL0001, 8.0 GiB): new GPT",
            "/dev/vda1: 256 MiB efi, vfat on /boot/efi",
            "/dev/vda2: 7934 MiB root, ext4 on /",
        ]

    @pytest.mark.parametrize(
        "wish",
        [{"filesystem": "btrfs"}, {"swap": "much"}, {"root": "0G"}, {"label": "a b"}]
        + [{"label": "thirteen-long", "filesystem": "xfs"}, {"root": "50%"}],
    )
    def test_a_wish_without_sense(self, wish: dict[str, str]) -> None:
        with pytest.raises(BadLayout):
            Wish("vda", **wish)

    @pytest.mark.parametrize("wish", [Wish("vda", swap="8G"), Wish("vda", root="8G")])
    def test_a_wish_larger_than_the_disk(self, wish: Wish) -> None:
        with pytest.raises(BadLayout, match="8.0 GiB"):
            plan_of(wish)


class TestInUse:
    def tree(self, root: Path, mountinfo: str = "", swaps: str = "", holder: str = "") -> Tree:
        for name, number in (("sda", "8:0"), ("sda/sda1", "8:1")):
            (root / "sys/block" / name / "holders").mkdir(parents=True)
            (root / "sys/block" / name / "dev").write_text(f"{number}\n")
        (root / "sys/block/sda/sda1/partition").write_text("1\n")
        if holder:
            (root / "sys/block/sda/sda1/holders" / holder).touch()
        (root / "proc/self").mkdir(parents=True)
        (root / "proc/self/mountinfo").write_text(mountinfo)
        (root / "proc/swaps").write_text(f"Filename Type Size Used Priority\n{swaps}")
        return Tree(root)

    def test_free(self, tmp_path: Path) -> None:
        mountinfo = "30 1 8:16 / /mnt rw - ext4 /dev/sdb rw\n"
        refuse_if_used(self.tree(tmp_path, mountinfo, "/dev/sdb2 partition 1 0 -2\n"), SDA)

    @pytest.mark.parametrize(
        ("tree", "why"),
        [
            ({"mountinfo": "30 1 8:1 / /mnt/a\\040b rw - ext4 /dev/x rw\n"}, "mounted on /mnt/a b"),
            ({"mountinfo": "30 1 0:9 / /b rw - btrfs /dev/sda1 rw\n"}, "/dev/sda1 is mounted"),
            ({"swaps": "/dev/sda1 partition 1 0 -2\n"}, "is swap"),
            ({"holder": "md0"}, "part of /dev/md0"),
        ],
    )
    def test_in_use(self, tmp_path: Path, tree: dict[str, str], why: str) -> None:
        with pytest.raises(DiskInUse) as caught:
            refuse_if_used(self.tree(tmp_path, **tree), SDA)
        assert isinstance(caught.value, EdeployError)
        assert why in caught.value.message
