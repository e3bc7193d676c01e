"""The BMC file: what it must be, and what is said of one that is not."""

from pathlib import Path

import pytest

from edeploy.bmc.file import Bmc, find_bmc, load_bmcs, write_bmcs
from edeploy.errors import EdeployError

GOOD = """\
- name: one
  address: 10.0.0.5
  username: root
  password: secret word
  serial: 0042
- {name: two, address: bmc-2.example.org, port: 6230, username: a, password: b,
   mac: "52:54:00:AA:00:01"}
"""


def read(tmp_path: Path, text: str, mode: int = 0o600) -> tuple[Bmc, ...]:
    path = tmp_path / "bmc.yaml"
    path.write_text(text)
    path.chmod(mode)
    return load_bmcs(path)


def test_values_are_the_text_that_is_written(tmp_path: Path) -> None:
    one, two = read(tmp_path, GOOD)
    assert one == Bmc("one", "10.0.0.5", 623, "root", "secret word", "0042", None)
    assert (two.address, two.port, two.mac) == ("bmc-2.example.org", 6230, "52:54:00:aa:00:01")


def test_an_empty_file_has_no_bmcs(tmp_path: Path) -> None:
    assert read(tmp_path, "") == ()


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    bmcs = read(tmp_path, GOOD)
    write_bmcs(tmp_path / "copy.yaml", bmcs)
    assert load_bmcs(tmp_path / "copy.yaml") == bmcs
    assert (tmp_path / "copy.yaml").stat().st_mode & 0o777 == 0o600


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    assert "secret" not in repr(read(tmp_path, GOOD))


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(EdeployError, match=f"bmc.yaml: mode {mode:04o}") as error:
        read(tmp_path, GOOD, mode)
    assert error.value.hint == f"chmod 600 {tmp_path}/bmc.yaml"


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("address: 10.0.0.5", "address: 10.0.0", 2, "no IP address"),
        ("address: 10.0.0.5", "address: a b", 2, "no IP address"),
        ("name: one", "name: ../one", 1, "no name for a BMC"),
        ("name: one", "name: two", 6, "'two' is given twice"),
        ("6230", "70000", 6, "no port number"),
        ("52:54:00:AA:00:01", "52:54", 7, "no MAC"),
        ("  serial: 0042\n", "", 1, "neither serial nor mac"),
        ("  username: root\n", "", 1, "'username' is missing"),
        ("username: root", "user: root", 3, "unknown key 'user'"),
        ("- name: one", "- one", 1, "keys with values"),
        (GOOD, "bmcs: []", 1, "a list"),
    ],
)
def test_mistakes_are_told_with_their_line(
    tmp_path: Path, old: str, new: str, line: int, words: str
) -> None:
    text = GOOD.replace(old, new, 1)
    if new == "- one":
        text = "- one\n"
    with pytest.raises(EdeployError) as error:
        read(tmp_path, text)
    assert error.value.message.startswith(f"{tmp_path}/bmc.yaml:{line}:")
    assert words in error.value.message


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(EdeployError, match="No such file"):
        load_bmcs(tmp_path / "none.yaml")


def test_an_unknown_name_is_answered_with_those_there_are(tmp_path: Path) -> None:
    bmcs = read(tmp_path, GOOD)
    assert find_bmc(bmcs, "two") is bmcs[1]
    with pytest.raises(EdeployError, match="'three'") as error:
        find_bmc(bmcs, "three")
    assert "one, two" in error.value.hint
