"""A machine's upgrade in the records: every word stands alone, and silence has an end."""

from pathlib import Path

import pytest
from house import RULES, House

from edeploy.machines import operate, upgrades
from edeploy.machines.installs import Home, take_call_home
from edeploy.machines.records import find, standing
from edeploy.machines.refusal import Refusal, Unauthorised
from edeploy.machines.states import Boot, State, boot
from edeploy.machines.upgrades import Phase, Standing


class Racked:
    """Machine 1 of a house, which runs web 1."""

    def __init__(self, house: House) -> None:
        self.house = house
        house.profile("web", None)
        house.state(("web", "*"))
        house.install(1)
        with house.database.write() as session:
            home = Home("web", "1", "b", "6.1", 1.0)
            secret = take_call_home(session, house.homes[1], home, address="a", now=house.now)
        self.secret = secret

    def says(self, phase: str, goal: str = "", why: str = "", version: str = "1") -> None:
        said = Standing("web", version, "b2", "6.1", Phase(phase), goal, why)
        with self.house.database.write() as session:
            upgrades.take_standing(
                session, self.secret, said, RULES, address="10.0.0.9", now=self.house.now
            )

    def shown(self, *keys: str) -> tuple[object, ...]:
        row = self.house.machine(1)
        return tuple(row[key] for key in keys)


@pytest.fixture
def machine(tmp_path: Path) -> Racked:
    return Racked(House(tmp_path))


def test_from_one_version_to_the_next(machine: Racked) -> None:
    machine.says("stage", "2")
    now = machine.house.now
    assert machine.shown("state", "phase", "version") == ("upgrading", "stage 2", "1")
    assert machine.shown("deadline") == (now + RULES.upgrade_minutes * 60,)
    machine.house.later(10)
    machine.says("armed", "2")
    assert machine.shown("state", "phase", "deadline") == ("active", "armed 2", None)
    machine.house.later(60 * 24 * 3)
    machine.says("boot", "2")
    machine.says("check", "2", version="2")
    assert machine.shown("state", "phase") == ("upgrading", "check 2")
    machine.says("", version="2")
    assert machine.shown("state", "version", "phase", "reason") == ("active", "2", None, None)
    assert machine.house.events(1, "upgrade") == ["1 to 2: stage", "1 to 2: boot"]
    assert machine.house.events(1, "upgrade-phase") == ["check: 2"]
    assert machine.house.events(1, "upgraded")[-1] == "web 2 runs"
    assert machine.shown("lease")[0]["state"] == "spent"  # type: ignore[index]


def test_a_machine_that_went_back_shows_why_until_the_next_try(machine: Racked) -> None:
    machine.says("stage", "2")
    machine.says("boot", "2")
    machine.says("back", "2", "nginx.service is failed")
    expected = ("active", "1", "still 1, not 2: nginx.service is failed")
    assert machine.shown("state", "version", "reason") == expected
    # Told again at every start.
    machine.says("back", "2", "nginx.service is failed")
    assert machine.shown("state", "version", "reason") == expected
    [text] = machine.house.events(1, "upgraded")
    assert text == "1 runs: 2: nginx.service is failed"
    machine.says("stage", "2")
    assert machine.shown("reason") == (None,)


@pytest.mark.parametrize(
    ("said", "phase"), [("stage", "stage"), ("boot", "boot"), ("check", "check")]
)
def test_silence_ends_as_a_failure_and_a_late_word_mends_it(
    machine: Racked, said: str, phase: str
) -> None:
    machine.says(said, "2")
    machine.house.later(RULES.upgrade_minutes - 1)
    assert machine.shown("state") == ("upgrading",)
    machine.house.later(2)
    assert machine.shown("state", "failed_from", "phase") == ("failed", "upgrading", phase)
    assert "it said nothing more on its way to 2" in str(machine.shown("reason")[0])
    with machine.house.database.read() as session:
        assert boot(standing(session, find(session, "EDL1"))) is Boot.DISK
    machine.says("back", "2", "it did not come up")
    assert machine.shown("state", "reason") == ("active", "still 1, not 2: it did not come up")


def test_any_word_may_be_lost(machine: Racked) -> None:
    machine.says("", version="2")
    assert machine.shown("state", "version") == ("active", "2")
    machine.says("back", "3", "no space", version="2")
    assert machine.shown("state", "reason") == ("active", "still 2, not 3: no space")
    machine.says("check", "3", version="3")
    machine.says("stage", "4", version="3")
    assert machine.shown("state", "phase") == ("upgrading", "stage 4")
    machine.says("apply", "4", version="3")
    machine.says("failed", "4", "post: exit status 3", version="3")
    assert machine.shown("state", "phase", "reason") == (
        "failed",
        "apply",
        "4: post: exit status 3",
    )
    machine.says("apply", "4", version="3")
    assert machine.shown("state") == ("upgrading",)


def test_another_try_of_a_failed_upgrade_never_writes_the_disk_anew(machine: Racked) -> None:
    machine.says("boot", "2")
    machine.house.later(RULES.upgrade_minutes + 1)
    machine.house.order("retry", 1)
    assert machine.shown("state") == (State.ACTIVE,)
    with machine.house.database.read() as session:
        assert boot(standing(session, find(session, "EDL1"))) is Boot.DISK


def test_only_the_system_that_was_installed_speaks(machine: Racked) -> None:
    with machine.house.database.write() as session:
        operate.reinstall(session, "EDL1", now=machine.house.now)
    with pytest.raises(Refusal, match="not expected to run"):
        machine.says("stage", "2")
    assert machine.shown("state") == ("discovered",)
    machine.secret = "guessed"
    with pytest.raises(Unauthorised):
        machine.says("stage", "2")
