"""Which password is for which mirror; and none is ever told."""

from pathlib import Path

import pytest

from edeploy.errors import EdeployError
from edeploy.images.packages.passwords import password_for

FILE = """\
machine http://plain.example:8080/repo login one password first
machine packages.example
  login two
  password second
"""


@pytest.fixture
def auth(tmp_path: Path) -> str:
    path = tmp_path / "auth.conf"
    path.write_text(FILE)
    return str(path)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://plain.example:8080/repo/el9", ("one", "first")),
        ("http://plain.example:8080/other", None),
        ("http://plain.example/repo", None),
        ("https://packages.example/el9", ("two", "second")),
        # Not over the network in the clear, unless the file says so.
        ("http://packages.example/el9", None),
        ("https://packages.example.evil/", None),
        ("https://packages.example:8443/", ("two", "second")),
    ],
)
def test_the_entry_that_fits(auth: str, url: str, found: tuple[str, str] | None) -> None:
    assert password_for(auth, url) == found


def test_without_a_file() -> None:
    assert password_for("", "https://packages.example/") is None


def test_a_mistake_tells_no_password(tmp_path: Path) -> None:
    path = tmp_path / "auth.conf"
    path.write_text("machine packages.example s3cret login two password\n")
    with pytest.raises(EdeployError) as error:
        password_for(str(path), "https://packages.example/")
    assert "s3cret" not in str(error.value) and str(path) in str(error.value)
    with pytest.raises(EdeployError, match="not readable"):
        password_for(str(tmp_path / "missing"), "https://packages.example/")
