"""Matching runs nothing that is in rules and values (reading files: test_files_survive)."""

import json
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType

from hypothesis import given, settings
from hypothesis import strategies as st

from edeploy.errors import EdeployError
from edeploy.inventory.items import Item, Report
from edeploy.match.language import parse_specs
from edeploy.match.solver import match

# What Python tells an audit hook when code is run, a program started, or the network used.
RUNNING = {"exec", "os.system", "os.exec", "os.fork", "os.posix_spawn", "subprocess.Popen",
           "socket.connect", "socket.bind", "os.remove", "os.rename", "pickle.find_class",
           "ctypes.dlopen", "shutil.rmtree"}  # fmt: skip

LIBRARY = sysconfig.get_path("stdlib")
watched: list[list[str]] = []


def hook(event: str, arguments: tuple[object, ...]) -> None:
    """Hooks stay for ever: this one listens while something is being watched."""
    if not watched:
        return
    # Python loads a codec when a text is said to need it: that is code of its own.
    code = arguments[0] if event == "exec" else None
    if isinstance(code, CodeType) and code.co_filename.startswith(LIBRARY):
        return
    writes = event == "open" and isinstance(arguments[1], str) and arguments[1] not in ("r", "rb")
    if event in RUNNING or writes:
        watched[-1].append(f"{event} {arguments}")


sys.addaudithook(hook)


@contextmanager
def nothing_runs() -> Iterator[None]:
    watched.append([])
    try:
        yield
    finally:
        seen = watched.pop()
    assert seen == []


BAD = [
    "__import__('os').system('true')",
    "open('was-here', 'w')",
    "exec('1')",
    "eval('1')",
    "(lambda: 1)()",
    "[].__class__.__mro__[-1].__subclasses__()",
    "f'{open(1)}'",
    "!!python/object/apply:os.system ['true']",
    "generate(open('was-here', 'w'))",
    "generate({'a': exec('1')})",
    "specs = open('was-here', 'w')",
    "specs = []\nopen('was-here', 'w')",
    "def accept(report, var):\n    open('was-here', 'w')",
    "import os; os.system('true')",
    "@exec\ndef f(): pass",
    "print 'x' % eval('1')",
]
texts = st.one_of(
    st.sampled_from(BAD),
    st.tuples(st.sampled_from(BAD), st.sampled_from(["[%s]", "{%s: 1}", "-%s", "[(%s, 1)]"])).map(
        lambda two: two[1] % two[0]
    ),
    st.text(max_size=20),
)


@settings(max_examples=400, deadline=None)
@given(texts, texts)
def test_no_rule_and_no_value_runs_anything(field: str, value: str) -> None:
    report = Report((Item("disk", "sda", "size", value),))
    with nothing_runs():
        for text in (field, f"and({field})", f"regexp({field})", json.dumps(field)):
            try:
                match(parse_specs([("disk", "$d", "size", text)]), report)
            except EdeployError:
                pass


def test_the_watch_sees_what_it_is_for() -> None:
    watched.append([])
    eval("1")  # noqa: S307
    assert watched.pop()
