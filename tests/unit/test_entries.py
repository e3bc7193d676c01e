"""CMDB entries stay with their machines when the file is edited."""

from edeploy.machines.entries import Claim, owned, taken, text_of

A, B, C = {"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}, {"ip": "10.0.0.3"}


def test_same_file() -> None:
    assert taken([A, B, C], [Claim(1, text_of(B))]) == {1}


def test_a_line_above_moves_the_claim() -> None:
    assert taken([C, A, B], [Claim(0, text_of(A)), Claim(1, text_of(B))]) == {1, 2}


def test_a_corrected_entry_stays_taken() -> None:
    assert taken([{"ip": "10.0.0.9"}, B], [Claim(0, text_of(A))]) == {0}


def test_equal_entries_are_told_by_index() -> None:
    assert taken([A, A, A], [Claim(2, text_of(A))]) == {2}
    assert taken([A, A], [Claim(0, text_of(A)), Claim(0, text_of(A))]) == {0, 1}


def test_order_of_keys_is_nothing() -> None:
    assert text_of({"a": 1, "b": 2}) == text_of({"b": 2, "a": 1})


def test_entry_that_is_gone() -> None:
    assert taken([A], [Claim(3, text_of(C))]) == set()
    assert owned([A], Claim(3, text_of(C))) is None
    assert owned([B, A], Claim(0, text_of(A))) == 1
    assert owned([A], None) is None
