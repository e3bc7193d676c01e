"""The specs language: fields, functions, arguments, and what is told of a bad row."""

from pathlib import Path

import pytest

from edeploy.match.language import parse_field, parse_specs, read_specs
from edeploy.match.problems import BadFile


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("8", ["8"], ["8.0", " 8", ""]),
        ("gt(4)", ["5", "4.5", " 8 ", "1e3"], ["4", "x", "", "nan", "inf", "8GB", "1_000"]),
        ("ge(4)", ["4", "4.0"], ["3.999"]),
        ("lt(-1)", ["-2"], ["-1", "two"]),
        ("le(9007199254740992)", ["9007199254740992"], ["9007199254740993"]),
        ("range( 1 , 10 )", ["1", "10", "5.5"], ["0", "11", "ten"]),
        ("in(a, 'b, c', \"d)\")", ["a", "b, c", "d)"], ["b", "c", "d", "'b, c'"]),
        ("in(foo (bar), x)", ["foo (bar)", "x"], ["foo"]),
        ("in('')", [""], ["x"]),
        ("network(10.0.0.7/24)", ["10.0.0.9"], ["10.0.1.9", "fe80::1", "10.0.0.9/24", "x"]),
        ("network(2001:db8::/32)", ["2001:db8::5"], ["10.0.0.1", "2001:db9::1"]),
        ("regexp(^a{1,2},b$)", ["a,b", "aa,b"], ["ab"]),
        ("regexp('a, b')", ["xa, bx"], ["a b"]),
        (r"regexp(\()", ["("], [")"]),
        ("regexp([)])", [")"], ["("]),
        ("not(regexp([)](a|b)))", ["a"], [")a", ")b"]),
        (r"and(regexp(\)x, ?y), not(regexp([^],)]z)))", [")x,y"], [")x,yaz", "x"]),
        ("and(gt(4), or(lt(2), lt(12), in(50)), not(8))", ["5", "50"], ["8", "12", "4"]),
        ("or('gt(4)', b)", ["gt(4)", "b"], ["5"]),
        ("edeploy_test_vm ()", ["edeploy_test_vm ()"], ["edeploy_test_vm"]),
        ("gtx(4)", ["gtx(4)"], ["5"]),
        ("GT(4)", ["GT(4)"], ["5"]),
        ("gt (4)", ["gt (4)"], ["5"]),
        ("in(a) b", ["in(a) b"], ["a"]),
        ("$v", ["", "x"], []),
        ("$$v=gt(4)", ["5"], ["4"]),
        ("$v=in(a=b)", ["a=b"], ["a"]),
        ("$v=text", ["text"], ["x"]),
    ],
)
def test_what_a_field_takes(field: str, good: list[str], bad: list[str]) -> None:
    parsed = parse_field(field)
    assert [text for text in good if not parsed.fits(text)] == []
    assert [text for text in bad if parsed.fits(text)] == []


def test_any_depth() -> None:
    depth = 20_000
    field = parse_field("not(" * depth + "gt(4)" + ")" * depth)
    assert field.fits("5")
    assert not field.fits("4")


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ("gt(4, 5)", r"gt\(\) takes 1 argument\(s\), not 2"),
        ("gt()", r"gt\(\) takes 1 argument\(s\), not 0"),
        ("range(1)", r"range\(\) takes 2"),
        ("not(a, b)", r"not\(\) takes 1 argument"),
        ("gt(four)", "'four' is no number"),
        ("network(10.0.0.300)", r"network\(\): '10.0.0.300'"),
        ("regexp(+)", "does not compile"),
        ("in('a)", "quote ' is not closed"),
        ("in('a' 'b')", "a comma is missing after 'a'"),
        ("in(a,,b)", "an argument is empty"),
        ("and(gt(4), lt(5)", "and\\( is not closed"),
        ("and(gt(4) lt(5))", "and\\( is not closed"),
        ("gt(4))", "after the last parenthesis"),
        ("$", r"a variable is \$name"),
        ("$=gt(4)", r"a variable is \$name"),
        ("$$$v", r"a variable is \$name"),
        ("$v=gt(x)", "'x' is no number"),
    ],
)
def test_what_is_told_of_a_bad_field(field: str, told: str) -> None:
    with pytest.raises(BadFile, match=told):
        parse_specs([("disk", "$d", "size", field)])


def test_every_bad_row_of_a_file_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "a.specs"
    path.write_text(
        "[\n ('disk', '$d', 'size'),\n ('disk', '$d', 'size', 'gt(x)'),\n 'disk',\n"
        " ('disk', '$d', 'size', None),\n ('disk', '$d', 'size', 8),\n]\n"
    )
    with pytest.raises(BadFile) as caught:
        read_specs(path)
    assert [str(problem) for problem in caught.value.problems] == [
        f"{path}:2:2: 3 items instead of 4; a comma may be missing",
        f"{path}:3:25: 'x' is no number",
        f"{path}:4:2: a str where a row of 4 belongs",
        f"{path}:5:25: a NoneType where text or a number belongs",
    ]


def test_specs_must_be_a_list(tmp_path: Path) -> None:
    path = tmp_path / "a.specs"
    path.write_text("{'disk': 1}")
    with pytest.raises(BadFile, match="specs are a list of 4-tuples"):
        read_specs(path)
