"""A real server: what other profiles would do to its machines."""

import json
import shutil
import subprocess
from pathlib import Path

from serving import EDEPLOY, Agent, Server, hardware, serving


def replayed(server: Server, folder: Path, *words: str, code: int) -> dict[str, object]:
    """The changes by machine."""
    done = subprocess.run(
        [str(EDEPLOY), "specs", "replay", "--json", "--server", "--dir", str(folder),
         "--socket", str(server.folder / "api.sock"), *words],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return {one["machine"]: one["change"] for one in json.loads(done.stdout)["machines"]}


def test_other_profiles_against_what_machines_have(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.start()
        agent = Agent(server.url, 1).client
        names = [
            agent.post("/v1/report", json=hardware(number)).raise_for_status().json()["machine"]
            for number in (1, 2)
        ]
        profiles = tmp_path / "profiles"
        assert replayed(server, profiles, code=0) == dict.fromkeys(names, "same")
        new = tmp_path / "new"
        shutil.copytree(profiles, new)
        text = (new / "web.cmdb").read_text()
        (new / "web.cmdb").write_text(text.replace("10.0.0.2'", "10.0.7.2'"))
        found = replayed(server, new, code=1)
        assert found == {names[0]: "same", names[1]: "changed"}
        report = tmp_path / "m1.json"
        report.write_text(server.edeploy("show", names[0], "--json"))
        found = replayed(server, new, str(report), code=0)
        assert found == {names[0]: "same", names[1]: "no report"}
