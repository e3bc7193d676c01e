"""The solver: what it finds, which of several it takes, and the reason when there is none."""

from itertools import combinations

import pytest

from edeploy.inventory.items import Item, Report
from edeploy.match.language import parse_specs
from edeploy.match.solver import Match, Mismatch, match

Row = tuple[str, str, str, str]

NICS = [
    row
    for i in range(64)
    for row in (
        ("network", f"eth{i}", "link", "yes"),
        ("network", f"eth{i}", "speed", "10"),
        ("network", f"eth{i}", "serial", f"02:00:00:00:00:{i:02x}"),
    )
]
DISKS = [("disk", f"sd{i}", "size", "8") for i in range(60)]


def answer(specs: list[Row], rows: list[Row]) -> Match | Mismatch:
    return match(parse_specs(specs), Report(tuple(Item(*row) for row in rows)))


def found(specs: list[Row], rows: list[Row]) -> Match:
    result = answer(specs, rows)
    assert isinstance(result, Match), result
    return result


def reason(specs: list[Row], rows: list[Row]) -> str:
    result = answer(specs, rows)
    assert isinstance(result, Mismatch), result
    return result.reason


def test_variables_keys_and_lines() -> None:
    result = found([("disk", "$$d", "size", "$s=gt(4)")], [("disk", "sda", "size", "8")])
    assert (result.vars, result.keys) == ({"d": "sda", "s": "8"}, {"d": "sda"})
    assert result.items == (Item("disk", "sda", "size", "8"),)


def test_a_variable_twice_in_a_rule_is_one_value() -> None:
    rows: list[Row] = [("lldp", "eth0", "peer", "eth1"), ("lldp", "eth2", "peer", "eth2")]
    assert found([("lldp", "$e", "peer", "$e")], rows).vars == {"e": "eth2"}
    assert "one text wherever it stands" in reason([("lldp", "$e", "peer", "$e")], rows[:1])


def test_the_earliest_lines_in_the_order_of_the_rules() -> None:
    rows: list[Row] = [("disk", f"sd{x}", k, "1") for k in ("size", "type") for x in "cab"]
    result = found([("disk", "$x", "type", "1"), ("disk", "$y", "size", "1")], rows)
    assert result.vars == {"x": "sdc", "y": "sdc"}


def test_an_early_choice_gives_way() -> None:
    rows: list[Row] = [
        *(("network", f"eth{i}", "link", "yes") for i in range(3)),
        ("network", "eth0", "ipv4", "10.0.0.1"),
        ("network", "eth2", "ipv4", "10.1.0.1"),
    ]
    specs: list[Row] = [
        ("network", "$a", "link", "yes"),
        ("network", "$b", "link", "yes"),
        ("network", "$c", "link", "yes"),
        ("network", "$b", "ipv4", "network(10.0.0.0/16)"),
        ("network", "$a", "ipv4", "network(10.1.0.0/16)"),
    ]
    assert found(specs, rows).vars == {"a": "eth2", "b": "eth0", "c": "eth1"}


def pattern(i: int) -> list[Row]:
    return [
        ("network", f"$e{i}", "link", "yes"),
        ("network", f"$e{i}", "speed", "gt(1)"),
        ("network", f"$e{i}", "serial", f"$mac{i}"),
    ]


def test_64_identical_cards_for_64_patterns() -> None:
    result = found([row for i in range(64) for row in pattern(63 - i)], NICS)
    assert result.vars["e63"] == "eth0"
    assert result.vars["mac0"] == "02:00:00:00:00:3f"


def test_64_cards_of_which_three_share_an_address() -> None:
    rows = NICS + [("network", f"eth{i}", "serial", "x") for i in range(64)]
    same = [("network", f"$e{i}", "serial", "$mac9") for i in (3, 4)]
    result = found([row for i in range(64) for row in pattern(i)] + same, rows)
    assert [result.vars[f"e{i}"] for i in range(64)] == [f"eth{i}" for i in range(64)]
    assert (result.vars["mac8"], result.vars["mac9"]) == ("02:00:00:00:00:08", "x")


def test_one_address_for_two_cards_when_all_differ() -> None:
    specs = [row for i in range(64) for row in pattern(i)]
    specs[5] = ("network", "$e1", "serial", "$mac0")
    told = reason(specs, NICS)
    assert "2 rules contradict each other" in told
    assert "('network', '$e1', 'serial', '$mac0')" in told


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ([("network", "$e63", "ipv4", "$ip")], "no line of type network has the key ipv4"),
        ([("network", "$e32", "serial", "$more")], "rules need a line each"),
        (pattern(64), "65 rules need a line each, and 64 fit"),
    ],
)
def test_64_identical_cards_and_one_rule_too_many(extra: list[Row], told: str) -> None:
    assert told in reason([row for i in range(64) for row in pattern(i)] + extra, NICS)


def test_a_pair_of_rules_in_300_that_contradict() -> None:
    rows = NICS + [("network", f"eth{i}", f"kind{i % 3}", "1") for i in range(64)]
    rows += [("network", f"eth{i}", "slot", "1") for i in range(64)]
    specs = [row for i in range(60) for row in pattern(i)]
    specs += [("network", f"$e{i}", f"kind{i % 3}", "1") for i in range(60)]
    specs += [("network", "$e32", "slot", "1"), ("network", "$e32", "slot", "$slot")]
    told = reason(specs, rows)
    assert "rule 241" in told
    assert "rule 242" in told
    assert "rule 1 " not in told


def test_60_identical_disks_of_which_59_will_do() -> None:
    rows = DISKS + [("disk", f"sd{i}", "type", "ssd") for i in range(59)]
    specs = [("disk", f"$d{i}", "size", "8") for i in range(60)]
    specs += [("disk", f"$d{i}", "type", "ssd") for i in range(60)]
    assert "60 rules need a line each, and 59 fit" in reason(specs, rows)


def test_each_pair_of_patterns_excludes_one_another() -> None:
    """Eight patterns, any two of which need one line of a device, and seven devices."""
    pairs = list(combinations(range(8), 2))
    rows: list[Row] = [("disk", f"sd{d}", f"k{a}-{b}", "1") for d in range(7) for a, b in pairs]
    specs: list[Row] = [
        ("disk", f"$v{x}", f"k{a}-{b}", "1") for x in range(8) for a, b in pairs if x in (a, b)
    ]
    assert "8 sets of rules need lines of their own, and not all can have them" in reason(
        specs, rows
    )


def test_a_switch_with_too_few_cards() -> None:
    rows: list[Row] = [("network", f"eth{i}", "switch", f"s{i % 2}") for i in range(64)]
    specs: list[Row] = [("network", f"$e{i}", "switch", "$s") for i in range(32)]
    assert found(specs, rows).vars["e31"] == "eth62"
    assert isinstance(answer([*specs, ("network", "$e", "switch", "$s")], rows), Mismatch)


def test_an_odd_ring_in_a_network_of_two_sides() -> None:
    sides = [(f"a{i}", f"b{j}") for i in range(8) for j in range(8)]
    rows: list[Row] = [("l", a, "peer", b) for x, y in sides for a, b in ((x, y), (y, x))]
    ring = [("l", f"$x{i}", "peer", f"$x{(i + 1) % 5}") for i in range(5)]
    assert isinstance(answer(ring, rows), Mismatch)
    even = [("l", f"$x{i}", "peer", f"$x{(i + 1) % 4}") for i in range(4)]
    assert found(even, rows).vars["x0"] == "a0"


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (("disk", "$d", "size", "gt(300)"), "disk sda size 278 is not > 300; disk sdb size 150"),
        (
            ("disk", "sdc", "size", "$s"),
            "no line of type disk and key size has the id sdc (there is sda",
        ),
        (("disk", "$d", "slot", "$s"), "no line of type disk has the key slot (there is size)"),
        (("nvme", "$d", "size", "$s"), "no line has the type nvme (there is disk)"),
        (
            ("disk", "$d", "size", "and(gt(1), lt(9))"),
            "disk sda size 278 is not < 9; disk sdb size 150 is not < 9",
        ),
    ],
)
def test_the_reason_names_the_rule_and_what_comes_nearest(rule: Row, told: str) -> None:
    rows: list[Row] = [("disk", "sda", "size", "278"), ("disk", "sdb", "size", "150")]
    text = reason([("disk", "$x", "size", "$y"), rule], rows)
    assert text.startswith("rule 2 ('")
    assert told in text


def test_an_empty_report_and_empty_specs() -> None:
    assert "there is nothing" in reason([("disk", "$d", "size", "8")], [])
    assert found([], []).vars == {}
