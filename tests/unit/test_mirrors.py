"""Mirrors: found in this machine's apt sources, in each form that Debian writes them."""

from pathlib import Path

import pytest

from edeploy.errors import EdeployError
from edeploy.images.packages.mirrors import NoMirror, debian_sources, host_suite

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    (tmp_path / "apt/sources.list.d").mkdir(parents=True)
    (tmp_path / "os-release").write_text('NAME="Debian"\nID=debian\nVERSION_CODENAME=bookworm\n')
    return tmp_path


def lines(etc: Path, suite: str = "bookworm", **settings: str) -> list[str]:
    return [source.one_line() for source in debian_sources(suite, etc=etc, **settings)]


def test_one_line_sources(etc: Path) -> None:
    (etc / "apt/sources.list").write_text(
        "# deb http://commented.example/debian bookworm main\n"
        "deb http://mirror.example/debian/ bookworm main contrib # local\n"
        "deb-src http://mirror.example/debian/ bookworm main\n"
        f"deb [arch=amd64 signed-by={KEYRING}] http://sec.example/s bookworm-security main\n"
    )
    assert lines(etc) == [
        "deb http://mirror.example/debian/ bookworm main non-free-firmware",
        "deb http://mirror.example/debian/ bookworm-updates main non-free-firmware",
        f"deb [signed-by={KEYRING}] http://sec.example/s bookworm-security main non-free-firmware",
    ]


def test_deb822_sources_and_third_parties(etc: Path) -> None:
    (etc / "apt/sources.list.d/a-vendor.list").write_text(
        "deb [signed-by=/etc/apt/keyrings/vendor.asc] http://vendor.example/apt bookworm main\n"
        "deb http://plain-vendor.example/apt bookworm main\n"
    )
    (etc / "apt/sources.list.d/debian.sources").write_text(
        "# made by the installer\nTypes: deb deb-src\nURIs: http://mirror.example/debian\n"
        f"Suites: bookworm bookworm-updates\nComponents: main\nSigned-By: {KEYRING}\n\n"
        "Enabled: no\nTypes: deb\nURIs: http://off.example/debian\n"
        "Suites: bookworm-security\nComponents: main\n\n"
        "Types: deb\nURIs: http://mirror.example/debian-security\n"
        f"Suites: bookworm-security\nComponents: main\nSigned-By: {KEYRING}\n"
    )
    found = debian_sources("trixie", etc=etc)
    assert [(source.url, source.suite) for source in found] == [
        ("http://mirror.example/debian", "trixie"),
        ("http://mirror.example/debian", "trixie-updates"),
        ("http://mirror.example/debian-security", "trixie-security"),
    ]
    assert f"Signed-By: {KEYRING}" in found[0].stanza()


def test_a_list_of_mirrors_in_a_file(etc: Path) -> None:
    (etc / "apt/mirrors.list").write_text("# cloud\nhttp://near.example/debian\tpriority:1\n")
    (etc / "apt/sources.list.d/debian.sources").write_text(
        "Types: deb\nURIs: mirror+file:/etc/apt/mirrors.list\n"
        "Suites: bookworm bookworm-updates\nComponents: main\n"
    )
    assert lines(etc)[0].startswith("deb http://near.example/debian bookworm ")


def test_what_the_operator_says_wins(etc: Path) -> None:
    (etc / "apt/sources.list").write_text("deb http://mirror.example/debian bookworm main\n")
    found = lines(etc, mirror="http://own.example/d", security_mirror="http://own.example/s")
    assert [line.split()[1] for line in found] == ["http://own.example/d"] * 2 + [
        "http://own.example/s"
    ]


def test_no_mirror_says_how_to_name_one(etc: Path) -> None:
    with pytest.raises(NoMirror, match="EDEPLOY_MIRROR"):
        debian_sources("bookworm", etc=etc)


def test_credentials_would_be_in_the_image(etc: Path) -> None:
    (etc / "apt/sources.list").write_text("deb http://u:secret@m.example/d bookworm main\n")
    with pytest.raises(EdeployError) as error:
        debian_sources("bookworm", etc=etc)
    assert "auth.conf.d" in str(error.value) and "secret" not in str(error.value)


def test_the_release_of_this_machine(etc: Path) -> None:
    assert host_suite(etc) == "bookworm"
    (etc / "os-release").write_text("ID=other\n")
    with pytest.raises(NoMirror, match="suite: NAME"):
        host_suite(etc)
