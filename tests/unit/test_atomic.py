"""Files that are there whole or not at all."""

from pathlib import Path

import pytest

from edeploy import atomic


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    atomic.write(path, "old")
    atomic.write(path, b"\x00new", mode=0o600)
    assert path.read_bytes() == b"\x00new"
    assert path.stat().st_mode & 0o7777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "kept").write_text("kept")
    with pytest.raises(IsADirectoryError):
        atomic.write(target, "new")
    assert [one.name for one in tmp_path.iterdir()] == ["target"]
    assert (target / "kept").read_text() == "kept"


def test_text_that_has_no_bytes_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    atomic.write(path, "old")
    with pytest.raises(UnicodeEncodeError):
        atomic.write(path, "\ud800")
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        atomic.write(tmp_path / "gone" / "file", "x")
