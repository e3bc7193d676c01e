"""Names from outside, and where they may lead."""

from pathlib import Path

import pytest

from edeploy.names import BadName, checked, under


@pytest.mark.parametrize("text", ["web", "D7-H.1.0.0", "a_b+c", "0", "x" * 128])
def test_good_names(text: str) -> None:
    assert checked(text, "role") == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a..b",
        "-a",
        ".a",
        "a/b",
        "/a",
        "a b",
        "a\n",
        "é",
        "a\x00",
        "x" * 129,
        "$(id)",
    ],
)
def test_bad_names(text: str) -> None:
    with pytest.raises(BadName, match="is no name for a role"):
        checked(text, "role")


def test_a_path_stays_under_its_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (tmp_path / "secret").touch()
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "inside").symlink_to(root / "a")
    assert under(root, "a", "b") == root / "a" / "b"
    assert under(root, "inside") == root / "a"
    for parts in (("..", "secret"), ("link",), ("a", "..", "..", "secret"), ("/etc/passwd",)):
        with pytest.raises(BadName, match="leads out of"):
            under(root, *parts)
