"""Whatever a campaign and a machine look like: nothing is written that anything speaks against."""

import json
import os
import stat
import string
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edeploy.node.bench.campaign import Allowed, Campaign, Refused, held
from edeploy.node.detect.disks import Disk
from edeploy.node.detect.tree import Tree
from edeploy.node.http import BadAnswer

SERIALS = ["S1", "s1", "S1 ", "S11", "S", "", "0", "*", ".*"]
KINDS = ["ext4", "gpt", "swap", "zfs_member", "LVM2_member"]
DISK = Disk("zz1", 1 << 30, 512, "S1", "0x1", (), True)
# The programs print what lies in files beside them.
WIPEFS = 'cat "$(dirname "$0")/wipefs-${3#/dev/}" 2>/dev/null || true'
SFDISK = (
    'cat "$(dirname "$0")/table" 2>/dev/null && exit 0; '
    'echo "$2: does not contain a recognized partition table" >&2; exit 1'
)


@dataclass(frozen=True)
class Bay:
    """A disk, what is on it and who uses it."""

    serial: str
    signatures: frozenset[str]
    partition: frozenset[str] | None
    mounted: bool
    part_mounted: bool
    holder: bool
    swap: bool
    boots: bool
    twin: bool
    read_only: bool


BAYS = st.builds(
    Bay,
    serial=st.sampled_from(SERIALS),
    signatures=st.frozensets(st.sampled_from(KINDS), max_size=2),
    partition=st.none() | st.frozensets(st.sampled_from(KINDS), max_size=1),
    mounted=st.booleans(),
    part_mounted=st.booleans(),
    holder=st.booleans(),
    swap=st.booleans(),
    boots=st.booleans(),
    twin=st.booleans(),
    read_only=st.booleans(),
)
# A free disk with nothing in the way, of which each example changes at most one thing.
FREE = Bay("S1", frozenset(), None, *[False] * 7)
PARTED = replace(FREE, partition=frozenset())
ONE_THING = st.sampled_from(
    [
        replace(PARTED, mounted=True),
        replace(PARTED, part_mounted=True),
        replace(PARTED, holder=True),
        replace(PARTED, swap=True),
        replace(PARTED, boots=True),
        replace(PARTED, twin=True),
        replace(PARTED, read_only=True),
    ]
)
CAMPAIGNS = st.none() | st.lists(
    st.builds(
        Allowed,
        st.sampled_from(SERIALS),
        st.lists(st.sampled_from(KINDS), max_size=3).map(tuple),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda one: one.serial,
).map(lambda disks: Campaign(tuple(disks)))


def made(root: Path, bay: Bay) -> Tree:
    """The machine as the kernel would tell it, and what wipefs and sfdisk would print."""
    files = {"sys/block/zz1/dev": "8:16", "sys/block/zz1/ro": str(int(bay.read_only))}
    mounts = []
    if bay.partition is not None:
        files |= {"sys/block/zz1/zz1p1/partition": "1", "sys/block/zz1/zz1p1/dev": "8:17"}
    if bay.mounted:
        mounts.append("22 1 8:16 / /a rw - ext4 /dev/zz1 rw")
    if bay.part_mounted and bay.partition is not None:
        mounts.append("23 1 8:17 / /b rw - ext4 /dev/zz1p1 rw")
    files["proc/self/mountinfo"] = "\n".join(mounts)
    if bay.holder:
        files["sys/block/zz1/holders/dm-0/dev"] = "253:0"
    if bay.swap:
        files["proc/swaps"] = "Filename Type\n/dev/zz1 partition\n"
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    programs = root / "bin"
    programs.mkdir()
    for name, script in (("wipefs", WIPEFS), ("sfdisk", SFDISK)):
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        os.chmod(programs / name, stat.S_IRWXU)
    for device, kinds in (("zz1", bay.signatures), ("zz1p1", bay.partition or frozenset())):
        if kinds:
            found = [{"device": device, "type": kind} for kind in sorted(kinds)]
            (programs / f"wipefs-{device}").write_text(json.dumps({"signatures": found}))
    if bay.boots:
        parts = [{"node": "/dev/zz1p1", "type": "83", "bootable": True}]
        table = json.dumps({"partitiontable": {"partitions": parts}})
        (programs / "table").write_text(table)
    return Tree(root)


def in_the_way(bay: Bay, campaign: Campaign | None) -> bool:
    """Whether anything speaks against it, told from what the example is made of."""
    named = [one for one in campaign.disks if one.serial == bay.serial] if campaign else []
    if not named or not bay.serial:
        return True
    lost = bay.signatures | (bay.partition or frozenset())
    part_mounted = bay.part_mounted and bay.partition is not None
    used = bay.mounted or part_mounted or bay.holder or bay.swap
    wrong = bay.boots or bay.twin or bay.read_only
    return used or wrong or not lost <= set(named[0].signatures)


@settings(max_examples=150, deadline=None)
@given(bay=BAYS | ONE_THING | st.just(FREE), campaign=CAMPAIGNS)
def test_only_a_named_disk_that_nothing_speaks_against_gets_to_be_opened(
    bay: Bay, campaign: Campaign | None
) -> None:
    disk = replace(DISK, serial=bay.serial)
    others = [disk, *([replace(disk, name="zz2")] if bay.twin else [])]
    before = os.environ["PATH"]
    with tempfile.TemporaryDirectory() as folder:
        tree = made(Path(folder), bay)
        os.environ["PATH"] = f"{folder}/bin:{before}"
        try:
            with pytest.raises(Refused) as refused, held(tree, disk, campaign, others):
                pytest.fail("there is no such device")
        finally:
            os.environ["PATH"] = before
    # To open the device comes last, and there is none.
    opened = "No such file or directory" in refused.value.message
    assert opened is not in_the_way(bay, campaign)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(string.printable, max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["disks", "serial", "signatures", "x"]), inner, max_size=3
        )
    ),
    max_leaves=10,
)


@given(JSON)
def test_a_campaign_names_serial_numbers_or_is_none(value: object) -> None:
    try:
        found = Campaign.from_answer(value)
    except BadAnswer:
        return
    if value is None:
        assert found is None
        return
    assert found is not None
    assert found.disks
    assert all(one.serial.strip() == one.serial != "" for one in found.disks)
    assert isinstance(value, dict)
    named = [row["serial"] for row in value["disks"]]
    assert [one.serial for one in found.disks] == named
