"""Who may be overwritten: only what a person named, and nothing that speaks against."""

import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from folder_machine import block, fake, machine

from edeploy.node.bench import disks, plan, writes
from edeploy.node.bench.campaign import Allowed, Campaign, Refused, held
from edeploy.node.bench.order import TestOrder
from edeploy.node.bench.profiles import QUICK
from edeploy.node.bench.topology import topology
from edeploy.node.detect.disks import Disk
from edeploy.node.http import BadAnswer

DISK = Disk("zz1", 1 << 30, 512, "S1", "", (), True)
CAMPAIGN = Campaign((Allowed("S1"),))
ESP = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"


@dataclass
class Bay:
    """A machine with one disk, and what programs say of it."""

    root: Path
    files: dict[str, str] = field(default_factory=dict)

    def refusal(
        self,
        campaign: Campaign | None = CAMPAIGN,
        disk: Disk = DISK,
        others: tuple[Disk, ...] = (),
    ) -> str:
        tree = machine(self.root / "machine", block("zz1", 1 << 21, dev="8:16") | self.files)
        with pytest.raises(Refused) as refused, held(tree, disk, campaign, [disk, *others]):
            pytest.fail("the disk would have been written to")
        return refused.value.message

    def wipefs(self, **signatures: str) -> None:
        for device, kind in signatures.items():
            (self.root / f"wipefs-{device}").write_text(
                json.dumps({"signatures": [{"device": device, "offset": "0x0", "type": kind}]})
            )

    def partition(self, **about: object) -> None:
        part = {"node": "/dev/zz1p1", "start": 2048, "size": 4096, **about}
        table = {"partitiontable": {"label": "gpt", "partitions": [part]}}
        (self.root / "sfdisk-out").write_text(json.dumps(table))
        (self.root / "sfdisk-code").write_text("0")


@pytest.fixture
def bay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bay:
    programs = tmp_path / "bin"
    fake(programs, "wipefs", f'cat "{tmp_path}/wipefs-${{3#/dev/}}" 2>/dev/null || true')
    fake(
        programs,
        "sfdisk",
        f"cat {tmp_path}/sfdisk-out 2>/dev/null && exit 0; "
        'echo "sfdisk: $2: does not contain a recognized partition table" >&2; exit 1',
    )
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return Bay(tmp_path)


def test_a_free_disk_of_the_campaign_has_nothing_against_it_but_the_kernel(bay: Bay) -> None:
    # There is no /dev/zz1: to open it for oneself alone is the last question.
    assert "No such file" in bay.refusal()


@pytest.mark.parametrize(
    "campaign",
    [
        None,
        Campaign((Allowed("S2"),)),
        Campaign((Allowed("s1"),)),
        Campaign((Allowed("S1 "),)),
        Campaign((Allowed("S"), Allowed("S11"))),
    ],
)
def test_a_disk_that_no_campaign_names_exactly_is_refused(
    bay: Bay, campaign: Campaign | None
) -> None:
    assert "no campaign names its serial number" in bay.refusal(campaign)


def test_a_disk_without_a_serial_number_is_refused_whatever_is_named(bay: Bay) -> None:
    nameless = replace(DISK, serial="")
    assert "no campaign" in bay.refusal(Campaign((Allowed(""),)), nameless)


def test_a_mounted_disk_is_refused(bay: Bay) -> None:
    bay.files["proc/self/mountinfo"] = "22 1 8:16 / /srv rw - ext4 /dev/zz1 rw\n"
    assert "is mounted on /srv" in bay.refusal()


def test_a_disk_with_a_mounted_partition_is_refused(bay: Bay) -> None:
    bay.files |= {
        "sys/block/zz1/zz1p1/partition": "1\n",
        "sys/block/zz1/zz1p1/dev": "8:17\n",
        "proc/self/mountinfo": "22 1 8:17 / / rw - ext4 /dev/zz1p1 rw\n",
    }
    assert "/dev/zz1p1 is mounted on /" in bay.refusal()


@pytest.mark.parametrize("holder", ["dm-0", "md127", "bcache0"])
def test_a_disk_that_lvm_raid_or_multipath_holds_is_refused(bay: Bay, holder: str) -> None:
    bay.files[f"sys/block/zz1/holders/{holder}/dev"] = "253:0\n"
    assert f"is part of /dev/{holder}" in bay.refusal()


def test_a_partition_that_is_held_is_enough(bay: Bay) -> None:
    bay.files |= {
        "sys/block/zz1/zz1p2/partition": "2\n",
        "sys/block/zz1/zz1p2/holders/dm-3/dev": "253:3\n",
    }
    assert "/dev/zz1p2 is part of /dev/dm-3" in bay.refusal()


def test_swap_is_refused(bay: Bay) -> None:
    bay.files["proc/swaps"] = "Filename Type Size Used Priority\n/dev/zz1 partition 1 0 -2\n"
    assert "is swap" in bay.refusal()


@pytest.mark.parametrize(
    "kind", ["ext4", "gpt", "zfs_member", "LVM2_member", "linux_raid_member", "swap", "crypto_LUKS"]
)
def test_what_is_on_a_disk_has_to_be_named(bay: Bay, kind: str) -> None:
    bay.wipefs(zz1=kind)
    assert f"has the signature {kind}, which the campaign does not name" in bay.refusal()
    assert "No such file" in bay.refusal(Campaign((Allowed("S1", (kind,)),)))


def test_what_is_on_a_partition_has_to_be_named_too(bay: Bay) -> None:
    bay.files["sys/block/zz1/zz1p1/partition"] = "1\n"
    bay.wipefs(zz1="gpt", zz1p1="xfs")
    said = bay.refusal(Campaign((Allowed("S1", ("gpt",)),)))
    assert "/dev/zz1p1 has the signature xfs" in said
    assert "gpt" not in said


@pytest.mark.parametrize(
    "about",
    [
        {"type": ESP},
        {"type": ESP.lower()},
        {"type": "21686148-6449-6E6F-744E-656564454649"},
        {"type": "ef"},
        {"type": "83", "bootable": True},
        {"type": "0FC63DAF-8483-4772-8E79-3D69D8477DE4", "attrs": "LegacyBIOSBootable"},
    ],
)
def test_a_boot_disk_is_refused_even_when_all_on_it_is_named(
    bay: Bay, about: dict[str, object]
) -> None:
    bay.partition(**about)
    bay.wipefs(zz1="gpt")
    said = bay.refusal(Campaign((Allowed("S1", ("gpt", "vfat", "dos")),)))
    assert "it is a boot disk: /dev/zz1p1" in said


def test_a_partition_table_that_can_not_be_read_is_refused(bay: Bay) -> None:
    fake(bay.root / "bin", "sfdisk", "echo 'sfdisk: cannot open' >&2; exit 1")
    assert "can not be read" in bay.refusal()


def test_signatures_that_are_not_understood_are_refused(bay: Bay) -> None:
    (bay.root / "wipefs-zz1").write_text("what?")
    assert "not known what is on the disk" in bay.refusal()


def test_two_disks_of_one_name_and_two_paths_to_one_disk_are_refused(bay: Bay) -> None:
    twin = replace(DISK, name="zz2")
    assert "zz2 has the same serial number" in bay.refusal(others=(twin,))
    wide = replace(DISK, wwn="0x5000")
    path = replace(wide, name="zz3", serial="other")
    assert "zz3 is another path to it" in bay.refusal(disk=wide, others=(path,))


def test_a_read_only_disk_is_refused(bay: Bay) -> None:
    bay.files["sys/block/zz1/ro"] = "1\n"
    assert "it is read-only" in bay.refusal()


def test_all_that_speaks_against_it_is_told_at_once(bay: Bay) -> None:
    bay.files["sys/block/zz1/ro"] = "1\n"
    bay.files["sys/block/zz1/holders/md0/dev"] = "9:0\n"
    bay.wipefs(zz1="ext4")
    said = bay.refusal()
    assert said.startswith("zz1 (serial S1) is not written to: ")
    assert all(word in said for word in ("read-only", "md0", "ext4"))


BAD_CAMPAIGNS: list[object] = [
    True, 1, "all", [], {}, {"disks": []}, {"disks": "all"}, {"disks": ["S1"]},
    {"disks": [{"serial": ""}]}, {"disks": [{"serial": 7}]}, {"disks": [{"serial": "*\n"}]},
    {"disks": [{"serial": " S1"}]}, {"disks": [{"serial": "S1", "signatures": "all"}]},
    {"disks": [{"serial": "S1", "signatures": ["*"]}]},
    {"disks": [{"serial": "S1"}, {"serial": "S1", "signatures": ["ext4"]}]},
]  # fmt: skip


@pytest.mark.parametrize("campaign", BAD_CAMPAIGNS)
def test_a_campaign_that_is_not_clear_ends_the_test(campaign: object) -> None:
    with pytest.raises(BadAnswer, match="campaign"):
        TestOrder.from_answer({"profile": "quick", "campaign": campaign})


def test_without_a_campaign_no_stage_writes(tmp_path: Path) -> None:
    tree = machine(tmp_path, block("sda", 1 << 21, device__model="D"))
    some, _ = disks.measurable(tree)
    assert [disk.name for disk in some] == ["sda"]
    assert writes.stages(some, None, QUICK) == []
    for name in ("quick", "full", "burn", "lab"):
        order = TestOrder.from_answer({"profile": name})
        made = plan.make_plan(tree, topology(tree), order, ("", 0))
        assert not [stage.name for stage in made.stages if "write" in stage.name.split("/")[-1]]


def test_only_the_disks_of_the_campaign_have_stages_that_write(tmp_path: Path) -> None:
    files = block("sda", 1 << 21, device__model="D", serial="S1") | block(
        "sdb", 1 << 21, device__model="D", serial="S2"
    )
    tree = machine(tmp_path, files)
    order = TestOrder.from_answer(
        {"profile": "quick", "campaign": {"disks": [{"serial": "S2"}, {"serial": "S9"}]}}
    )
    made = plan.make_plan(tree, topology(tree), order, ("", 0))
    names = [stage.name for stage in made.stages if "write" in stage.name]
    assert names == ["disk/sdb/write_1M", "disk/sdb/randwrite_4k"]


@pytest.mark.parametrize("name", ["DESTROY", "EDEPLOY_DESTROY", "RUN_DESTRUCTIVE", "CAMPAIGN"])
def test_no_variable_of_the_environment_turns_it_on(
    bay: Bay, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    assert "no campaign" in bay.refusal(None)
    assert TestOrder.from_answer({"profile": "quick"}).campaign is None
    # The room asks for nothing but PATH.
    room = Path(writes.__file__).parent
    assert not [p for p in room.glob("*.py") if "environ" in p.read_text()]
    assert os.environ[name] == "1"
