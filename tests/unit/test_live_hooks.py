"""Hooks of an edge: how they may end, and that none holds an upgrade for ever."""

from pathlib import Path

import pytest

from edeploy.node.upgrade.live.hooks import Ended, HookFailed, run_hook


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
    hangs = hook(tmp_path, f"sleep 1000 & echo $! > {tmp_path}/child; wait")
    with pytest.raises(HookFailed) as caught:
        run_hook(hangs, "1", "2", tmp_path / "log", longest=0.5)
    assert str(tmp_path / "log") in caught.value.hint
    stat = Path("/proc", (tmp_path / "child").read_text().strip(), "stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"
