"""CMDB files in any state: an error with its place, or the entries that were written."""

import tempfile
from pathlib import Path

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edeploy.match.cmdb import read_cmdb
from edeploy.match.generate import BadModel, expand, lengths
from edeploy.match.problems import BadFile

SCALARS = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12),
    st.sampled_from(["no", "1.10", "012", "52:54:00:12:34:56", "1e3", "~", "2026-11-21", "0x1f"]),
    st.integers(-(10**15), 10**15),
    st.booleans(),
    st.none(),
)
KEYS = st.text("abcdefgh-_0123456789", min_size=1, max_size=6)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
)
ENTRIES = st.lists(st.dictionaries(KEYS, VALUES, max_size=4), min_size=1, max_size=4)

SNIPPETS = st.lists(
    st.sampled_from(
        ["- ", "a: ", "b", "\n", "  ", "{", "}", "[", "]", "&x ", "*x", "!!", "|", "'", '"', ",",
         ":", "---", "#", "?", "<<", "generate", "(", ")", "1-3", "web1-2", "%", "\t", "\x00", "é"]
    ),
    max_size=30,
).map("".join)  # fmt: skip


def read(data: bytes) -> tuple[dict[str, object], ...] | None:
    """What is in a file with these bytes, None with a problem of that file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.cmdb"
        path.write_bytes(data)
        try:
            return read_cmdb(path)
        except BadFile as error:
            assert all(
                one.path == path and one.line > 0 and one.column > 0 for one in error.problems
            )
            return None


@settings(deadline=None)
@given(ENTRIES)
def test_what_python_wrote_is_read(entries: list[dict[str, object]]) -> None:
    assert read(repr(entries).encode()) == tuple(entries)


@settings(deadline=None)
@given(ENTRIES)
def test_what_yaml_wrote_is_read(entries: list[dict[str, object]]) -> None:
    text = yaml.safe_dump(entries, allow_unicode=True, default_flow_style=False)
    assert read(text.encode()) == tuple(entries)


@settings(deadline=None)
@given(SNIPPETS)
@example("- - ")
@example("generate:")
@example("- ? a")
@example("- *x")
@example("- &x [*x]")
def test_no_text_does_harm(text: str) -> None:
    read(text.encode())


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_no_bytes_do_harm(data: bytes) -> None:
    read(data)


@settings(deadline=None)
@given(st.dictionaries(KEYS, VALUES | st.text("0123456789-:.a", max_size=9), max_size=4))
def test_models_give_as_many_entries_as_the_shortest_range(model: dict[str, object]) -> None:
    try:
        entries = expand(model)
    except BadModel:
        return
    assert len(entries) == min(lengths(model).values(), default=1)
    assert all(list(entry) == list(model) for entry in entries)
