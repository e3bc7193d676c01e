"""CMDB files, and which entry a machine gets."""

from pathlib import Path

import pytest

from edeploy.match.cmdb import (
    NoEntry,
    choose,
    read_cmdb,
    read_cmdb_literal,
    uneven_ranges,
)
from edeploy.match.problems import BadFile

ENTRIES: list[dict[str, object]] = [
    {"ip": "1"},
    {"ip": "2"},
    {"ip": "3", "mac": "m"},
    {"ip": "4", "used": 1},
]


@pytest.mark.parametrize(
    ("variables", "keys", "taken", "owned", "index"),
    [
        ({}, {}, (), None, 0),
        ({}, {}, {0}, None, 1),
        ({"mac": "m"}, {}, (), None, 2),
        ({"mac": "m"}, {}, {2}, None, 0),
        ({"mac": "x"}, {}, {0}, None, 1),
        ({"mac": "m"}, {}, {1}, 1, 1),
        ({"ip": "4"}, {"ip": "4"}, (), None, 3),
        ({"ip": "2"}, {"ip": "2"}, (), 0, 0),
    ],
)
def test_the_chosen_entry(
    variables: dict[str, str],
    keys: dict[str, str],
    taken: set[int],
    owned: int | None,
    index: int,
) -> None:
    chosen, entry = choose(ENTRIES, variables, keys, taken=taken, owned=owned)
    assert chosen == index
    assert entry == {**ENTRIES[index], **variables, "used": 1}


def test_numbers_in_an_entry_compare_with_text() -> None:
    assert choose([{"slot": 1}, {"slot": 2}], {}, {"slot": "2"}, taken=(), owned=None)[0] == 1


@pytest.mark.parametrize(
    ("keys", "taken", "told"),
    [
        ({"ip": "9"}, (), "no entry matches ip=9"),
        ({"ip": "2"}, {1}, "another machine holds the one with ip=2"),
        ({}, {0, 1, 2}, "no entry is free: all 4 are used"),
    ],
)
def test_no_entry(keys: dict[str, str], taken: set[int], told: str) -> None:
    with pytest.raises(NoEntry, match=told):
        choose(ENTRIES, keys, keys, taken=taken, owned=None)


def test_both_forms_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.cmdb"
    path.write_text("# web servers\ngenerate({'ip': '10.0.0.1-2'})\n")
    assert read_cmdb(path) == ({"ip": "10.0.0.1"}, {"ip": "10.0.0.2"})
    path.write_text("[{'ip': '10.0.0.1-2'}, {'ip': 5}]")
    assert read_cmdb(path) == ({"ip": "10.0.0.1-2"}, {"ip": 5})


YAML = """\
# racks
- hostname: web1
  mac: 52:54:00:12:34:56
  slot: 5
  version: 1.10
  shelf: 012
  spare: no
  ready: true
  net: {gw: 10.0.0.254, dns: [10.0.0.2]}
- {hostname: 'web2', slot: '5', mac: }
"""


def test_yaml_lists_are_literal(tmp_path: Path) -> None:
    path = tmp_path / "a.cmdb"
    path.write_text(YAML)
    first: dict[str, object] = {
        "hostname": "web1",
        "mac": "52:54:00:12:34:56",
        "slot": 5,
        "version": "1.10",
        "shelf": "012",
        "spare": "no",
        "ready": True,
        "net": {"gw": "10.0.0.254", "dns": ["10.0.0.2"]},
    }
    assert read_cmdb(path) == (first, {"hostname": "web2", "slot": "5", "mac": None})


def test_generate_in_yaml(tmp_path: Path) -> None:
    path = tmp_path / "a.cmdb"
    path.write_text("---\ngenerate:\n  ip: 10.0.0.1-2\n  net: {vlan: 7-8}\n  gw: 10.0.0.254\n")
    assert read_cmdb(path) == (
        {"ip": "10.0.0.1", "net": {"vlan": "7"}, "gw": "10.0.0.254"},
        {"ip": "10.0.0.2", "net": {"vlan": "8"}, "gw": "10.0.0.254"},
    )


def test_ranges_of_different_lengths_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.cmdb"
    path.write_text("generate({'ip': '10.0.0.1-3', 'name': 'web1-2'})")
    [told] = uneven_ranges(read_cmdb_literal(path))
    assert str(told) == f"{path}:1:10: ranges of different lengths (ip 3, name 2): only 2 entries"
    path.write_text("- {ip: 1-3, name: web1-2}")
    assert uneven_ranges(read_cmdb_literal(path)) == []


LAUGHS = "".join(f"- &a{n} {{l: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 40))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- {a: 1}\n- 3", "2:3: a int where a dict belongs"),
        ("- a: 1\n  a: 2", "2:3: the key 'a' is there twice"),
        ("- {a: 1}\n- [b", "3:1: did not find expected"),
        ("- a: 1\n  ? [b]\n  : 2", "2:5: a key must be text"),
        ("- &d {a: 1}\n- {<<: *d}", "2:4: `<<` is not read here"),
        ("- a: !!python/name:os.system x", "1:6: tags are not read here"),
        ("---\na: 1\nb: 2", "2:1: neither generate"),
        ("---\n", "2:1: neither generate"),
        ("generate:\n- a", "2:1: generate() takes a dict, not a list"),
        ("- &a0 {x: 1}\n" + LAUGHS, "aliases repeat more than"),
        ("- " * 1000, "nested deeper than 50"),
    ],
)
def test_bad_yaml(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "a.cmdb"
    path.write_text(text)
    with pytest.raises(BadFile) as caught:
        read_cmdb(path)
    assert str(caught.value).startswith(f"{path}:") and told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("generate({'ip': '1-2'}, 3)", "1:1: generate(…) takes one argument"),
        ("generate(['a'])", "1:10: generate() takes a dict, not a list"),
        ("produce({'a': 1})", "1:1: neither generate"),
        ("[{'a': 1}, 3]", "1:12: a int where a dict belongs"),
        ("[{1: 1}]", "1:3: the key 1 must be text"),
        ("generate({'a': open('x')})", "1:16: only values are allowed here"),
    ],
)
def test_a_bad_file(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "a.cmdb"
    path.write_text(text)
    with pytest.raises(BadFile) as caught:
        read_cmdb(path)
    assert f"{path}:{told}" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[{'a': {1: 2}}]", "a.cmdb:1:9: the key 1 must be text"),
        ("generate({'a': [{None: 2}]})", "a.cmdb:1:18: the key None must be text"),
        (repr([{f"k{n}": 1} for n in range(501)]), "501 different keys are more than 500"),
        (repr([{f"k{n}": 1 for n in range(501)}]), "501 different keys are more than 500"),
        ("generate({'a': '1-90000', 'b': {'c': 1, 'd': 2}})", "90000 entries with 3 keys are more"),
        (" " * (1 << 19) + "[]", "a.cmdb:1:1: larger than 524288 bytes"),
    ],
)
def test_limits(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "a.cmdb"
    path.write_text(text)
    with pytest.raises(BadFile) as caught:
        read_cmdb(path)
    assert told in str(caught.value)
