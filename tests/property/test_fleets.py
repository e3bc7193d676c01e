"""Fleets of any make, with parts swapped in any order: machines stay what they are."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edeploy.inventory.identity import KINDS, Identity, Mark, identify
from edeploy.inventory.items import Item, Report
from edeploy.inventory.likeness import OTHER, SAME, Known, decide, likeness
from edeploy.machines.database import Database
from edeploy.machines.enrolment import enrol
from edeploy.machines.schema import Machine

MARKS = st.builds(Mark, st.sampled_from(KINDS), st.sampled_from("abcdefgh"))
SETS = st.frozensets(MARKS, max_size=12)
JUNK = {
    "serial": ["To be filled by O.E.M.", "0123456789", "Empty", "", "Default string", "  "],
    "uuid": ["00000000-0000-0000-0000-000000000000", "Not Settable", "F" * 36, ""],
    "board": ["None", "............", "MB-1234567890", ""],
    "macs": ["00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "nothing"],
    "disks": ["QM00001", "0000000000", "Unknown"],
}


def known(sets: list[frozenset[Mark]]) -> list[Known]:
    return [
        Known(number, f"m{number}", marks, number % 3 == 2) for number, marks in enumerate(sets)
    ]


@given(SETS, SETS)
def test_the_score_is_symmetric(a: frozenset[Mark], b: frozenset[Mark]) -> None:
    assert likeness(a, b).points == likeness(b, a).points
    assert sorted(e.points for e in likeness(a, b).evidence) == sorted(
        e.points for e in likeness(b, a).evidence
    )


@given(SETS, st.lists(SETS, max_size=8), st.randoms(use_true_random=False))
def test_the_verdict_does_not_depend_on_order(
    said: frozenset[Mark], sets: list[frozenset[Mark]], random: Random
) -> None:
    machines = known(sets)
    shuffled = machines.copy()
    random.shuffle(shuffled)
    assert decide(said, machines) == decide(said, shuffled)


@given(SETS, st.lists(SETS, max_size=8))
def test_marks_decide(said: frozenset[Mark], sets: list[frozenset[Mark]]) -> None:
    """Nothing in common: never one. The same marks: always one. Else as the points say."""
    machines = known(sets)
    verdict = decide(said, machines)
    if said and any(one.marks == said for one in machines):
        assert verdict.same is not None and verdict.same.known.marks == said
    if verdict.same is not None:
        assert verdict.same.known.marks & said
        assert verdict.same.likeness.points >= SAME or verdict.same.known.marks == said
        assert verdict.doubts == ()
    for doubt in verdict.doubts:
        assert doubt.known.marks & said
    for other in verdict.others:
        assert other.known.marks & said
    if len(machines) == 1 and verdict.same is None and not verdict.doubts:
        points = likeness(said, sets[0])
        assert points.points <= OTHER or points.agreeing < SAME or machines[0].held


@given(SETS, SETS)
def test_after_the_verdict_everybody_is_known_again(a: frozenset[Mark], b: frozenset[Mark]) -> None:
    """A report in doubt gets a record; the next of the same machine finds that one."""
    if not a or not b or decide(b, [Known(0, "a", a)]).same is not None:
        return
    both = [Known(0, "a", a), Known(1, "b", b, bool(decide(b, [Known(0, "a", a)]).doubts))]
    for number, marks in enumerate((a, b)):
        found = decide(marks, both).same
        assert found is not None and found.known.id == number


@dataclass
class Box:
    """A machine with parts that are only its own, or junk."""

    number: int
    serial: str
    uuid: str
    board: str
    macs: list[str]
    disks: list[str]
    name: str = ""
    spare: int = field(default=0)

    def report(self) -> Report:
        rows = [
            ("system", "product", "serial", self.serial),
            ("system", "product", "uuid", self.uuid),
            ("system", "motherboard", "serial", self.board),
            ("system", "chassis", "serial", "CHASSIS7"),  # blades in one chassis
            *(("network", f"eth{n}", "serial", mac) for n, mac in enumerate(self.macs)),
            *(("disk", f"sd{n}", "serial", disk) for n, disk in enumerate(self.disks)),
        ]
        return Report(tuple(Item(*row) for row in rows))

    def fresh(self) -> int:
        self.spare += 1
        return self.number * 1000 + self.spare

    def mac(self) -> str:
        number = self.fresh()
        return f"d8:9d:67:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"

    def swap(self, what: str) -> None:
        """What a technician does in one visit."""
        if what == "card":
            self.macs[0] = self.mac()
        elif what == "cards":
            self.macs = [self.mac() for _ in self.macs]
        elif what == "card more":
            self.macs.append(self.mac())
        elif what == "disk":
            self.disks[-1] = f"WD{self.fresh()}X"
        elif what == "disks":
            self.disks = [f"WD{self.fresh()}X" for _ in self.disks]
        elif what == "disk gone" and len(self.disks) > 1:
            self.disks.pop()
        elif what == "board":  # the serial typed in again, all else of the board is new
            self.uuid = f"4c4c4544-0035-3010-8048-{self.fresh():012x}"
            self.board = f"PH{self.fresh()}B"
            self.macs = [self.mac() for _ in self.macs]


SWAPS = ["card", "cards", "card more", "disk", "disks", "disk gone", "board"]


@st.composite
def boxes(draw: st.DrawFn) -> list[Box]:
    found = []
    for number in range(1, draw(st.integers(2, 5)) + 1):
        box = Box(number, f"CZ{number}77A", "", f"PH{number}B", [], [])
        box.uuid = f"4c4c4544-0035-3010-8048-{box.fresh():012x}"
        box.macs = [box.mac() for _ in range(draw(st.integers(1, 4)))]
        box.disks = [f"WD{box.fresh()}X" for _ in range(draw(st.integers(1, 4)))]
        # Junk beside what tells: the serial or the UUID, not both; or a serial of several.
        junked = draw(st.sampled_from(["", "serial", "uuid", "shared"]))
        if junked == "shared":
            box.serial, junked = "SHARED77A", ""
        if junked:
            setattr(box, junked, draw(st.sampled_from(JUNK[junked])))
        if draw(st.booleans()):
            box.board = draw(st.sampled_from(JUNK["board"]))
        found.append(box)
    return found


@given(boxes(), st.lists(st.tuples(st.integers(0, 4), st.sampled_from(SWAPS)), max_size=12))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_fleets_with_swaps_stay_what_they_are(
    fleet: list[Box], visits: list[tuple[int, str]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder) / "db")
        now = 0.0

        def report(box: Box) -> Machine:
            with database.write() as session:
                said = box.report()
                machine, _ = enrol(session, identify(said), said, address="a", now=now)
                return machine

        for box in fleet:
            box.name = report(box).name
        assert len({box.name for box in fleet}) == len(fleet)
        for number, what in visits:
            now += 60
            box = fleet[number % len(fleet)]
            if what == "board" and identify(box.report()).serial in (None, "SHARED77A"):
                continue  # nothing that tells was typed in: what is left may be a doubt
            box.swap(what)
            machine = report(box)
            assert machine.name == box.name and machine.hold is None
        for box in fleet:
            assert report(box).name == box.name
        database.close()


@given(
    st.sampled_from(JUNK["serial"]),
    st.sampled_from(JUNK["uuid"]),
    st.lists(st.sampled_from(JUNK["macs"]), max_size=3),
    st.lists(st.sampled_from(JUNK["disks"]), max_size=3),
)
def test_junk_tells_nothing(serial: str, uuid: str, macs: list[str], disks: list[str]) -> None:
    def made(more_macs: list[str], more_disks: list[str]) -> Identity:
        return identify(
            Box(1, serial, uuid, "None", [*macs, *more_macs], [*disks, *more_disks]).report()
        )

    assert {mark.kind for mark in made([], []).marks} <= {"chassis"}
    assert not made([], []).tells
    one, two = (made([f"d8:9d:67:00:00:0{n}"], [f"WD{n}7X"]).marks for n in (1, 2))
    verdict = decide(two, [Known(0, "one", one)])
    assert verdict.same is None and verdict.doubts == ()


@given(st.lists(st.tuples(*[st.text(max_size=20)] * 4), max_size=20))
def test_any_report_gives_an_identity(rows: list[tuple[str, str, str, str]]) -> None:
    report = Report(tuple(Item(*row) for row in rows))
    assert identify(report).marks == identify(Report(report.items)).marks
