"""Files of any bytes: told or used, and nothing in them is ever run."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edeploy.cli.main import edeploy
from edeploy.errors import EdeployError
from edeploy.inventory.items import BadReport, Report, read_report
from edeploy.machines.recorded import BadRecord, Recorded, read_recorded
from edeploy.machines.replay import replay
from edeploy.match.lint import Unusable, lint
from edeploy.match.profiles import load_profiles

WHOLE = {
    "state": "[('p', '*'), ('q', 2)]",
    "p.specs": "[('disk', '$disk', 'size', 'gt(4)'), ('network', '$eth', 'serial', '$$mac')]",
    "p.configure": "set_role('web', '1', var['disk'])\nprint('%(ip)s' % var)\n",
    "p.cmdb": "generate({'hostname': 'w1-3', 'ip': '10.0.0.1-3', 'in': {'a': ['x', 'y']}})",
    "p.toml": "fetch = 'rsync'\ndeadline_minutes = 9\n",
    "q.specs.py": "specs = [('system', 'product', 'serial', '$s')]\n",
    "q.configure": "import os\nrun('true')\n",
    "q.cmdb": "- hostname: q1\n  ip: 10.0.0.9\n- {hostname: q2, ip: &a 10.0.0.8}\n",
    "report.hw": "[('disk', 'sda', 'size', 8), ('network', 'eth0', 'serial', '52:54:00:00:00:01')]",
    "recorded.json": '{"machines": [{"name": "m", "marks": [{"kind": "mac", "value": "52:54:00:'
    '00:00:01"}], "lease": {"profile": "p", "vars": {"ip": "10.0.0.1"}},'
    ' "holds": [{"profile": "p", "entry": {"ip": "10.0.0.1"}, "copy": 0, "origin": "match"}]}]}',
}
PIECES = [
    *"()[]{},:;.'\"\\\n\t #=*-+&|<>%$@!?~^`0\0",
    *["__import__('os').mkdir('run')", "open('run', 'w')", "!!python/object/apply:os.mkdir"],
    *["*a", "<<: ", "---\n", "generate(", "**{}", "lambda: ", "f'{x}'", "b''", "1e999", "-1", "0x"],
    *["9" * 5000, "1-99999999999", "10.0.0.0/33", "256", "None", "'used': 1,", "[" * 200, "null"],
    *[
        "\ud800",
        "'\\ud800'",
        "é",
        "\ufeff",
        "1979-05-27",
        "NaN",
        "regexp((a*)*b)",
        "and(",
        "print 'a'\n",
    ],
    *["# coding: rot13\n", "# coding: x\n", "\x1b[2J", "{'a': {1: 2, 'b': 3}}", "('p', 1),"],
    "def accept(report, var): x\n",
]
WATCHED = ("exec", "import", "open", "os.", "subprocess.", "socket.", "ctypes.", "shutil.", "pty.")
LOOKING = ("os.listdir", "os.scandir")

_seen: list[str] | None = None


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if _seen is None or not event.startswith(WATCHED) or event in LOOKING:
        return
    if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & os.O_ACCMODE):
        return
    # What a `# coding:` line names is looked up among Python's own encodings.
    if "encodings" not in str(arguments[0]):
        _seen.append(f"{event} {arguments}")


sys.addaudithook(_hook)


@contextmanager
def nothing_runs() -> Iterator[None]:
    """Fails when something is run, imported, written or started within."""
    global _seen  # noqa: PLW0603 - an audit hook is for ever
    _seen = []
    try:
        yield
        seen = _seen
    finally:
        _seen = None
    assert seen == []


@st.composite
def folders(draw: st.DrawFn) -> dict[str, bytes]:
    """The files, some of them torn: pieces in, pieces out, or something else altogether."""
    files = {name: text.encode() for name, text in WHOLE.items()}
    for name in draw(st.lists(st.sampled_from(sorted(files)), min_size=1, max_size=3)):
        if draw(st.integers(0, 9)) == 0:
            files[name] = draw(st.binary(max_size=40))
            continue
        for _ in range(draw(st.integers(1, 3))):
            data = files[name]
            at = draw(st.integers(0, len(data)))
            end = min(at + draw(st.integers(0, 6)), len(data))
            piece = draw(st.sampled_from(PIECES)).encode("utf-8", "surrogatepass")
            files[name] = data[:at] + piece + data[end:]
    return files


@contextmanager
def written(files: dict[str, bytes]) -> Iterator[Path]:
    with TemporaryDirectory() as name:
        for file, data in files.items():
            (Path(name) / file).write_bytes(data)
        yield Path(name)


def read_all(folder: Path) -> tuple[Report | None, list[Recorded]]:
    """Every file through its own reader."""
    load_profiles(folder)
    try:
        assert all(one.line >= 1 and one.column >= 1 for one in lint(folder, None))
    except Unusable:
        pass
    report, recorded = None, []
    try:
        report = read_report(folder / "report.hw")
    except BadReport as error:
        assert error.message
    try:
        recorded = read_recorded(folder / "recorded.json")
    except BadRecord as error:
        assert error.message
    return report, recorded


def torn(**files: str) -> dict[str, bytes]:
    whole = {name: text.encode() for name, text in WHOLE.items()}
    names = {"cmdb": "p.cmdb", "toml": "p.toml", "specs": "p.specs", "configure": "p.configure"}
    return whole | {names.get(k, k): text.encode() for k, text in files.items()}


@settings(max_examples=300, deadline=None)
@example(torn(toml="a = " + "9" * 5000))
@example(torn(toml="a = 1979-13-99"))
@example(torn(toml="a." * (1 << 18)))
@example(torn(cmdb="[{'a': {1: 2, 'b': 3}}]"))
@example(torn(cmdb="[{'a': '\\ud800'}]"))
@example(torn(cmdb="generate({" + ",".join(f"'k{n}': '1-99999'" for n in range(300)) + "})"))
@example(torn(cmdb="[" + ",".join(f"{{'k{n}': 1}}" for n in range(20_000)) + "]"))
@example(torn(cmdb="[{" + ",".join(f"'k{n}': 1" for n in range(20_000)) + "}]"))
@example(torn(cmdb="a\n" * (1 << 18)))
@example(torn(specs="[" * (1 << 18)))
@example(torn(configure="class A:\n x=1\n" * (1 << 14)))
@example(torn(state="[" + ",".join(f"('p{n}', 1)" for n in range(15_000)) + "]"))
@given(folders())
def test_reading_tells_or_uses_and_runs_nothing(files: dict[str, bytes]) -> None:
    with written(files) as folder:
        read_all(folder)  # what Python itself loads at the first time is not meant
        with nothing_runs():
            report, recorded = read_all(folder)
        profiles = [one for one in load_profiles(folder).profiles if one.module is None]
        reports = [("r", report)] if report is not None else []
        outcomes = replay(profiles, recorded, reports)
        assert len(outcomes) >= max(len(reports), len(recorded))


@settings(max_examples=40, deadline=None)
@example(torn(cmdb="[{'a': '\\ud800', '\\x1b[2J[red]': '[/b]'}]"))
@given(folders())
def test_the_commands_tell_it_without_a_traceback(files: dict[str, bytes]) -> None:
    with written(files | {"q.specs.py": WHOLE["q.specs.py"].encode()}) as folder:
        hw = folder / "report.hw"
        for words in (
            ["specs", "lint", folder],
            ["specs", "pick", "--dir", folder, "--hw", hw],
            ["specs", "match", "--specs", folder / "p.specs", "--hw", hw],
            ["specs", "upgrade", folder / "p.configure"],
            ["specs", "replay", "--dir", folder, hw],
            ["specs", "replay", "--dir", folder, hw, "--json"],
            ["cmdb", "expand", folder / "p.cmdb"],
            ["cmdb", "expand", folder / "q.cmdb", "--json"],
        ):
            done = CliRunner().invoke(edeploy, [str(word) for word in words])
            error = done.exception
            told = error is None or isinstance(error, (SystemExit, EdeployError))
            assert told, (words, done.exc_info)
            assert done.exit_code in (0, 1, 2)
