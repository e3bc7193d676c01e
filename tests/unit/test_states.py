"""The map of states: which ways there are, and what a boot gives."""

import pytest

from edeploy.machines.states import (
    LEASED,
    WAYS,
    Boot,
    NotAllowed,
    Standing,
    State,
    Verb,
    after,
    boot,
    may_write,
)


@pytest.mark.parametrize(
    ("standing", "gives"),
    [
        (Standing(State.DISCOVERED), Boot.RAMDISK),
        (Standing(State.TESTING), Boot.RAMDISK),
        (Standing(State.RESERVED), Boot.RAMDISK),
        (Standing(State.INSTALLING), Boot.RAMDISK),
        (Standing(State.INSTALLING, finished=True), Boot.DISK),
        (Standing(State.ACTIVE), Boot.DISK),
        (Standing(State.UPGRADING), Boot.DISK),
        (Standing(State.REJECTED), Boot.HOLD),
        (Standing(State.FAILED, failed_from=State.INSTALLING), Boot.HOLD),
        (Standing(State.FAILED, finished=True, failed_from=State.INSTALLING), Boot.HOLD),
        (Standing(State.FAILED, failed_from=State.UPGRADING), Boot.DISK),
    ],
)
def test_boot_by_state(standing: Standing, gives: Boot) -> None:
    assert boot(standing) is gives


def test_disk_is_written_only_while_installing() -> None:
    for state in State:
        assert may_write(Standing(state)) is (state is State.INSTALLING)
        assert not may_write(Standing(state, finished=True))


def test_active_is_left_only_by_explicit_order() -> None:
    ways = {verb for state, verb in WAYS if state is State.ACTIVE}
    assert ways == {Verb.REINSTALL, Verb.UPGRADE, Verb.TEST}


def test_every_leased_state_can_be_ended_by_the_server() -> None:
    for state in LEASED:
        assert any((state, verb) in WAYS for verb in (Verb.FAIL, Verb.EXPIRE))


def test_every_state_is_reached_and_left() -> None:
    assert {target for target in WAYS.values()} == set(State)
    assert {state for state, _ in WAYS} == set(State)


def test_what_is_not_on_the_map_is_refused_with_what_is() -> None:
    with pytest.raises(NotAllowed) as error:
        after(State.ACTIVE, Verb.MATCH)
    assert "reinstall" in error.value.hint
