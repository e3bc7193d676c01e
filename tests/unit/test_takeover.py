"""The used entries of an old installation's files go to the machines that they name."""

from pathlib import Path

import pytest
from house import House, mac

from edeploy.machines.refusal import Refusal
from edeploy.machines.schema import JsonObject

WEB = "generate({'hostname': 'web1-4', 'ip': '10.0.0.1-4', 'gateway': '10.0.0.254'})"
KEYED = "[('system', 'product', 'serial', '$serial'), ('rack', 'place', 'port', '$$port')]"


def old(number: int, **hardware: object) -> dict[str, object]:
    """An entry as the old server wrote it back: with the variables of its machine."""
    own = {"hostname": f"web{number}", "ip": f"10.0.0.{number}", "gateway": "10.0.0.254"}
    return {**own, **hardware, "used": 1}


def told(answer: JsonObject, what: str) -> list[JsonObject]:
    """The entries that were taken or refused."""
    found = answer[what]
    assert isinstance(found, list)
    return found


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = House(tmp_path)
    made.profile("web", WEB)
    made.state(("web", "*"))
    return made


@pytest.mark.parametrize(
    ("said", "by"),
    [
        ({"mac": mac(7).upper(), "disk": "sda"}, f"mac={mac(7).upper()}"),
        ({"eth": mac(7), "disk": "sdz"}, f"eth={mac(7)}"),
        ({"serial": "EDL7"}, "serial=EDL7"),
    ],
)
def test_the_machine_that_an_entry_names_gets_it(
    house: House, said: dict[str, object], by: str
) -> None:
    free: dict[str, object] = {"hostname": "web2", "ip": "10.0.0.2", "gateway": "10.0.0.254"}
    answer = house.take_over("web", [old(1, **said), free])
    [taken] = told(answer, "taken")
    assert (taken["name"], taken["why"]) == ("web1 10.0.0.1", f"kept for the machine with {by}")
    assert answer["refused"] == []
    assert house.install(3)["ip"] == "10.0.0.2"  # web1 is not for others
    [row] = [row for row in house.entries("web") if row["status"] == "waiting"]
    assert (row["name"], row["why"]) == ("web1 10.0.0.1", "used in /old/a.cmdb")
    assert house.install(7)["ip"] == "10.0.0.1"
    assert "known by its entry of web, web1 10.0.0.1" in house.events(7, "recognised")[0]
    house.order("reinstall", 7)
    assert house.install(7)["ip"] == "10.0.0.1"


def test_the_entry_of_a_key_goes_to_who_has_the_key(house: House) -> None:
    house.profile("web", "[{'port': 'p1', 'ip': '1'}, {'port': 'p2', 'ip': '2'}]", KEYED)
    answer = house.take_over("web", [{"port": "p2", "ip": "2", "disk": "sda", "used": 1}])
    [taken] = told(answer, "taken")
    assert taken["why"] == "kept for the machine with port=p2"
    assert house.redeem(1, house.report(1, port="p2").token)["ip"] == "2"
    assert house.machine(1)["holds"][0]["why"] == "used in /old/a.cmdb"  # type: ignore[index]


def test_a_leaked_second_entry_stays_waiting(house: House) -> None:
    # The old server gave a machine a second entry when its disk had another name.
    house.take_over("web", [old(1, mac=mac(7), disk="sda"), old(2, mac=mac(7), disk="sdb")])
    assert house.install(7, disk="sdb")["ip"] == "10.0.0.2"
    [row] = [row for row in house.entries("web") if row["status"] == "waiting"]
    with pytest.raises(Refusal, match="which has not reported yet"):
        house.release("web1")
    house.release("web1", sure=True)
    assert house.install(1)["ip"] == "10.0.0.1"
    assert row["machine"] is None


def test_what_names_no_machine_is_kept_and_assigned_by_hand(house: House) -> None:
    answer = house.take_over("web", [old(1, disk="sda")])
    [taken] = told(answer, "taken")
    assert "nothing in it tells its machine" in str(taken["why"])
    assert house.report(1).why == "web: yes, CMDB entry web2 10.0.0.2"
    house.assign("web", "web1", 1)
    assert house.install(1)["ip"] == "10.0.0.1"


def test_waiting_machines_are_named_as_holders(house: House) -> None:
    house.take_over("web", [old(n, mac=mac(40 + n)) for n in (1, 2, 3)])
    house.report(1)
    assert house.report(2).why == (
        "web matches, but it has no CMDB entries left"
        " (4 of 4 held by a machine of the old installation, EDL1)"
    )


def test_the_same_file_again_changes_nothing(house: House) -> None:
    entries = [old(1, mac=mac(7)), old(9, mac=mac(8))]  # web9 is not in the file of now
    assert len(told(house.take_over("web", entries), "taken")) == 2
    again = house.take_over("web", entries)
    assert again["taken"] == []
    assert {one["name"]: one["why"] for one in told(again, "refused")} == {
        "web1 10.0.0.1": "is held by a machine of the old installation already",
        "web9 10.0.0.9": "is held by a machine of the old installation already",
    }
    assert house.install(8)["ip"] == "10.0.0.9"


def test_what_others_hold_is_not_taken(house: House) -> None:
    house.install(1)
    answer = house.take_over("web", [old(1, mac=mac(7))])
    [refused] = told(answer, "refused")
    assert refused["why"] == "is held by EDL1 already"
    [refused] = told(house.take_over("db", [old(2)]), "refused")
    assert refused["why"] == "there is no such profile, or it has an error"


def test_a_machine_that_runs_here_keeps_what_it_runs_with(house: House) -> None:
    house.install(1)
    house.take_over("web", [old(3, mac=mac(1))])
    house.order("reinstall", 1)
    assert house.install(1)["ip"] == "10.0.0.1"


def test_the_old_files_may_be_the_files_of_now(house: House) -> None:
    free: dict[str, object] = {"hostname": "web3", "ip": "10.0.0.3"}
    entries = [old(1, mac=mac(7)), old(2, mac=mac(8)), free]
    house.profile("web", repr(entries))
    assert house.report(1).why == "web: yes, CMDB entry web3 10.0.0.3"
    house.take_over("web", entries)
    assert house.install(8)["ip"] == "10.0.0.2"
    house.profile("web", WEB)  # the original, from git
    assert house.install(7)["ip"] == "10.0.0.1"
