"""Power cuts at random moments of an upgrade: what comes up is one version or the other, whole."""

import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from deployed import FIRST, SECOND, Deployed, deployed, kernel
from power import Came, Cut, Start, grub_starts, interrupted

from edeploy.node.upgrade.upgrade import merge_late, rollback

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="loop devices and mounts"),
    pytest.mark.timeout(3600),
]

KINDS = ("ext4", "xfs")
SEED = 20


@pytest.fixture(scope="module", params=KINDS)
def machine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    with deployed(request.param, tmp_path_factory.mktemp("cuts")) as found:
        yield found


@dataclass(frozen=True)
class Row:
    """One cut: what was being done, whether the way had ended, and what came up."""

    doing: str
    done: bool
    start: str


def there_and_back(machine: Deployed) -> None:
    """The whole way of a machine: the upgrade, an edit, the restart, the verdict, and back."""
    name = machine.upgrade("1.1")
    (machine.view / "etc/late").write_text("late")
    merge_late(machine.here())
    machine.try_out(name)
    rollback(machine.here(), machine.loader())


def interrupt(machine: Deployed, cut: Cut | None) -> Came:
    """The whole way on a fresh disk, and a cut; how far it came."""
    machine.disk.copy(machine.fresh)
    with machine.power(FIRST):
        return interrupted(machine.disk, lambda: there_and_back(machine), cut)


def check_start(machine: Deployed, start: Start) -> None:
    """What GRUB started is a whole version; a further upgrade makes it the second one, and there
    is a way back from that."""
    machine.judge()
    version = str(machine.verb("version")[1]["version"])
    assert start.kernel == kernel(version)
    machine.check_exact(version)
    state = machine.verb("status")[1]
    assert state["phase"] in ("idle", "rolled-back", "staging", "verified"), state
    if version == "1.0":
        machine.try_out(machine.upgrade("1.1"))
        machine.check_exact("1.1")
    rollback(machine.here(), machine.loader())
    machine.start(FIRST)
    machine.check_exact("1.0")


def cut_often(machine: Deployed, count: int) -> list[Row]:
    """`count` cuts at random moments of the whole way; what came of each."""
    whole = interrupt(machine, None)
    rows = []
    for number in range(count):
        came = interrupt(machine, chosen(whole, f"{SEED} {machine.disk.kind} {number}"))
        start = grub_starts(machine.disk)
        with machine.power(start.name, trial=start.trial):
            try:
                check_start(machine, start)
            except Exception as error:
                words = f"cut {number} in {came.doing}: {start.name}: {error}"
                raise AssertionError(words) from error
        rows.append(Row(came.doing, came.done, f"{start.name}{' on trial' if start.trial else ''}"))
    return rows


def chosen(whole: Came, seed: str) -> Cut:
    """A moment of a way, by its time or by its steps: each leaves out what is short in the other;
    sometimes the kernel has written out what it had shortly before."""
    chance = random.Random(seed)  # noqa: S311
    written_out = chance.uniform(0, whole.seconds) if chance.random() < 0.5 else None
    if chance.random() < 0.5:
        return Cut(step=chance.randint(1, whole.steps), written_out=written_out)
    after = chance.uniform(0, whole.seconds)
    return Cut(after=after, written_out=written_out and min(written_out, after))


def table(kind: str, rows: list[Row]) -> str:
    """What was cut how often, and what came up."""
    lines = [f"{kind}, seed {SEED}: {len(rows)} cuts"]
    counted = Counter((row.doing, row.start) for row in rows)
    for (doing, start), count in sorted(counted.items(), key=lambda item: (-item[1], item[0])):
        lines.append(f"{count:4}  {doing:44} {start}")
    return "\n".join(lines)


@pytest.mark.parametrize(
    "count", [10, pytest.param(100, marks=pytest.mark.long)], ids=["some", "many"]
)
def test_every_cut_comes_up_as_one_version_or_the_other(
    machine: Deployed, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = cut_often(machine, count)
    with capsys.disabled():
        print(f"\n{table(machine.disk.kind, rows)}")
    assert len({row.doing for row in rows}) > 2
    assert {row.start.partition(" ")[0] for row in rows} == {FIRST, SECOND}
