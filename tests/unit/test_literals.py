"""Literals: data only, and the place of what is wrong."""

from pathlib import Path

import pytest

from edeploy.match.literals import MAX_FILE_BYTES, MOST_MARKS, parse_literal, read_literal
from edeploy.match.problems import BadFile

HERE = Path("file")


def test_all_kinds_of_values() -> None:
    text = b"# comment\n[('a', 1, -2.5, True, None), {'k': [], 2: ()}]\n"
    assert parse_literal(text, HERE).value == [("a", 1, -2.5, True, None), {"k": [], 2: ()}]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[\n ('a', 'b')\n ('c', 'd'),\n]", "file:2:12: a comma is missing here"),
        ("[['a'] ['b']]", "file:1:7: a comma is missing here"),
        ("[('a')(1)(2)]", "file:1:6: a comma is missing here"),
        ("[{'a': 1 'b': 2}]", "file:1:9: a comma is missing here"),
        ("[{'a': 'é'\n\n  'b': 2}]", "file:1:11: a comma is missing here"),
        ("[{'a': 1,\n  'b': 2}\n {'a': 3}]", "file:2:10: a comma is missing here"),
        ("[('a', None {})]", "file:1:12: a comma is missing here"),
        ("['a': 1]", "file:1:5: invalid syntax"),
        ("[('a',]", r"file:1:7: closing parenthesis ']' does not match opening parenthesis '('"),
        ("[__import__('os')]", "file:1:2: only values are allowed here"),
        ("[x for x in y]", "file:1:1: only values are allowed here"),
        ("f'{1}'", "file:1:1: only values are allowed here"),
        ("{'a': 1, 'a': 2}", "file:1:10: the key 'a' is there twice"),
        ("{('a',): 1}", "file:1:2: a key must be text or a number"),
        ("{**{}}", "file:1:1: `**` is not allowed"),
        ("b'x'", "file:1:1: bytes is no kind of value here"),
        ("0x" + "f" * 1000, "file:1:1: the number is too large"),
        ("1e999", "file:1:1: the number is too large"),
        ("'\\ud800'", "file:1:1: half a character"),
        ("-True", "file:1:1: only values"),
        ("[1]\n[2]", "file:2:1: the file must hold one value"),
        ("", "file:1:1: the file must hold one value"),
        ("x = 1", "file:1:1: the file must hold one value"),
        ("[" * 150 + "]" * 149, "file:1:"),
        ("-" * 100_000 + "1", "file:1:1: nested too deeply"),
        ("# -*- coding: nonsense -*-\n1", "file:1:1: unknown encoding"),
        ("\0", "file:1:1: source code string cannot contain null bytes"),
    ],
)
def test_what_is_wrong_and_where(text: str, told: str) -> None:
    with pytest.raises(BadFile) as caught:
        _ = parse_literal(text.encode(), HERE).value
    assert str(caught.value).startswith(told)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(b" " * (MAX_FILE_BYTES + 1))
    with pytest.raises(BadFile, match="larger than"):
        read_literal(large)
    large.write_bytes(b"," * (MOST_MARKS + 1))
    with pytest.raises(BadFile, match="more than 80000 commas"):
        read_literal(large)
    with pytest.raises(BadFile, match="missing:1:1: No such file"):
        read_literal(tmp_path / "missing")


def test_a_call_by_name_is_seen_and_not_made() -> None:
    call = parse_literal(b"generate({'a': 1})", HERE)
    argument = call.argument("generate")
    assert argument is not None
    assert argument.value == {"a": 1}
    assert call.argument("other") is None
    for text in (b"generate()", b"generate(1, 2)", b"generate(x=1)"):
        with pytest.raises(BadFile, match="takes one argument"):
            parse_literal(text, HERE).argument("generate")
