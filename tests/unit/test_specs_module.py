"""NAME.specs.py: rules read as data, `accept` asked in a process, only trusted files loaded."""

import os
from pathlib import Path

import pytest

from edeploy import timeouts
from edeploy.images.store import Store
from edeploy.inventory.items import Item, Report
from edeploy.match.acceptance import Refused
from edeploy.match.lint import lint
from edeploy.match.profiles import load_profiles
from edeploy.match.solver import Match, Mismatch
from edeploy.server.profiles import ProfileShelf

RULES = "specs = [('disk', '$d', 'size', '$s=gt(100)')]\n"
REPORT = Report((Item("disk", "sda", "size", "278"), Item("disk", "sdb", "size", "300")))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "web.configure").write_text("x = var['d']\n")
    (tmp_path / "state").write_text("[('web', '*')]")
    return tmp_path


def problems(folder: Path) -> list[str]:
    return [str(p).removeprefix(f"{folder}/") for p in load_profiles(folder).problems]


def fitted(folder: Path, module: str) -> Match | Mismatch | Refused:
    (folder / "web.specs.py").write_text(module)
    loaded = load_profiles(folder)
    assert loaded.problems == ()
    return loaded.profiles[0].fit(REPORT)


def test_rules_alone_are_read_and_nothing_is_run(folder: Path) -> None:
    mark = folder / "was-run"
    result = fitted(folder, f"open({str(mark)!r}, 'w')\n{RULES}")
    assert isinstance(result, Match)
    assert result.vars == {"d": "sda", "s": "278"}
    assert lint(folder, None) == []
    assert not mark.exists()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return True", None),
        ("return var['d'] == 'sda' and report.value('disk', 'sdb', 'size') == '300'", None),
        ("print('x' * 10**6)\n    import os; os.write(1, b'{}'); return True", None),
        ("import json, re, edeploy.inventory.items; return True", None),
        ("return False", "web.specs.py: accept() says no"),
        ("return 'two\\n disks'", "web.specs.py: two disks"),
        ("return ''", "web.specs.py: accept() says no"),
        ("return None", "web.specs.py: accept() gave NoneType, not True, False or a reason"),
        ("return 1", "web.specs.py: accept() gave int, not True, False or a reason"),
        ("\n    return var['nic']", "web.specs.py:4: accept() failed: KeyError: 'nic'"),
        ("exit(3)", "web.specs.py:3: accept() failed: SystemExit: 3"),
        ("return bool(b' ' * (1 << 31))", "web.specs.py:3: accept() failed: MemoryError"),
        ("import os; os._exit(0)", "web.specs.py: accept() ended its process (status 0) without"),
        ("import os; os.kill(os.getpid(), 9)", "web.specs.py: accept() ended its process (status"),
        ("return 'x' * 10**6", "web.specs.py: xxx"),
    ],
)
def test_accept_has_the_last_word(folder: Path, body: str, reason: str | None) -> None:
    result = fitted(folder, f"{RULES}def accept(report, var):\n    {body}\n")
    if reason is None:
        assert isinstance(result, Match)
    else:
        assert isinstance(result, Refused)
        assert result.reason.startswith(reason)
        assert len(result.reason) <= 500


def test_an_accept_that_hangs_is_ended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeouts, "ACCEPT", 1.0)
    result = fitted(folder, f"{RULES}def accept(report, var):\n    while True: pass\n")
    assert isinstance(result, Refused)
    assert result.reason == "web.specs.py: accept() was not done after 1 s, and was ended"


def test_a_module_that_fails_before_accept(folder: Path) -> None:
    result = fitted(folder, f"{RULES}import nothing\ndef accept(report, var): return True\n")
    assert isinstance(result, Refused)
    assert result.reason.startswith("web.specs.py:2: accept() failed: ModuleNotFoundError: ")


def test_accept_is_not_asked_when_the_rules_are_not_met(folder: Path) -> None:
    rules = RULES.replace("gt(100)", "gt(1000)")
    result = fitted(folder, f"{rules}def accept(report, var): raise SystemExit\n")
    assert isinstance(result, Mismatch)


def test_accept_beside_plain_rules(folder: Path) -> None:
    (folder / "web.specs").write_text("[('disk', '$d', 'size', '300')]")
    result = fitted(folder, "def accept(report, var): return var['d'] + ' it is'\n")
    assert isinstance(result, Refused)
    assert result.reason == "web.specs.py: sdb it is"
    (folder / "web.specs.py").write_text(RULES)
    assert problems(folder) == ["web.specs.py:1:1: has `specs`, and so has web.specs: keep one"]


@pytest.mark.parametrize(
    ("module", "problem"),
    [
        ("", "web.specs.py:1:1: has neither `specs = […]` nor `def accept(report, var)`"),
        ("def accept(r, v): pass", "web.specs.py:1:1: has no `specs = […]`, and there is no"),
        ("specs = [\n 1", "web.specs.py:1:9: '[' was never closed"),
        ("specs = [('a', 'b') ('c', 'd')]", "web.specs.py:1:20: a comma is missing here"),
        ("specs = [('a',) * 4]", "web.specs.py:1:10: only values are allowed here"),
        ("specs = [('a', 'b', 'c', 'gt(x)')]", "web.specs.py:1:26: 'x' is no number"),
        (f"{RULES}{RULES}", "web.specs.py:2:9: `specs` is there twice"),
        (f"{RULES}def accept(report): pass", "web.specs.py:2:1: accept must take two arguments"),
        (f"{RULES}def accept(a, b, c): pass", "web.specs.py:2:1: accept must take two arguments"),
        (f"{RULES}async def accept(a, b): pass", "web.specs.py:2:1: accept must be a plain"),
        (f"{RULES}return", "web.specs.py:2:1: 'return' outside function"),
        ("-" * 30_000 + "1", "web.specs.py:1:1: nested too deeply"),
    ],
)
def test_a_module_that_can_not_be_used(folder: Path, module: str, problem: str) -> None:
    (folder / "web.specs.py").write_text(module)
    (line,) = problems(folder)
    assert line.startswith(problem)
    assert line in [str(p).removeprefix(f"{folder}/") for p in lint(folder, None)]


def test_lint_looks_into_the_rules_of_a_module(folder: Path) -> None:
    (folder / "web.specs.py").write_text("\nspecs = [('disk', '$dd', 'size', 'gtx(4)')]")
    told = [str(p).removeprefix(f"{folder}/") for p in lint(folder, None)]
    assert told[0].startswith("web.configure:1:5: the variable 'd' is bound by nothing")
    assert told[1:] == ["web.specs.py:2:34: gtx() is no function, perhaps gt; it is taken as text"]


def test_code_that_others_may_write_is_not_loaded(folder: Path) -> None:
    module = folder / "web.specs.py"
    module.write_text(RULES)
    module.chmod(0o664)
    assert problems(folder) == [
        "web.specs.py:1:1: is code, and not loaded, as it is writable by others; "
        f"run: chmod go-w {module}"
    ]
    module.chmod(0o646)
    assert "as it is writable by others" in problems(folder)[0]
    module.chmod(0o644)
    assert problems(folder) == []
    folder.chmod(0o1777)
    (line,) = problems(folder)
    assert line.endswith(f"as its folder {folder} is writable by others; run: chmod go-w {folder}")
    folder.chmod(0o755)
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    elsewhere.chmod(0o777)
    module.rename(elsewhere / "module.py")
    module.symlink_to(elsewhere / "module.py")
    (line,) = problems(folder)
    assert f"as its folder {elsewhere} is writable by others" in line
    module.unlink()
    os.mkfifo(module)
    assert problems(folder) == ["web.specs.py:1:1: is no file"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_code_of_others_is_not_loaded(folder: Path) -> None:
    module = folder / "web.specs.py"
    module.write_text(RULES)
    os.chown(module, 12345, 0)
    (line,) = problems(folder)
    assert line.endswith(f"not loaded, as it is of user 12345; run: chown root {module}")
    os.chown(module, 0, 0)
    os.chown(folder, 12345, 0)
    assert "as its folder" in problems(folder)[0]


def test_the_server_offers_what_accept_takes_and_looks_again_after_chmod(folder: Path) -> None:
    module = folder / "web.specs.py"
    module.write_text(f"{RULES}def accept(report, var): return 'not today'\n")
    shelf = ProfileShelf(folder, Store(folder / "store"))
    (candidate,) = shelf.offered(REPORT)
    assert (candidate.fits, candidate.reason) == (None, "web.specs.py: not today")
    module.chmod(0o666)
    assert shelf.offered(REPORT) == []
    module.chmod(0o600)
    assert len(shelf.offered(REPORT)) == 1
    folder.chmod(0o777)
    assert shelf.offered(REPORT) == []
