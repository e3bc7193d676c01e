"""Regular expressions: as Python's own, and none that takes for ever."""

import re

import pytest

from edeploy.match.regexps import LONGEST, BadRegexp, compiled

TEXTS = ["", "a", "ab", "aab\n", "b.A", "x aa-bb", "A" * 30, "ab" * 15, "-"]


@pytest.mark.parametrize(
    "source",
    [
        # Each is repeated below, which no backtracking engine could afford.
        *("a", ".", "[^a]", r"\w+", "a|ab", "(?:a|b)?", "(?i:a)b", "(?i:a(?-i:b))", "(?s:.)b?"),
        *(r"\b", r"\B-?", "^a", "b$", r"\Ab", r"A\Z", "(?=b)", "(?!a).", "(?<=a)b", "(?<!a)b"),
        *("(?>a|ab)", "a{2,3}+b?", "a*?b", "(?:a{1,2}){2,}", "(?:)", "[]a]", r"\."),
    ],
)
def test_what_is_found_is_what_python_finds(source: str) -> None:
    short, long = f"(?:{source}){{0,2}}-", f"(?:(?:{source})*)*(?:(?:{source})+)+$"
    for text in TEXTS:
        assert compiled(short).found(text) == (re.search(short, text) is not None)
        once = f"(?:{source})+$"
        assert compiled(long).found(text) == (re.search(once, text) is not None)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("(a+)+$", "a" * 3000 + "!"),
        ("(a|a)*b", "a" * 3000),
        ("(a?){30}a{30}", "a" * 29),
        ("(a|a)" * 30 + "c", "a" * 40),
        (".*.*.*.*=", "x" * 3000),
        (r"^(\w+\s?)*$", "abc " * 500 + "!"),
    ],
)
def test_what_would_take_for_ever_is_answered(source: str, text: str) -> None:
    expression = compiled(source)
    assert expression.steps(text) < 1_000_000
    assert not expression.found(text)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("+", "does not compile: nothing to repeat"),
        ("(" * 400 + ")" * 400, "is nested too deeply"),
        ("a" * (LONGEST + 1), "is longer than"),
        (r"(a+)+\1", "may take for ever"),
        ("(?=(a+)+$)b", "may take for ever"),
        ("(a{1,100}){1,100}b", "may take for ever"),
    ],
)
def test_what_is_refused(source: str, told: str) -> None:
    with pytest.raises(BadRegexp, match=told):
        compiled(source)


def test_references_that_cost_little_are_kept() -> None:
    assert compiled(r"(\w+)-\1").found("ab-ab")
    assert not compiled(r"^(\w+)-\1$").found("ab-ba")
    assert compiled(r"(\w+)-\1.*x").found("ab-ab" + "a" * 200 + "x")
