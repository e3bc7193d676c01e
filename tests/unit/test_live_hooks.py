"""Hooks of an edge: how they may end, and that none holds an upgrade for ever."""

import os
import select
from pathlib import Path

import pytest

from edeploy.node.upgrade.live.hooks import Ended, HookFailed, run_hook

PATIENCE = 30.0


def hook(folder: Path, text: str) -> Path:
    path = folder / "pre"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_how_a_hook_may_end(tmp_path: Path) -> None:
    log = tmp_path / "log/pre.log"
    assert run_hook(tmp_path / "none", "1", "2", log) is Ended.WELL
    told = hook(tmp_path, "echo $EDEPLOY_FROM to $EDEPLOY_TO")
    assert run_hook(told, "1", "2", log) is Ended.WELL
    assert log.read_text() == "1 to 2\n"
    assert run_hook(hook(tmp_path, "exit 100"), "1", "2", log) is Ended.REBOOT
    with pytest.raises(HookFailed, match=r"pre: exit status 7\n  \| no such database"):
        run_hook(hook(tmp_path, "echo no such database; exit 7"), "1", "2", log)


def test_a_hook_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    hangs = hook(tmp_path, f"exec 9> {fifo}; sleep 1000 & echo begun >&9; wait")
    with open(os.open(fifo, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as held:
        with pytest.raises(HookFailed) as caught:
            run_hook(hangs, "1", "2", tmp_path / "log", longest=2.0)
        assert held.read() == b"begun\n"
        # It ends when the last process that has it open has ended.
        assert select.select([held], [], [], PATIENCE)[0]
        assert held.read() == b""
    assert str(tmp_path / "log") in caught.value.hint
