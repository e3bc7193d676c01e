import json
import stat
from pathlib import Path

import pytest
from machines_api import machines_api

from edeploy.errors import EdeployError
from edeploy.node.callhome import BadNodeFile, call_home, read_node
from edeploy.node.main import main


def write_node(folder: Path, url: str) -> Path:
    path = folder / "node.json"
    path.write_text(
        json.dumps(
            {"server": url, "machine": "m1", "call_home": "s3cret", "role": "web",
             "version": "D12-1.0", "profile": "vm"}
        )
    )  # fmt: skip
    path.chmod(0o600)
    return path


def test_it_tells_the_server_and_forgets_the_secret(tmp_path: Path) -> None:
    with machines_api(lambda path, body: (200, {})) as api:
        path = write_node(tmp_path, api.url)
        assert "runs web D12-1.0" in call_home(path)
        assert "knows already" in call_home(path)
    [(asked, secret, _)] = api.asked
    assert (asked, secret) == ("/v1/call-home", "Bearer s3cret")
    [body] = api.bodies("/v1/call-home")
    assert (body["role"], body["version"]) == ("web", "D12-1.0")
    assert {"boot_id", "kernel", "uptime_seconds"} <= set(body)
    assert "s3cret" not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_node(path).server == api.url


def test_a_refusal_keeps_the_secret_for_the_next_try(tmp_path: Path) -> None:
    with machines_api(lambda path, body: (409, {"error": "m1 is failed"})) as api:
        path = write_node(tmp_path, api.url)
        with pytest.raises(EdeployError, match="m1 is failed") as caught:
            call_home(path)
    assert "edeploy machine log m1" in caught.value.hint
    assert read_node(path).call_home == "s3cret"
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"server": 1}', "\x00"])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "node.json"
    path.write_text(text)
    with pytest.raises(BadNodeFile, match=r"node\.json: not what an install writes"):
        read_node(path)
    with pytest.raises(BadNodeFile, match="No such file"):
        read_node(tmp_path / "missing")


def test_the_command_tells_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    from edeploy import __version__

    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"{__version__}\n"
    with pytest.raises(SystemExit, match="2"):
        main(["dance"])
