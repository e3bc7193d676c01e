"""The solver agrees with trying everything, and no input makes it or the readers raise."""

import json
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from edeploy.errors import EdeployError
from edeploy.inventory.identity import identify
from edeploy.inventory.items import Item, Report, parse_report
from edeploy.match.conditions import parse_condition
from edeploy.match.functions import NAMES
from edeploy.match.generate import expand
from edeploy.match.language import Specs, parse_specs
from edeploy.match.lint import lint
from edeploy.match.literals import parse_literal
from edeploy.match.profiles import load_profiles
from edeploy.match.solver import Match, Mismatch, match
from edeploy.names import checked

KINDS, IDS, KEYS = ("a", "b"), ("x", "y", "z"), ("k", "l")
VALUES = ("1", "2", "x", "y", "")
variables = st.sampled_from(["$p", "$q", "$r", "$$p", "$q=in(x,y,1)", "$r=not(x)"])


def rows(mixed: bool) -> st.SearchStrategy[tuple[str, str, str, str]]:
    def column(values: tuple[str, ...], odds: int) -> st.SearchStrategy[str]:
        plain = st.sampled_from(values)
        return st.one_of([plain] * (4 - odds) + [variables] * odds) if mixed else plain

    return st.tuples(column(KINDS, 0), column(IDS, 3), column(KEYS, 1), column(VALUES, 2))


def all_tried(specs: Specs, report: Report) -> list[Item] | None:
    """The first solution in rule order, found the slow and certain way."""

    def rest(done: list[int], bound: dict[str, str]) -> list[int] | None:
        if len(done) == len(specs.rules):
            return done
        rule = specs.rules[len(done)]
        for line, item in enumerate(report.items):
            if line in done or not all(f.fits(item[i]) for i, f in enumerate(rule.fields)):
                continue
            now = dict(bound)
            if all(now.setdefault(name, item[i]) == item[i] for i, name in rule.variables):
                found = rest([*done, line], now)
                if found is not None:
                    return found
        return None

    lines = rest([], {})
    return None if lines is None else [report.items[line] for line in lines]


@settings(max_examples=1500, deadline=None)
@given(st.lists(rows(True), max_size=6), st.lists(rows(False), max_size=9))
def test_the_solver_agrees_with_trying_everything(
    rules: list[tuple[str, str, str, str]], lines: list[tuple[str, str, str, str]]
) -> None:
    specs, report = parse_specs(rules), Report(tuple(Item(*line) for line in lines))
    result, expected = match(specs, report), all_tried(specs, report)
    if isinstance(result, Match):
        assert expected is not None
        assert list(result.items) == expected
    else:
        assert expected is None
        assert result.reason


# As the rules of racks are: devices of a few kinds, conditions, variables within and across them.
FIELDS = {
    "type": ("disk", "network", "$t"),
    "id": ("$a", "$b", "$c", "$d", "sda", "in(sda,sdb)", "$a=not(sda)"),
    "key": ("size", "link", "peer", "in(size,link)", "$k"),
    "value": ("8", "gt(8)", "$v", "$w", "$$v=le(9)", "$a", "$b", "regexp(^s)", "or(9,$)",
              "and(ge(8),lt(10))"),
}  # fmt: skip
LINES = (
    ("disk", "network"),
    ("sda", "sdb", "sdc", "sdd"),
    ("size", "link", "peer"),
    ("8", "9", "sda", "sdb"),
)


def a_rule(dice: Random) -> tuple[str, str, str, str]:
    kind = dice.choice(FIELDS["type"][: dice.choice((2, 2, 2, 3))])
    key = dice.choice(FIELDS["key"][: dice.choice((3, 3, 5))])
    return kind, dice.choice(FIELDS["id"]), key, dice.choice(FIELDS["value"])


def a_pair(dice: Random) -> tuple[Specs, Report]:
    rules = [a_rule(dice) for _ in range(dice.randint(1, 6))]
    lines = [tuple(map(dice.choice, LINES)) for _ in range(dice.randint(0, 14))]
    return parse_specs(rules), Report(tuple(Item(*line) for line in lines))


def without(specs: Specs, rule: int) -> Specs:
    """The specs but for the rule of this number."""
    return Specs(tuple(one for one in specs.rules if one.number != rule))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_ten_thousand_pairs_agree_with_trying_everything(seed: int) -> None:
    dice = Random(seed)  # noqa: S311  (no secret)
    for _ in range(100):
        specs, report = a_pair(dice)
        result, expected = match(specs, report), all_tried(specs, report)
        if isinstance(result, Match):
            assert list(result.items) == expected
        else:
            assert expected is None
            assert result.is_answer
            check_reason(specs, report, result)


def check_reason(specs: Specs, report: Report, result: Mismatch) -> None:
    """The rules of a reason cannot be met; where it says that it is smallest, it is."""
    why = result.explanation
    told = Specs(tuple(rule for rule in specs.rules if rule.number in why.rules))
    assert told.rules
    assert all_tried(told, report) is None
    if "contradict each other" in why.head and "perhaps" not in why.head:
        for number in why.rules:
            assert all_tried(without(told, number), report) is not None
    if "cannot be met" in why.head:
        assert len(why.rules) == 1


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32))
def test_what_was_asked_of_a_report_before_changes_nothing(seed: int) -> None:
    dice = Random(seed)  # noqa: S311  (no secret)
    specs, report = a_pair(dice)
    for _ in range(5):
        match(a_pair(dice)[0], report)
    first, second = match(specs, report), match(specs, Report(report.items))
    assert type(first) is type(second)
    if isinstance(first, Match):
        assert first == second
    elif isinstance(second, Mismatch):
        assert first.explanation == second.explanation


fragments = st.lists(
    st.sampled_from([f"{name}(" for name in sorted(NAMES)])
    | st.sampled_from(list("(),'\"$=^[]\\ -.:/") + ["4", "x", "10.0.0.0/8", "$$", "a{1,2}"]),
    max_size=25,
).map("".join)
odd = st.one_of(fragments, fragments.map(lambda text: f"and({text})"), st.text(max_size=30))


@settings(max_examples=1500, deadline=None)
@given(odd, st.lists(st.one_of(odd, st.sampled_from(["5", "10.0.0.1", "fe80::1"])), max_size=3))
def test_no_field_and_no_value_is_a_traceback(field: str, values: list[str]) -> None:
    report = Report(tuple(Item("disk", "sda", "size", value) for value in values))
    try:
        result = match(parse_specs([("disk", "$d", "size", field)]), report)
    except EdeployError:
        return
    assert isinstance(result, Match) or result.reason


@given(st.text(max_size=30))
def test_text_that_calls_no_function_is_text(text: str) -> None:
    if not any(text.startswith(f"{name}(") for name in NAMES):
        assert parse_condition(text) is None


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=12,
)


@given(st.one_of(st.binary(max_size=60), json_like.map(lambda v: json.dumps(v).encode())))
def test_no_upload_is_a_traceback(data: bytes) -> None:
    try:
        report = parse_report(data)
    except EdeployError:
        return
    assert checked(identify(report).name, "machine")


@given(st.lists(st.tuples(*[st.text(max_size=12)] * 4), max_size=6))
def test_a_report_survives_its_json_form(lines: list[tuple[str, str, str, str]]) -> None:
    report = parse_report(json.dumps(lines).encode())
    assert parse_report(json.dumps(report.rows()).encode()) == report
    assert checked(identify(report).name, "machine")


python_like = st.one_of(
    st.text(max_size=40),
    st.lists(
        st.sampled_from([*"()[]{},:'\"\n-+*", "generate", "'a'", "1", "x", " "]), max_size=30
    ).map("".join),
)


@settings(max_examples=500, deadline=None)
@given(python_like)
def test_no_literal_is_a_traceback(text: str) -> None:
    try:
        literal = parse_literal(text.encode("utf-8", "surrogatepass"), Path("file"))
        argument = literal.argument("generate")
        if argument is not None:
            expand(argument.value)
        else:
            assert repr(literal.value)
    except EdeployError:
        pass


@settings(max_examples=200, deadline=None)
@given(python_like, python_like, python_like, st.text(max_size=30))
def test_no_folder_of_profiles_is_a_traceback(
    specs: str, configure: str, cmdb: str, toml: str
) -> None:
    files = {"p.specs": specs, "p.configure": configure, "p.cmdb": cmdb, "p.toml": toml}
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "state").write_text("[('p', '*')]")
        for file, text in files.items():
            (folder / file).write_bytes(text.encode("utf-8", "surrogatepass"))
        loaded = load_profiles(folder)
        assert bool(loaded.profiles) != bool(loaded.problems)
        assert lint(folder, lambda role, version: True) or loaded.profiles
