"""CMDB entries are known again when their file is edited."""

import pytest

from edeploy.machines.entries import Claim, Pool, label, means

A: dict[str, object] = {"hostname": "a", "ip": "10.0.0.1", "gw": "10.0.0.254"}
B: dict[str, object] = {"hostname": "b", "ip": "10.0.0.2", "gw": "10.0.0.254"}
C: dict[str, object] = {"hostname": "c", "ip": "10.0.0.3", "gw": "10.0.0.254"}


def test_names_differ_in_all_entries() -> None:
    assert Pool([A, B, C]).names == ("hostname", "ip")
    assert Pool([A, {**B, "ip": "10.0.0.1"}, C]).names == ("hostname",)
    assert Pool([{**A, "mac": "m"}, B, C]).names == ("hostname", "ip")
    assert Pool([{"n": 1}, {"n": "1"}]).names == ()


@pytest.mark.parametrize(
    ("file", "index"),
    [
        ([A, B, C], 1),
        ([C, {"hostname": "d", "ip": "10.0.0.4"}, A, B], 3),  # sorted anew, a line added
        ([{**A, "gw": "x"}, {**B, "gw": "x"}], 1),  # what all have was corrected
        ([A, {**B, "ip": "10.0.0.9"}, C], 1),  # one name was corrected
        ([A, {**B, "vlan": 7}, C], 1),  # a field was added
        ([A, C], None),
        ([], None),
    ],
)
def test_an_entry_is_known_again(file: list[dict[str, object]], index: int | None) -> None:
    pool = Pool(file)
    assert pool.own(Claim(B), ()) == index
    assert pool.taken([Claim(B)]) == ({} if index is None else {index: 0})


def test_nobody_else_gets_a_part_of_it() -> None:
    # The addresses moved by one: B's hostname and its address are of two entries now.
    moved = Pool([{**A, "ip": "10.0.0.2"}, {**B, "ip": "10.0.0.3"}, {**C, "ip": "10.0.0.4"}])
    assert moved.taken([Claim(B)]) == {0: 0, 1: 0}
    assert moved.own(Claim(A), moved.taken([Claim(B)])) is None
    assert moved.own(Claim(C), moved.taken([Claim(B)])) == 2


def test_equal_entries_are_counted() -> None:
    same: dict[str, object] = {"vlan": 7}
    pool = Pool([same, same, same])
    claims = [pool.claim(0), pool.claim(2)]
    assert [claim.copy for claim in claims] == [0, 2]
    assert pool.taken(claims) == {0: 0, 2: 1}
    assert pool.own(Claim(same), pool.taken(claims)) == 1
    assert len({claim.mark for claim in map(pool.claim, range(3))}) == 3
    fewer = Pool([same, same])
    assert fewer.taken(claims) == {0: 0, 1: 1}
    assert fewer.own(Claim(same, 2), fewer.taken(claims)) is None


def test_used_and_the_order_of_keys_are_nothing() -> None:
    assert Pool([{**A, "used": 1}, B]).claim(0) == Claim(A)
    assert Claim({"a": 1, "b": ("x",)}).mark == Claim({"b": ["x"], "a": 1}).mark


def test_labels() -> None:
    pool = Pool([{"gw": "10.0.0.254", "ip": "1", "n": {"a": 1}, "hostname": "a"}, B])
    assert pool.label(pool.entries[0]) == "a 1"
    assert label({"n": {"a": 1}}) == "without values"


def test_an_operators_word() -> None:
    assert means("10.0.0.1", A) and means("ip=10.0.0.1", A) and means("7", {"n": 7})
    assert not means("gw=10.0.0.1", A) and not means("10.0.0", A)
