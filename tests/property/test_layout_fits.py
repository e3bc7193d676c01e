"""Every plan fits its disk, whatever was wished for."""

import re

from hypothesis import given
from hypothesis import strategies as st

from edeploy.node.detect.disks import Disk
from edeploy.node.install import layout
from edeploy.node.install.layout import MIB, BadLayout, Wish

sizes = st.builds(
    lambda number, unit: f"{number}{unit}", st.integers(0, 5000), st.sampled_from("MGT")
)
disks = st.builds(
    lambda bytes_, sector, name: Disk(name, bytes_ // sector * sector, sector, "S1", "", (), True),
    st.integers(1, 20 << 40),
    st.sampled_from([512, 4096]),
    st.sampled_from(["sda", "nvme0n1", "vdb"]),
)


@given(
    disk=disks,
    firmware=st.sampled_from(["bios", "uefi"]),
    filesystem=st.sampled_from(["ext4", "xfs"]),
    swap=st.none() | sizes,
    root=st.just("rest") | sizes,
)
def test_partitions_never_overlap_and_fit(
    disk: Disk, firmware: str, filesystem: str, swap: str | None, root: str
) -> None:
    numbers = iter(range(100))
    try:
        wish = Wish(disk.path, filesystem, swap, root)
        plan = layout.make_plan(wish, disk, (firmware,), "f" * 64, lambda: f"{next(numbers):032x}")
    except BadLayout:
        return
    end = MIB
    for number, part in enumerate(plan.partitions, 1):
        assert part.number == number
        assert part.start == end
        assert part.size > 0
        assert part.start % MIB == part.size % MIB == 0
        end = part.start + part.size
    # The second table is at the end: 32 sectors of entries at most 4 KiB each, and one more.
    assert end <= disk.size - 33 * disk.sector
    root_part = plan.at("/")
    assert root_part is not None
    assert root_part.size >= layout.SMALLEST_ROOT
    assert (plan.at("/boot/efi") is not None) == (firmware == "uefi")
    starts = re.findall(r"start=(\d+), size=(\d+)", layout.table_step(plan).stdin)
    assert [(int(a) * disk.sector, int(b) * disk.sector) for a, b in starts] == [
        (part.start, part.size) for part in plan.partitions
    ]
    uuids = [part.uuid for part in plan.partitions if part.uuid]
    assert len(set(uuids)) == len(uuids)


@given(st.text())
def test_any_text_is_a_size_or_a_clear_error(text: str) -> None:
    try:
        assert layout.size_of(text) > 0
    except BadLayout as error:
        assert error.hint
