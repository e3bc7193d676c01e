"""The score: which swaps leave a machine what it is, which leave a doubt, what stays two."""

import glob
from pathlib import Path

import pytest
from fleet import Parts, server

from edeploy.inventory.identity import identify
from edeploy.inventory.items import read_report
from edeploy.inventory.likeness import (
    OTHER,
    SAME,
    WEIGHTS,
    Known,
    Verdict,
    booting,
    decide,
    likeness,
)

A, B = server(1), server(2)
OTHER_CARDS = ("ac:1f:6b:00:00:01", "ac:1f:6b:00:00:02")
NEW_UUID = "4c4c4544-ffff-3010-8048-000000000001"
# A machine of parts that nobody marked: only what is plugged into it tells.
WHITE = Parts(macs=("ac:1f:6b:00:01:01", "ac:1f:6b:00:01:02"), disks=("WD77A",))
REAL = sorted(
    glob.glob(str(Path(__file__).parents[3] / "shared/data/hw/*.hw"))
    + glob.glob(str(Path(__file__).parents[3] / "shared/data/ahc/bl460c/*"))
)


def known(*machines: Parts, held: tuple[int, ...] = ()) -> list[Known]:
    return [
        Known(number, f"m{number}", identify(parts.report()).marks, held=number in held)
        for number, parts in enumerate(machines)
    ]


def verdict(said: Parts, *machines: Parts, held: tuple[int, ...] = ()) -> Verdict:
    return decide(identify(said.report()).marks, known(*machines, held=held))


def points(a: Parts, b: Parts) -> int:
    return likeness(identify(a.report()).marks, identify(b.report()).marks).points


SAME_MACHINE = {
    "nothing swapped": (A, A),
    "all cards": (A, A.but(macs=OTHER_CARDS)),
    "one card of four": (A, A.but(macs=(*A.macs[:3], OTHER_CARDS[0]))),
    "a card more": (A, A.but(macs=(*A.macs, *OTHER_CARDS))),
    "cards gone": (A, A.but(macs=A.macs[:1])),
    "all disks": (A, A.but(disks=("WD9X", "WD8X"))),
    "a disk gone": (A, A.but(disks=A.disks[:1])),
    "UUID": (A, A.but(uuid=NEW_UUID)),
    "board, its cards, UUID": (A, A.but(uuid=NEW_UUID, board="PH9X", macs=OTHER_CARDS)),
    "board with nothing typed in": (
        A,
        A.but(serial="Default string", uuid=NEW_UUID, board="PH9X", macs=A.macs[2:] + OTHER_CARDS),
    ),
    "another chassis": (A, A.but(chassis="CH9X")),
    "cards, of a machine without disks": (A.but(disks=()), A.but(disks=(), macs=OTHER_CARDS)),
    "disks, where only cards tell": (WHITE, WHITE.but(disks=("WD9X",))),
    "cards, where only disks tell": (WHITE, WHITE.but(macs=OTHER_CARDS)),
    "one card of two, and nothing else": (
        Parts(macs=WHITE.macs),
        Parts(macs=(WHITE.macs[0], OTHER_CARDS[0])),
    ),
    "one card of two, and a serial": (
        Parts("S1", macs=WHITE.macs),
        Parts("S1", macs=(WHITE.macs[0], OTHER_CARDS[0])),
    ),
    "a UUID, where only cards tell": (
        Parts(uuid=A.uuid, macs=WHITE.macs),
        Parts(uuid=NEW_UUID, macs=WHITE.macs),
    ),
}

TWO = {
    "nothing in common": (A, B),
    "one junk serial": (A.but(serial="0123456789"), B.but(serial="0123456789")),
    "one junk UUID": (
        A.but(uuid="03000200-0400-0500-0006-000700080009"),
        B.but(uuid="03000200-0400-0500-0006-000700080009"),
    ),
    "one serial that both really have": (A, B.but(serial=A.serial)),
    "one serial, without disks": (A.but(disks=()), B.but(serial=A.serial, disks=())),
    "one serial, and only a UUID and cards besides": (
        Parts("S1", A.uuid, macs=A.macs),
        Parts("S1", B.uuid, macs=B.macs),
    ),
    "a batch of boards with one UUID": (A, B.but(uuid=A.uuid)),
    "a batch of boards with one UUID, unmarked": (
        WHITE.but(uuid=A.uuid),
        Parts(uuid=A.uuid, macs=OTHER_CARDS, disks=("WD9X",)),
    ),
    "blades of one chassis": (A, B.but(chassis=A.chassis)),
    "twins of one chassis and serial": (A, B.but(chassis=A.chassis, serial=A.serial)),
    "one card carried over": (A, B.but(macs=(*B.macs[:3], A.macs[0]))),
    "all cards carried over": (A, B.but(macs=A.macs)),
    "one disk carried over": (A, B.but(disks=(*B.disks, A.disks[0]))),
    "a disk on the storage network": (A, B.but(disks=(B.disks[0], A.disks[1]))),
}

DOUBT = {
    "all cards, and only a serial besides": (Parts("S1", macs=A.macs), Parts("S1", macs=B.macs)),
    "the board's strings in other cards and disks": (
        A.but(board=None),
        A.but(board=None, macs=B.macs, disks=B.disks),
    ),
    "all disks in a stranger": (A, B.but(disks=A.disks)),
    "a board with its cards, nothing typed in": (
        A,
        A.but(serial="None", uuid=NEW_UUID, board="PH9X", macs=OTHER_CARDS),
    ),
    "all cards, and only a UUID besides": (
        Parts(uuid=A.uuid, macs=A.macs),
        Parts(uuid=A.uuid, macs=B.macs),
    ),
}


@pytest.mark.parametrize(("before", "after"), SAME_MACHINE.values(), ids=SAME_MACHINE)
def test_swapped_parts_leave_the_machine_what_it_is(before: Parts, after: Parts) -> None:
    for old, now in ((before, after), (after, before)):
        found = verdict(now, B.but(serial="ZZ1"), old)
        assert found.same is not None and found.same.known.id == 1
        assert points(old, now) == points(now, old) >= SAME


@pytest.mark.parametrize(("one", "two"), TWO.values(), ids=TWO)
def test_two_stay_two(one: Parts, two: Parts) -> None:
    for a, b in ((one, two), (two, one)):
        found = verdict(a, b)
        assert found.same is None and found.doubts == ()
        assert points(a, b) == points(b, a) <= OTHER


@pytest.mark.parametrize(("one", "two"), DOUBT.values(), ids=DOUBT)
def test_nobody_can_know(one: Parts, two: Parts) -> None:
    for a, b in ((one, two), (two, one)):
        found = verdict(a, b)
        assert found.same is None
        assert [doubt.known.id for doubt in found.doubts] == [0]


def test_the_parts_of_two_machines() -> None:
    """Each could be the machine: by what its board says, or by what is plugged into it."""
    for mixed in (
        A.but(macs=B.macs, disks=B.disks),  # boards exchanged
        B.but(serial=A.serial),  # a serial typed in wrong
        B.but(uuid=A.uuid),
        A.but(disks=B.disks),  # all disks carried over: do they hold what is still wanted?
        A.but(macs=B.macs),
    ):
        found = verdict(mixed, A, B)
        assert found.same is None
        assert {doubt.known.id for doubt in found.doubts} == {0, 1}


def test_as_much_of_one_as_of_the_other() -> None:
    one, two = Parts(macs=A.macs[:1]), Parts(macs=B.macs[:1])
    found = verdict(Parts(macs=(A.macs[0], B.macs[0])), one, two)
    assert {doubt.known.id for doubt in found.doubts} == {0, 1}


def test_a_disk_or_a_card_of_another_machine_is_a_swap() -> None:
    for mixed in (
        A.but(disks=(A.disks[0], B.disks[0])),
        A.but(macs=(*A.macs[:2], *B.macs[:2])),
    ):
        found = verdict(mixed, A, B)
        assert found.same is not None and found.same.known.id == 0


def test_a_serial_that_two_have_is_known_to_tell_nothing() -> None:
    a, b, c = (Parts("S1", macs=machine.macs) for machine in (A, B, server(3)))
    assert verdict(b, a).doubts
    assert verdict(c, a, b).doubts == ()
    assert verdict(c, a, b, held=(1,)).doubts
    for number, machine in enumerate((a, b)):
        found = verdict(machine, a, b)
        assert found.same is not None and found.same.known.id == number


def test_a_held_machine_is_known_again() -> None:
    stranger = B.but(disks=A.disks)
    found = verdict(stranger, A, stranger, held=(1,))
    assert found.same is not None and found.same.known.id == 1
    found = verdict(A, A, stranger, held=(1,))
    assert found.same is not None and found.same.known.id == 0


def test_a_held_machine_with_another_card_is_still_the_held_one() -> None:
    one, two = Parts(macs=A.macs[:1]), Parts(macs=A.macs[1:2])
    held = Parts(macs=A.macs[:2])
    assert len(verdict(held, one, two).doubts) == 2
    found = verdict(Parts(macs=A.macs[:3]), one, two, held, held=(2,))
    assert found.same is not None and found.same.known.id == 2 and found.doubts == ()


def test_the_order_of_the_records_does_not_matter() -> None:
    machines = known(A, B, A.but(serial="S9"), B.but(uuid=A.uuid))
    said = identify(A.but(macs=B.macs).report()).marks
    assert decide(said, machines) == decide(said, machines[::-1])


def test_why() -> None:
    found = likeness(
        identify(A.report()).marks, identify(A.but(uuid=NEW_UUID, macs=A.macs[:2]).report()).marks
    )
    assert str(found) == (
        "226 points: serial cz000001a +50, other UUID -40, board serial ph000001b +40, "
        "chassis serial ch000001c +10, 2 of 4 network cards +66, 2 of 2 disks +100"
    )


def test_firmware_that_asks_for_its_script() -> None:
    def asks(mac: str, uuid: str | None, serial: str | None, *machines: Parts) -> int | None:
        found = booting(identify(Parts(serial, uuid, macs=(mac,)).report()).marks, known(*machines))
        return found.id if found else None

    assert asks(A.macs[3], A.uuid, A.serial, B, A) == 1
    assert asks(WHITE.macs[1], None, None, A, WHITE) == 1
    assert asks(OTHER_CARDS[0], A.uuid, A.serial, A, B) == 0  # another card
    assert asks(A.macs[0], NEW_UUID, None, A) == 0  # another board
    assert asks(B.macs[0], B.uuid, A.serial, A) is None  # another machine with its serial
    assert asks(A.macs[0], B.uuid, B.serial, A) is None  # its card in another machine
    assert asks(B.macs[0], A.uuid, A.serial, A, B) is None  # not clear: the report will tell


def test_the_reference_has_the_points() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/identity.md").read_text()
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| `")]
    told = {row[1].strip(" `"): (row[3].split()[0], row[4].strip()) for row in rows}
    counted = {
        kind: (f"+{weight.agrees}", f"-{weight.differs}" if weight.differs else "0")
        for kind, weight in WEIGHTS.items()
    }
    assert told == counted
    assert f"**{SAME} points or more**" in page and f"**{OTHER} or less**" in page


@pytest.mark.skipif(not REAL, reason="no real reports here: ../shared/data")
def test_a_real_fleet_stays_what_it_is() -> None:
    fleet: list[Known] = []
    for number, path in enumerate(REAL):
        marks = identify(read_report(path)).marks
        found = decide(marks, fleet)
        assert found.same is None and found.doubts == () and found.others == ()
        fleet.append(Known(number, path, marks))
    for machine in fleet:
        found = decide(machine.marks, fleet)
        assert found.same is not None and found.same.known == machine
