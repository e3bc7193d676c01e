"""Ranges in CMDB models."""

import pytest

from edeploy.match.generate import BadModel, expand, lengths


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("web1-3", ["web1", "web2", "web3"]),
        ("web08-10.lab", ["web08.lab", "web09.lab", "web10.lab"]),
        ("3-1", ["3", "2", "1"]),
        ("10.0.0-1.8-9", ["10.0.0.8", "10.0.0.9", "10.0.1.8", "10.0.1.9"]),
        ("1-2:7:9-8", ["1", "2", "7", "9", "8"]),
        ("10.0.0.1:5-6", ["10.0.0.1", "10.0.0.5", "10.0.0.6"]),
        ("a1-2b3-4", ["a1b3-4", "a2b3-4"]),
        ("fd00::a:1-2", ["fd00::a:1", "fd00::a:2"]),
        ("rack-1-2", ["rack-1", "rack-2"]),
    ],
)
def test_a_range(text: str, expanded: list[str]) -> None:
    assert [entry["h"] for entry in expand({"h": text})] == expanded


def test_what_repeats_and_what_ends_it() -> None:
    model = {"ip": "10.0.0.1-9", "name": ["a", "b"], "n": 1, "t": ("x", "1-2"), "gw": "10.0.0.254"}
    assert expand(model) == [
        {"ip": "10.0.0.1", "name": "a", "n": 1, "t": ("x", "1-2"), "gw": "10.0.0.254"},
        {"ip": "10.0.0.2", "name": "b", "n": 1, "t": ("x", "1-2"), "gw": "10.0.0.254"},
    ]
    assert lengths(model) == {"ip": 9, "name": 2}


def test_a_dict_in_a_model_is_expanded_too() -> None:
    model = {"name": "h1-2", "net": {"ip": "10.0.0.1-3", "gw": "10.0.0.254"}}
    assert expand(model)[1] == {"name": "h2", "net": {"ip": "10.0.0.2", "gw": "10.0.0.254"}}
    assert lengths(model) == {"name": 2, "net.ip": 3}


def test_an_astronomical_range_costs_nothing_when_another_ends() -> None:
    assert len(expand({"a": "h1-999999999999999999", "b": "x1-3"})) == 3
    assert len(expand({"a": "0-999999999999.0-999999999999.0-9.1-4", "b": ["x"]})) == 1


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ([1], "takes a dict, not a list"),
        ({1: "a"}, "the key 1 must be text"),
        ({"a": {1: "a"}}, "the key 1 must be text"),
        ({"h": "h1-999999999"}, "gives 999999999 entries, more than"),
    ],
)
def test_a_bad_model(model: object, told: str) -> None:
    with pytest.raises(BadModel, match=told):
        expand(model)
