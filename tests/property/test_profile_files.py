"""No file of a profile, however odd, gives a traceback; what is rewritten stays what it was."""

import ast
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from edeploy.match.checks.specs import never_holds
from edeploy.match.conditions import parse_condition
from edeploy.match.functions import SpecError, number
from edeploy.match.lint import Unusable, lint
from edeploy.match.python2.tokens import Lines, tokens
from edeploy.match.python2.upgrade import compile_error, upgrade

WORDS = """print exec raise except try if else lambda in is not and or for def class import from
commands print_function __future__ has_key iteritems xrange unicode file subprocess Popen var get
x E None text stdout as yield match case""".split()
MARKS = [*"()[]{},:;.`=<>%+-*/\\'\"\n\t\r \f#@", "<>", ">>", "'''", '"""', "\n    ", "\n\t", "**"]
NUMBERS = ["0755", "10L", "0x1fL", "08", "1.5", "1e9", ".5", "7j", "0o7", "0", "1_0"]
TEXTS = ["'a'", '"%(x)s"', "ur'\\d'", "u'é'", "f'{var[\"x\"]}'", "b'x'", "'''\n'''", "'{x}'"]

pythonish = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from([*WORDS, *MARKS, *NUMBERS, *TEXTS]), max_size=40).map(" ".join),
    st.lists(st.sampled_from([*WORDS, *MARKS, *NUMBERS, *TEXTS]), max_size=40).map("".join),
)

expressions = st.recursive(
    st.sampled_from(["x", "var", "0755", "10L", "'a'", "`x`", "d.has_key(x)", "u'é'", "None"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "<>", "%", "and", ",", "/"]), inner).map(
            lambda three: f"({three[0]} {three[1]} {three[2]})"
        ),
        inner.map("f({})".format),
        inner.map("d.has_key({})".format),
        inner.map("({}).iteritems()".format),
        inner.map("`{}`".format).filter(lambda text: text.count("`") == 2),
        inner.map("(lambda: {})".format),
        inner.map("x[{}]".format),
    ),
    max_leaves=6,
)
python_2 = st.lists(
    st.one_of(
        expressions.map("print {}".format),
        expressions.map("print {},".format),
        st.tuples(expressions, expressions).map(lambda two: f"print >>{two[0]}, {two[1]}"),
        expressions.map("raise E, {}".format),
        expressions.map("exec {}".format),
        expressions.map("if x: print {}; print".format),
        st.tuples(expressions, expressions).map(
            lambda two: f"try:\n\tprint {two[0]}\nexcept E, e:\n\tx = {two[1]}"
        ),
        expressions.map("x = {}".format),
    ),
    min_size=1,
    max_size=8,
).map("\n".join)


@settings(max_examples=2000, deadline=None)
@given(pythonish)
def test_tokens_are_the_source(source: str) -> None:
    found = tokens(source)
    assert "".join(token.text for token in found) == source
    lines = Lines(source)
    for token in found:
        line, column = lines.place(token.start)
        assert lines.text(line)[column - 1 :].startswith(token.text.splitlines(True)[0][:1])


@settings(max_examples=2000, deadline=None)
@given(pythonish)
def test_no_script_is_a_traceback_and_python_3_stays_python_3(source: str) -> None:
    done = upgrade(source)
    assert (done.error is None) == (compile_error(done.source) is None)
    if compile_error(source) is None:
        assert done.error is None
    if not done.changes:
        assert done.source == source


@settings(max_examples=1500, deadline=None)
@given(python_2)
def test_python_2_becomes_python_3_line_by_line(source: str) -> None:
    done = upgrade(source)
    assert done.error is None, done.source
    ast.parse(done.source)
    assert done.source.count("\n") == source.count("\n")
    assert upgrade(done.source).changes == ()


NETWORKS = """10.0.0.0/8 10.0.0.0/30 10.0.0.2/31 0.0.0.0/0 255.0.0.0/8 ::/0 fe80::/126
::2/128""".split()
ADDRESSES = """0.0.0.0 10.0.0.0 10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.9.9.9 11.0.0.0 254.0.0.1
255.255.255.255 :: ::2 ::3 fe80:: fe80::3 fe80::4""".split()


def plain_conditions() -> st.SearchStrategy[str]:
    words = st.sampled_from(["1", "2", "2.5", "3", "-1", "x", "y"])
    numbers = st.sampled_from(["1", "2", "2.5", "3", "-1"])
    leaves = st.one_of(
        st.tuples(st.sampled_from(["gt", "ge", "lt", "le"]), numbers).map("{0[0]}({0[1]})".format),
        st.tuples(numbers, numbers).map("range({0[0]}, {0[1]})".format),
        st.lists(words, min_size=1, max_size=3).map(lambda some: f"in({', '.join(some)})"),
        words,
        st.sampled_from(NETWORKS).map("network({})".format),
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3).map(lambda some: f"and({', '.join(some)})"),
            st.lists(inner, min_size=1, max_size=3).map(lambda some: f"or({', '.join(some)})"),
            inner.map("not({})".format),
        ),
        max_leaves=6,
    ).filter(lambda text: text.endswith(")"))


NUMBERS_TRIED = [str(n / 4) for n in range(-8, 20)] + [str(n) for n in range(-2, 6)]
TRIED = ["", "x", "y", "z", "-5", "9", *NUMBERS_TRIED, *(f" {text}" for text in NUMBERS_TRIED),
         *ADDRESSES]  # fmt: skip


@settings(max_examples=1000, deadline=None)
@given(plain_conditions())
def test_what_never_holds_holds_for_nothing_and_the_rest_for_something(text: str) -> None:
    condition = parse_condition(text)
    assert condition is not None
    assert never_holds(condition) == (not any(map(condition.holds, TRIED)))


def values() -> st.SearchStrategy[object]:
    part = st.sampled_from(["10", "0", "255", "256", "1-3", "9-7", "0-255", "1:3", "x", ""])
    dotted = st.lists(part, min_size=1, max_size=5).map(".".join)
    odd = st.sampled_from(["52:54:00:00:00:01", "fe80::1/64", "10.0.0.1/24", "24", "/33", "web1-3",
                           "1.2.3.4/999", "::", "255.0.255.0", "\u0661.\u0661.1.1"])  # fmt: skip
    leaves = st.one_of(dotted, odd, st.text(max_size=6), st.integers(), st.none(), st.booleans())
    keys = st.sampled_from(["ip", "ip0", "netmask", "netmask0", "gateway", "mac", "net", "ib0",
                            "network", "ipmi_ip", "hostname", "a.b", "dns", ""])  # fmt: skip
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=6),
        max_leaves=12,
    )


def cmdbs() -> st.SearchStrategy[str]:
    return st.one_of(
        values().map(lambda value: f"generate({value!r})"),
        st.lists(values(), max_size=4).map(repr),
        values().map(repr),
        st.text(max_size=20),
    )


fields = st.one_of(
    st.sampled_from(["$d", "$$d", "$x=gt(4)", "and(gt(5), lt(3))", "regexp([)", " gt(1)", "f(1)"]),
    st.text(max_size=12),
    st.integers(),
    plain_conditions(),
)


@settings(max_examples=500, deadline=None)
@given(
    st.lists(st.lists(fields, min_size=3, max_size=5), max_size=4),
    st.one_of(pythonish, python_2),
    cmdbs(),
    cmdbs(),
    st.one_of(st.just("[('p', '*'), ('q', 1)]"), st.text(max_size=20)),
)
def test_no_folder_is_a_traceback(
    specs: list[list[object]], configure: str, cmdb: str, other: str, state: str
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        files = {"p.specs": repr(list(map(tuple, specs))), "p.configure": configure,
                 "p.cmdb": cmdb, "q.specs": "[]", "q.configure": "", "q.cmdb": other,
                 "state": state}  # fmt: skip
        for file, text in files.items():
            (folder / file).write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            findings = lint(folder, lambda role, version: False)
        except Unusable:
            return
        assert all(one.line >= 1 and one.column >= 1 and one.message for one in findings)


@given(st.text(max_size=30))
def test_numbers_in_conditions_are_those_of_the_language(text: str) -> None:
    try:
        condition = parse_condition(f"and(gt({text}), lt({text}))")
    except SpecError:
        return
    if condition is not None and number(text) is not None:
        assert never_holds(condition)
