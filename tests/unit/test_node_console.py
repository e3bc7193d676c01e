import io
import os
import re
from pathlib import Path

import pytest

from edeploy.node.console import MAX_LOG_BYTES, Console, amount, consoles


def shown(output: io.BytesIO) -> list[str]:
    return output.getvalue().decode().split("\r\n")[:-1]


def test_lines_have_the_seconds_since_the_kernel_started() -> None:
    output = io.BytesIO()
    console = Console([output])
    console.say("one\ntwo")
    assert [line.split()[2] for line in shown(output)] == ["one", "two"]
    assert all(re.match(r"edeploy +\d+\.\d ", line) for line in shown(output))


def test_details_are_kept_and_shown_when_verbose() -> None:
    output = io.BytesIO()
    console = Console([output])
    console.detail("quiet")
    assert shown(output) == []
    assert console.log().endswith(" quiet\n")
    console.verbose = True
    console.detail("loud")
    assert shown(output)[0].endswith(" loud")


def test_progress_is_not_shown_too_often_but_its_end_is() -> None:
    output = io.BytesIO()
    console = Console([output])
    for done in range(1001):
        console.progress("fetch", done * 1_000_000, 1_000_000_000, "bytes")
    console.progress("verify", 1, 3, "files")
    lines = shown(output)
    assert lines[0].endswith("fetch:   0 %, 0 of 1 GB")
    assert any(line.endswith("fetch: 100 %, 1 of 1 GB") for line in lines)
    assert lines[-1].endswith("verify:  33 %, 1 of 3 files")
    assert len(lines) < 100
    assert console.log() == ""


def test_control_characters_do_not_reach_the_terminal() -> None:
    output = io.BytesIO()
    Console([output]).say("serial \x1b[2J\x07 x")
    assert b"\x1b" not in output.getvalue() and b"\x07" not in output.getvalue()


def test_the_log_keeps_the_newest() -> None:
    console = Console([])
    for number in range(3000):
        console.say(f"{number} " + "x" * 1000)
    assert len(console.log().encode()) <= MAX_LOG_BYTES
    assert "2999 x" in console.log()


def test_a_console_that_went_away_ends_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    good = io.BytesIO()
    with os.fdopen(writer, "wb", buffering=0) as broken:
        Console([broken, good]).say("still here")
    assert shown(good)[0].endswith("still here")


def test_all_consoles_of_the_kernel_that_can_be_opened(tmp_path: Path) -> None:
    (tmp_path / "active").write_text("tty0 ttyS0 ttyS9\n")
    (tmp_path / "tty0").touch()
    (tmp_path / "ttyS0").touch()
    found = consoles(tmp_path / "active", tmp_path)
    Console(found).say("hello")
    for output in found:
        output.close()
    assert "hello" in (tmp_path / "tty0").read_text()
    assert "hello" in (tmp_path / "ttyS0").read_text()
    assert consoles(tmp_path / "missing", tmp_path) == []


@pytest.mark.parametrize(
    ("done", "total", "unit", "text"),
    [
        (120_000_000, 268_000_000, "bytes", " 44 %, 120 of 268 MB"),
        (5_000, 0, "bytes", "5 kB"),
        (12, 100, "bytes", " 12 %, 12 of 100 bytes"),
        (7, 14000, "files", "  0 %, 7 of 14000 files"),
    ],
)
def test_amounts(done: int, total: int, unit: str, text: str) -> None:
    assert amount(done, total, unit) == text
