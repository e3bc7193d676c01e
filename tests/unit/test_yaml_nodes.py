"""YAML files: read as text with their places; what is odd ends at once, with file, line, column."""

from pathlib import Path

import pytest
import yaml

from edeploy.yaml_nodes import DEEPEST, NotYaml, list_of, mapping, pairs, parse_yaml, text

FILE = Path("a.yaml")


def node(source: str) -> yaml.Node:
    found = parse_yaml(source.encode(), FILE)
    assert found is not None
    return found


def test_values_stay_the_text_they_were() -> None:
    found = mapping(FILE, node("a: 1.10\nb: no\nc: '2'\n"), ("a", "b", "c"))
    assert {key: text(FILE, value) for key, value in found.items()} == {
        "a": "1.10", "b": "no", "c": "2"
    }  # fmt: skip


def test_an_alias_is_what_its_anchor_was() -> None:
    items = list_of(FILE, node("- &one {a: 1}\n- *one\n"))
    assert [text(FILE, pairs(FILE, item)[0][1]) for item in items] == ["1", "1"]


def test_an_empty_file_is_nothing() -> None:
    assert parse_yaml(b"# only a comment\n", FILE) is None


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("a: [1, 2\nb: 3", "2:2: did not find expected ',' or ']'"),
        ("- a\n- !!python/object:os.system x", "2:3: tags are not read here"),
        ("&a [*a]", "1:5: there is no anchor &a"),
        ("a: 1\n---\nb: 2", "2:1: a second document"),
        ("[" * 1_000_000, f"1:{DEEPEST + 2}: nested deeper than {DEEPEST}"),
        ("- " * 500_000, "nested deeper"),
        ("a: \x00", "1:1: not UTF-8 text, or with control characters"),
    ],
)
def test_what_is_not_read(source: str, told: str) -> None:
    with pytest.raises(NotYaml) as caught:
        parse_yaml(source.encode(), FILE)
    assert f"{FILE}:" in str(caught.value) and told in str(caught.value)


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(NotYaml, match="a.yaml:1:1: not UTF-8"):
        parse_yaml(b"\xff\xfe", FILE)
