"""The one way to run programs: every end that a program can have."""

import os
import select
import signal
from pathlib import Path

import pytest

from edeploy.errors import EdeployError
from edeploy.run import ProgramFailed, ProgramMissing, pasteable, run


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program `fake` in PATH, to be written by the test."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path / "fake"


def write(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def ends(pid: str) -> bool:
    """Whether a process has ended, or does so within 10 s of being killed."""
    try:
        handle = os.pidfd_open(int(pid))
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], 10)[0])
    finally:
        os.close(handle)


def test_arguments_are_words_not_shell(program: Path) -> None:
    write(program, 'for word; do echo "[$word]"; done')
    words = ("a b", "$(id)", "'", "*", "")
    assert run(["fake", *words]).out.splitlines() == [f"[{word}]" for word in words]


def test_input_and_environment(program: Path) -> None:
    write(program, 'cat; echo "$LC_ALL $OWN"; pwd >&2')
    done = run(["fake"], stdin="given\n", env={"OWN": "x"}, cwd="/")
    assert (done.out, done.err, done.code) == ("given\nC.UTF-8 x\n", "/\n", 0)
    assert run(["fake"]).out.startswith("C.UTF-8")


def test_a_failure_tells_the_command_and_the_last_lines(program: Path) -> None:
    write(program, "seq 100 >&2; exit 3")
    with pytest.raises(ProgramFailed) as caught:
        run(["fake", "a b"])
    assert caught.value.code == 3
    assert str(caught.value).startswith("fake 'a b': exit status 3\n  | 89\n")
    assert str(caught.value).endswith("| 100")
    assert run(["fake"], check=False).code == 3


def test_a_signal_is_named(program: Path) -> None:
    write(program, "kill -SEGV $$")
    with pytest.raises(ProgramFailed, match="ended by SIGSEGV"):
        run(["fake"])


def test_what_cannot_start(program: Path, tmp_path: Path) -> None:
    with pytest.raises(ProgramMissing, match="no-such-program: not found"):
        run(["no-such-program"])
    program.write_text("no program at all")
    program.chmod(0o755)
    with pytest.raises(ProgramFailed, match="Exec format error"):
        run(["fake"])
    with pytest.raises(EdeployError, match="gone does not exist"):
        run(["true"], cwd=tmp_path / "gone")


def test_a_time_out_ends_all_that_the_program_started(program: Path, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    write(program, f"tail -f /dev/null & echo $! >>{pids}; echo $$ >>{pids}; wait")
    with pytest.raises(ProgramFailed, match=r"fake: not done after 1 s, ended"):
        run(["fake"], timeout=1)
    assert all(ends(pid) for pid in pids.read_text().split())


def test_an_interrupt_ends_the_program(program: Path, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    write(program, f"echo $$ >{pid}; cat; kill -INT $PPID; exec tail -f /dev/null")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(["fake"])
    finally:
        signal.signal(signal.SIGINT, before)
    assert ends(pid.read_text())


def test_output_may_go_to_a_log(program: Path, tmp_path: Path) -> None:
    write(program, "echo out; echo err >&2")
    with (tmp_path / "log").open("w") as log:
        done = run(["fake"], log=log)
    assert (done.out, done.err) == ("", "")
    assert (tmp_path / "log").read_text() == "out\nerr\n"


def test_lines_are_told_while_the_program_runs(program: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    write(program, f"cat; echo first; echo second >&2; read word < {tmp_path}/go; printf $word")
    heard: list[str] = []

    def hear(line: str) -> None:
        heard.append(line)
        if line == "second":
            (tmp_path / "go").write_text("last\n")

    done = run(["fake"], stdin="given\n", on_line=hear)
    assert heard == ["given", "first", "second", "last"]
    assert done.out == "given\nfirst\nsecond\nlast"


def test_a_time_out_ends_a_program_that_is_listened_to(program: Path, tmp_path: Path) -> None:
    write(program, f"echo $$; echo $$ >{tmp_path}/pid; exec tail -f /dev/null")
    heard: list[str] = []
    with pytest.raises(ProgramFailed, match=r"fake: not done after 1 s, ended"):
        run(["fake"], timeout=1, on_line=heard.append)
    assert heard == [(tmp_path / "pid").read_text().strip()]
    assert ends(heard[0])


def test_the_command_can_be_pasted() -> None:
    assert pasteable(["a", "b c", "$x"]) == "a 'b c' '$x'"
