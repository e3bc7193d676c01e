"""A plan may only name disks that its machine reported."""

import pytest

from edeploy.inventory.items import Item, Report
from edeploy.machines.plans import strangers

REPORT = Report(
    tuple(
        Item("disk", name, key, value)
        for name, key, value in [
            ("logical", "count", "2"),
            ("vda", "size", "8"),
            ("vda", "serial", "EDL0001"),
            ("sda", "size", "480"),
            ("sda", "wwn-id", "wwn-0x5000c500a1b2c3d4"),
            ("sdb", "size", "1000"),
        ]
    )
)


def disk(**values: object) -> dict[str, object]:
    return {"path": "/dev/vda", "by_id": "", "serial": "", "wwn": "", "size": 8 * 10**9, **values}


@pytest.mark.parametrize(
    "good",
    [
        disk(serial="EDL0001"),
        disk(path="/dev/vdb", serial="EDL0001"),  # names move, serials do not
        disk(path="/dev/sda", by_id="/dev/disk/by-id/wwn-0x5000c500a1b2c3d4", size=480103981056),
        disk(path="/dev/sdb", size=1000204886016),  # nothing else is known of it
    ],
)
def test_own_disks(good: dict[str, object]) -> None:
    assert strangers([good], REPORT) == []


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (disk(serial="OTHER"), "no disk with OTHER"),
        (disk(path="/dev/vda"), "no disk with /dev/vda"),  # it has a serial, so it is named by it
        (disk(serial="EDL0001", size=80 * 10**9), "80.0 GB, but the report says 8 GB"),
        (disk(serial="EDL0001", size="8"), "size is missing"),
        (disk(path="/dev/sdz"), "no disk with /dev/sdz"),
    ],
)
def test_strangers(bad: dict[str, object], words: str) -> None:
    [problem] = strangers([bad], REPORT)
    assert words in problem
