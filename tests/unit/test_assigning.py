"""Operators give entries to machines and take them back; what runs is given up only with a yes."""

from pathlib import Path

import pytest
from house import House

from edeploy.errors import EdeployError
from edeploy.machines.installs import PhaseEvent
from edeploy.machines.refusal import NotFound, Refusal

WEB = "generate({'hostname': 'web1-4', 'ip': '10.0.0.1-4', 'gateway': '10.0.0.254'})"


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = House(tmp_path)
    made.profile("web", WEB)
    made.state(("web", "*"))
    return made


@pytest.mark.parametrize("word", ["web3", "10.0.0.3", "ip=10.0.0.3", "3"])
def test_an_assigned_entry_is_what_the_next_report_gets(house: House, word: str) -> None:
    late = house.report(1).token
    row = house.assign("web", word, 1)
    assert (row["name"], row["machine"], row["why"]) == ("web3 10.0.0.3", "EDL1", "assigned")
    with pytest.raises(Refusal, match="no longer good"):
        house.redeem(1, late)
    assert house.install(1)["ip"] == "10.0.0.3"
    assert house.holders("web")["web1 10.0.0.1"] is None
    house.order("reinstall", 1)
    assert house.install(1)["ip"] == "10.0.0.3"


def test_a_running_machine_keeps_its_entry_until_its_next_install(house: House) -> None:
    house.install(1)
    house.assign("web", "web3", 1)
    house.assign("web", "web4", 1)  # the last word counts
    held = {n: m for n, m in house.holders("web").items() if m}
    assert held == {"web1 10.0.0.1": "EDL1", "web4 10.0.0.4": "EDL1"}
    house.order("reinstall", 1)
    assert house.install(2)["ip"] == "10.0.0.2"
    assert house.install(1)["ip"] == "10.0.0.4"
    assert house.holders("web")["web1 10.0.0.1"] is None


def test_an_assignment_can_be_taken_back(house: House) -> None:
    house.install(1)
    house.assign("web", "web3", 1)
    assert house.assign("web", "web1", 1)["lease"] == "spent"
    assert house.holders("web")["web3 10.0.0.3"] is None
    house.assign("web", "web3", 1)
    freed = house.release("web3")  # it does not run with this one: no --yes
    assert freed["place"] is None
    house.order("reinstall", 1)
    assert house.install(1)["ip"] == "10.0.0.1"


def test_an_assigned_profile_is_tried_first(house: House) -> None:
    house.profile("db", "generate({'ip': '10.9.0.1-2'})")
    house.state(("db", "*"), ("web", "*"))
    house.report(1)
    house.assign("web", "web2", 1)
    answer = house.report(1)
    assert answer.why == "db matches, but it has web already\nweb: yes, CMDB entry web2 10.0.0.2"
    assert house.holders("db") == {"10.9.0.1": None, "10.9.0.2": None}


def test_an_assigned_entry_waits_while_its_profile_does_not_fit(house: House) -> None:
    house.profile("db", "generate({'ip': '10.9.0.1-2'})")
    house.state(("web", "*"), ("db", "*"))
    house.report(1)
    house.assign("web", "web2", 1)
    house.profile("web", WEB, "[('a', 'b', 'c', 'd')]")
    assert house.install(1)["ip"] == "10.9.0.1"
    assert house.holders("web")["web2 10.0.0.2"] == "EDL1"


def test_what_cannot_be_assigned(house: House) -> None:
    house.install(1)
    house.report(2)
    for profile, word, number, told in (
        ("web", "web1", 2, "web1 10.0.0.1 of web is held by EDL1"),
        ("web", "web9", 2, "web has no entry 'web9'"),
        ("web", "10.0.0.254", 2, "'10.0.0.254' means 4 entries: web1 10.0.0.1 of web, web2"),
        ("db", "web1", 2, "there is no profile 'db'"),
        ("web", "web3", 9, "no machine is called 'EDL9'"),
    ):
        with pytest.raises(EdeployError, match=told):
            house.assign(profile, word, number)
    moved = [{"hostname": f"web{n}", "ip": f"10.0.0.{n - 1}"} for n in (1, 2, 3)]
    house.profile("web", repr(moved))
    with pytest.raises(Refusal, match="has a value in it that is EDL1's, of web1 10.0.0.1"):
        house.assign("web", "web2", 2)


def test_release_of_a_running_machine_needs_a_yes(house: House) -> None:
    house.state(("web", 1))
    house.install(1)
    for word in ("EDL1", "web1", "10.0.0.1"):
        with pytest.raises(Refusal, match="EDL1 runs with it") as error:
            house.release(word)
        assert f"edeploy cmdb release {word}" in error.value.hint
    house.order("reinstall", 1)
    with pytest.raises(Refusal, match="may still run with it"):
        house.release("EDL1")
    freed = house.release("EDL1", sure=True)
    assert freed["machine"] == "EDL1" and freed["place"] == "web"
    assert [one["name"] for one in freed["entries"]] == ["web1 10.0.0.1"]  # type: ignore[attr-defined]
    assert house.install(2)["ip"] == "10.0.0.1"  # the place and the entry


def test_a_released_machine_goes_on_calling_home(house: House) -> None:
    house.install(1)
    house.release("EDL1", sure=True)
    house.call_home(1)
    shown = house.machine(1)
    assert (shown["state"], shown["lease"], shown["holds"]) == ("active", None, [])
    assert house.install(2)["ip"] == "10.0.0.1"
    house.order("reinstall", 1)
    assert house.install(1)["ip"] == "10.0.0.2"


def test_release_before_and_during_an_install(house: House) -> None:
    house.report(1)
    house.release("EDL1")
    assert house.machine(1)["state"] == "discovered"
    assert house.machine(1)["lease"] is None
    house.redeem(1, house.report(1).token)
    with pytest.raises(Refusal, match="EDL1 is installing with it"):
        house.release("EDL1", sure=True)
    house.phase(1, "fetch", PhaseEvent.FAIL)
    with pytest.raises(Refusal, match="EDL1 holds no entry and no place"):
        house.release("EDL1")


def test_a_failed_machine_lets_go_of_what_it_ran_with(house: House) -> None:
    house.install(1)
    house.order("reinstall", 1)
    house.redeem(1, house.report(1).token)
    house.phase(1, "fetch", PhaseEvent.FAIL)
    assert house.holders("web")["web1 10.0.0.1"] == "EDL1"
    house.release("web1")
    assert house.install(2)["ip"] == "10.0.0.1"


def test_words_that_release_nothing(house: House) -> None:
    house.report(1)
    with pytest.raises(Refusal, match="web3 10.0.0.3 of web is not held by anybody"):
        house.release("web3")
    with pytest.raises(NotFound, match="no machine and no held entry is called 'web7'"):
        house.release("web7")


def test_one_address_in_two_profiles(house: House) -> None:
    house.profile("www", WEB.replace("web1", "www1"))
    house.state(("web", 1), ("www", "*"))
    house.install(1)
    house.install(2)
    with pytest.raises(Refusal, match=r"means 2 entries: web1 10.0.0.1 of web, www1"):
        house.release("10.0.0.1", sure=True)
    assert house.release("10.0.0.1", profile="www", sure=True)["machine"] == "EDL2"
    house.release("1", profile="web", sure=True)
    assert set(house.holders("web").values()) == {None}


def test_a_hostname_that_is_anothers_entry(house: House) -> None:
    house.install(1)
    house.assign("web", "web2", 1)
    house.release("web1", sure=True)  # the machine, by its hostname: all that it has
    assert set(house.holders("web").values()) == {None}
    assert house.install(2)["hostname"] == "web1"
    with pytest.raises(Refusal, match="means more than one machine: EDL1, EDL2"):
        house.release("web1", sure=True)


def test_the_list_says_since_when_and_why(house: House) -> None:
    house.now = 5_000.0
    house.install(1)
    house.now = 6_000.0
    house.report(2)
    first, second, third, _ = house.entries("web")
    assert (first["machine"], first["since"], first["why"]) == ("EDL1", 5_000.0, "matched")
    assert (first["state"], first["lease"], first["lasting"]) == ("active", "spent", True)
    assert (second["state"], second["lease"], second["lasting"]) == ("reserved", "held", False)
    assert (third["status"], third["machine"], third["since"]) == ("free", None, None)
    assert [row["number"] for row in house.entries()] == [1, 2, 3, 4]
    assert house.machine(1)["holds"] == [
        {
            "profile": "web",
            "name": "web1 10.0.0.1",
            "entry": {"hostname": "web1", "ip": "10.0.0.1", "gateway": "10.0.0.254"},
            "since": 5_000.0,
            "why": "matched",
            "lasting": True,
            "origin": "match",
            "copy": 0,
        }
    ]
