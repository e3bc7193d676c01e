"""The settings file: defaults, errors with their lines, and the reference page."""

from pathlib import Path

import pytest

from edeploy.errors import EdeployError
from edeploy.match.problems import BadFile
from edeploy.server.settings import Settings, load_settings
from edeploy.server.settings_reference import page

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"


def load(folder: Path, content: str) -> Settings:
    file = folder / "edeploy.toml"
    file.write_text(content)
    return load_settings(file)


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    assert load(tmp_path, "") == Settings()


def test_values_and_relative_paths(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        '[server]\nport = 80\nstate_dir = "state"\n[store]\npath = "/srv/store"\n'
        '[dhcp]\nmode = "proxy"\nrouter_advertisement = "fd77:65de::/64"\n'
        '[boot]\nconsole = ["ttyS0,115200"]\n[bmc]\nfile = "bmc.yaml"\n',
    )
    assert settings.server.port == 80
    assert settings.server.state_dir == tmp_path / "state"
    assert settings.store.path == Path("/srv/store")
    assert settings.dhcp.router_advertisement == "fd77:65de::/64"
    assert settings.boot.console == ("ttyS0,115200",)
    assert settings.bmc.file == tmp_path / "bmc.yaml"


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        ("[server]\nport = 0", 2, "between 1 and 65535"),
        ("[server]\n\nport = '80'", 3, "no whole number"),
        ("[server]\nprot = 80", 2, "did you mean port"),
        ("\n[sever]\nport = 80", 2, "did you mean server"),
        ("server = 1", 1, "write [server]"),
        ("[server]\naddress = 'ten'", 2, "address"),
        ("[dhcp]\nmode = 'yes'", 2, "not one of dhcp, proxy, off"),
        ("[dhcp]\nrouter_advertisement = 'fd77::/56'", 2, "64"),
        ("[dhcp]\ninterface = 'br0;reboot'", 2, "interface"),
        ("[boot]\nkernel_arguments = 'a ${b}'", 2, "iPXE"),
        ("[boot]\nkernel = '../x'", 2, "no name"),
        ("[rsync]\nenabled = 1", 2, "neither true nor false"),
        ("[server\nport = 80", 1, ""),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, content: str, line: int, words: str) -> None:
    with pytest.raises(BadFile) as error:
        load(tmp_path, content)
    assert error.value.message.startswith(f"{tmp_path / 'edeploy.toml'}:{line}:")
    assert words in error.value.message


def test_all_errors_at_once(tmp_path: Path) -> None:
    with pytest.raises(BadFile) as error:
        load(tmp_path, "[server]\nport = 0\n[dhcp]\nmode = 'x'\nfoo = 1\n")
    assert [problem.line for problem in error.value.problems] == [2, 4, 5]


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(EdeployError, match="No such file"):
        load_settings(tmp_path / "none.toml")


def test_the_reference_is_in_step() -> None:
    assert REFERENCE.read_text() == page(), (
        "run: python -m edeploy.server.settings_reference > docs/reference/settings.md"
    )
