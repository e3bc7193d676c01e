"""Leases: slot and entry together, the entry by identity for ever, and why there is none."""

import threading
from pathlib import Path

import pytest
from house import House, hardware, mac
from old_records import insert, records_at
from sqlalchemy import select

from edeploy.machines import conflicts, operate
from edeploy.machines.installs import PhaseEvent
from edeploy.machines.leases import candidates, choose_lease
from edeploy.machines.records import find
from edeploy.machines.refusal import NotFound
from edeploy.machines.schema import Holding, Lease

WEB = "generate({'hostname': 'web1-3', 'ip': '10.0.0.1-3', 'gateway': '10.0.0.254'})"
KEYED = (
    "[('system', 'product', 'serial', '$serial'), ('disk', '$disk', 'size', 'gt(1)'),"
    " ('rack', 'place', 'port', '$$port')]"
)


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = House(tmp_path)
    made.profile("web", WEB)
    made.state(("web", "*"))
    return made


def address(values: object) -> object:
    assert isinstance(values, dict)
    return values["ip"]


def test_a_report_that_comes_again_leases_nothing_again(house: House) -> None:
    for _ in range(3):
        house.report(1)
        house.start()
    assert house.holders("web") == {
        "web1 10.0.0.1": "EDL1",
        "web2 10.0.0.2": None,
        "web3 10.0.0.3": None,
    }
    with house.database.read() as session:
        assert len(session.scalars(select(Lease)).all()) == 1
        assert len(session.scalars(select(Holding)).all()) == 1


def test_a_transaction_that_breaks_leaves_neither_slot_nor_entry(house: House) -> None:
    said = hardware(1)
    house.profile("none", None, "[('a', 'b', 'c', 'd')]")
    house.state(("none", 1))
    house.report(1)  # the machine is known, and matches nothing
    house.state(("web", 1))
    with pytest.raises(ZeroDivisionError), house.database.write() as session:
        machine = find(session, "EDL1")
        choice = choose_lease(session, machine, candidates(house.profiles, said), now=house.now)
        assert choice.lease is not None and choice.lease.holding_id is not None
        raise ZeroDivisionError
    with house.database.read() as session:
        assert not session.scalars(select(Lease)).all()
        assert not session.scalars(select(Holding)).all()


def test_two_that_race_get_two_entries(house: House) -> None:
    answers: dict[int, str | None] = {}
    start = threading.Barrier(3)

    def machine(number: int) -> None:
        start.wait()
        answers[number] = house.report(number).token

    threads = [threading.Thread(target=machine, args=(number,)) for number in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    values = [address(house.redeem(number, token)) for number, token in answers.items()]
    assert sorted(map(str, values)) == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]


def test_a_reinstall_gives_the_same_entry_whatever_the_file_became(house: House) -> None:
    house.report(1)
    values = house.install(2)
    assert address(values) == "10.0.0.2"
    house.order("reinstall", 2)
    house.profile("web", "generate({'hostname': 'web9-0', 'ip': '10.0.0.9-0', 'gateway': 'new'})")
    values = house.install(2, disk="nvme0n1")
    assert (address(values), values["gateway"], values["disk"]) == ("10.0.0.2", "new", "nvme0n1")


def test_an_entry_that_was_removed_stays_with_its_machine(house: House) -> None:
    house.install(1)
    house.profile("web", "generate({'hostname': 'db1-2', 'ip': '10.0.7.1-2', 'gateway': 'x'})")
    house.order("reinstall", 1)
    answer = house.report(1)
    assert answer.why == "web: yes, CMDB entry web1 10.0.0.1 as it was: it is no longer in the file"
    assert address(house.redeem(1, answer.token)) == "10.0.0.1"
    [row] = [row for row in house.entries("web") if row["machine"]]
    assert (row["number"], row["name"], row["status"]) == (None, "web1 10.0.0.1", "held")


def test_an_address_that_moved_to_another_entry_is_given_to_nobody(house: House) -> None:
    house.install(1)
    moved = [{"hostname": f"web{n}", "ip": f"10.0.0.{n - 1}"} for n in (1, 2, 3)]
    house.profile("web", repr(moved))  # 10.0.0.1 is web2's now, and web1 has 10.0.0.0
    assert address(house.install(2)) == "10.0.0.2"
    why = house.report(3).why
    assert why == "web matches, but it has no CMDB entries left (3 of 3 held by EDL1, EDL2)"


def test_a_machine_that_never_ran_gives_its_entry_back_and_gets_it_again(house: House) -> None:
    house.report(1)
    house.redeem(2, house.report(2).token)
    house.phase(2, "verify", PhaseEvent.FAIL)
    house.later(11)
    assert set(house.holders("web").values()) == {None}
    house.order("retry", 2)
    assert address(house.redeem(2, house.report(2).token)) == "10.0.0.2"


def test_a_machine_that_ran_keeps_its_entry_also_when_its_reinstall_fails(house: House) -> None:
    house.state(("web", 1))
    house.install(1)
    house.order("reinstall", 1)
    house.redeem(1, house.report(1).token)
    house.phase(1, "fetch", PhaseEvent.FAIL)
    assert address(house.install(2)) == "10.0.0.2"  # the slot is free, the entry is not
    house.order("retry", 1)
    assert house.report(1).why == "web matches, but its quota of 1 is spent: EDL2"
    house.state(("web", 2))
    assert address(house.redeem(1, house.report(1).token)) == "10.0.0.1"


def test_the_next_profile_is_tried_and_the_operator_told(house: House) -> None:
    house.profile("spare", None)
    house.state(("web", 2), ("spare", 1))
    for number in (1, 2):
        house.report(number)
    for _ in range(3):
        answer = house.report(3)
    line = "web matches, but its quota of 2 is spent: EDL1, EDL2"
    assert answer.why == f"{line}\nspare: yes"
    assert house.events(3, "exhausted") == [line]
    shown = house.machine(3)
    assert (shown["profile"], shown["exhausted"], shown["reason"]) == ("spare", [line], None)


def test_nothing_left_is_the_reason_and_no_mismatch(house: House) -> None:
    house.profile("web", "generate({'hostname': 'web1-2', 'ip': '10.0.0.1-2'})")
    for number in (1, 2):
        house.report(number)
    for _ in range(3):
        answer = house.report(3)
    line = "web matches, but it has no CMDB entries left (2 of 2 held by EDL1, EDL2)"
    assert (answer.do, answer.why) == ("wait", line)
    shown = house.machine(3)
    assert (shown["state"], shown["reason"], shown["exhausted"]) == ("discovered", line, [line])
    assert (house.events(3, "exhausted"), house.events(3, "no-match")) == ([line], [])
    house.later(11)
    assert house.report(3).do == "install"
    assert house.machine(3)["reason"] is None


@pytest.mark.parametrize(
    ("cmdb", "quota", "line"),
    [
        (None, 0, "web matches, but its quota is 0"),
        ("[{'ip': '1', 'used': 1}]", "*", "it has no CMDB entries left (1 of 1 1 marked `used` in"),
        (
            "[{'ip': '1', 'used': 1}, {'ip': '2'}]",
            "*",
            "it has no CMDB entries left (2 of 2 held by EDL1, 1 marked `used` in its file)",
        ),
    ],
)
def test_other_reasons(house: House, cmdb: str | None, quota: object, line: str) -> None:
    (house.folder / "web.cmdb").unlink()
    house.profile("web", cmdb)
    house.state(("web", quota))
    house.report(1)
    assert line in house.report(2).why


def test_many_holders_are_counted(house: House) -> None:
    house.profile("web", "generate({'ip': '10.0.0.1-7'})")
    for number in range(1, 8):
        house.report(number)
    assert "(7 of 7 held by EDL1, EDL2, EDL3, EDL4, EDL5 and 2 more)" in house.report(8).why


def test_keys(house: House) -> None:
    house.profile("web", "[{'port': 'p1', 'ip': '1'}, {'port': 'p2', 'ip': '2'}]", KEYED)
    assert address(house.redeem(1, house.report(1, port="p2").token)) == "2"
    assert house.report(2, port="p2").why == (
        "web matches, but its CMDB entry with port=p2 is held by EDL1"
    )
    assert house.report(3, port="p9").why == "web matches, but it has no CMDB entry with port=p9"


def test_an_empty_cmdb_is_none(house: House) -> None:
    house.profile("web", "[]")
    assert house.report(1).why == "web: yes"
    with pytest.raises(NotFound, match="there is no profile 'db'"):
        house.entries("db")
    assert house.entries("web") == []


def test_a_profile_with_a_new_name_knows_who_has_its_entries(house: House) -> None:
    house.install(1)
    house.install(2)
    house.profile("www", WEB)
    house.state(("www", "*"))
    assert house.holders("www")["web1 10.0.0.1"] == "EDL1"
    assert address(house.redeem(3, house.report(3).token)) == "10.0.0.3"
    house.order("reinstall", 2)
    assert address(house.install(2)) == "10.0.0.2"
    rows = [row for row in house.entries() if row["machine"] == "EDL2"]
    assert [(row["profile"], row["status"]) for row in rows] == [("www", "held")]


def test_another_profile_ends_what_was_held_of_the_first(house: House) -> None:
    house.install(1)
    house.order("reinstall", 1)
    house.profile("db", "generate({'ip': '10.9.0.1-2'})")
    house.state(("db", 1), ("web", 1))
    assert address(house.install(1)) == "10.9.0.1"
    assert set(house.holders("web").values()) == {None}


def test_a_profile_with_an_error_costs_nobody_the_address(house: House) -> None:
    house.install(1)
    house.profile("spare", None)
    house.state(("web", "*"), ("spare", "*"))
    house.order("reinstall", 1)
    good = (house.folder / "web.cmdb").read_text()
    (house.folder / "web.cmdb").write_text("[{'ip': ]")
    assert house.report(1).why == "spare: yes"
    (house.folder / "web.cmdb").write_text(good)
    assert address(house.install(2)) == "10.0.0.2"
    house.later(11)  # nobody redeemed the lease of spare
    assert address(house.install(1)) == "10.0.0.1"


def test_files_are_never_written(house: House) -> None:
    before = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in house.folder.glob("web.*")}
    house.install(1)
    house.assign("web", "web3", 1)
    house.release("EDL1", sure=True)
    house.take_over("web", [{"hostname": "web2", "mac": mac(7), "used": 1}])
    after = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in house.folder.glob("web.*")}
    assert after == before


def test_leases_of_before_keep_their_entries(tmp_path: Path) -> None:
    """Records of revision 0003, when leases told their entries and were all that did."""
    texts = [
        f'{{"hostname": "web{n}", "ip": "10.0.0.{n}", "gateway": "10.0.0.254"}}' for n in "123"
    ]
    with records_at(tmp_path / "db", "0003") as connection:
        for n, state in ((1, "active"), (2, "reserved"), (3, "discovered")):
            insert(connection, "machines", id=n, name=f"old{n}", state=state)
            insert(connection, "identities", machine_id=n, kind="serial", value=f"edl{n}")
            insert(connection, "identities", machine_id=n, kind="mac", value=mac(n))
        for n, state in ((3, "returned"), (1, "spent"), (2, "held")):
            text = texts[n - 1].replace("}", ', "used": 1}')
            insert(
                connection, "leases", machine_id=n, profile="web", state=state, entry_text=text,
                vars="{}", settings="{}", ended=5.0 if state == "returned" else None,
            )  # fmt: skip
    house = House(tmp_path)
    house.profile("web", WEB)
    house.state(("web", "*"))
    assert list(house.holders("web").values()) == ["old1", "old2", None]
    with house.database.write() as session:
        operate.reinstall(session, "old1", now=house.now)
    assert address(house.redeem(4, house.report(4).token)) == "10.0.0.3"
    assert address(house.redeem(1, house.report(1).token)) == "10.0.0.1"
    assert address(house.redeem(2, house.report(2).token)) == "10.0.0.2"


@pytest.mark.parametrize("ran", [True, False])
def test_two_records_of_one_machine_hold_one_entry(house: House, ran: bool) -> None:
    """Its own of before, or, when it has none, what an operator gave the other record."""
    if ran:
        house.install(1)
    else:
        house.state(("web", 0))
        house.report(1)
    house.state(("web", 0))
    house.report(2)
    house.assign("web", "web3", 2)
    with house.database.write() as session:
        conflicts.same(session, "EDL2", "EDL1", now=house.now)
    named = "web1 10.0.0.1" if ran else "web3 10.0.0.3"
    assert [name for name, machine in house.holders("web").items() if machine] == [named]
