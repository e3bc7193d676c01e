"""What configure scripts set up on a BMC, against OpenIPMI's simulator."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edeploy.errors import EdeployError
from edeploy.node.install import ipmi

pytestmark = pytest.mark.skipif(
    not (shutil.which("ipmi_sim") and shutil.which("ipmitool")),
    reason="needs ipmi_sim (openipmi) and ipmitool",
)

USERS = "\n".join(
    f'  user {slot} false "" "" admin 10 none md2 md5 straight' for slot in range(3, 64)
)
CONFIG = """\
name "bmc"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 {port}
    priv_limit admin
    allowed_auths_callback none md2 md5 straight
    allowed_auths_user none md2 md5 straight
    allowed_auths_operator none md2 md5 straight
    allowed_auths_admin none md2 md5 straight
    guid a123456789abcdefa123456789abcdef
  endlan
  user 1 true "" "test" user 10 none md2 md5 straight
  user 2 true "admin" "adminpw" admin 10 none md2 md5 straight
{users}
"""
EMULATION = "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02\n"


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A BMC, and an ipmitool that speaks to it; what it was called with is in this file."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "lan.conf").write_text(CONFIG.format(port=port, users=USERS))
    (tmp_path / "sim.emu").write_text(f"{EMULATION}mc_enable 0x20\n")
    simulator = subprocess.Popen(
        ["ipmi_sim", "-c", "lan.conf", "-f", "sim.emu", "-n", "-s", tmp_path / "state"],
        cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    # -C 3: else ipmitool asks for the cipher suites, which the simulator never answers.
    lan = f"-I lanplus -C 3 -H 127.0.0.1 -p {port}"
    program = tmp_path / "bin/ipmitool"
    program.parent.mkdir()
    program.write_text(
        f"#!/bin/sh\nprintf '%s\\n' \"$*\" >> {tmp_path}/calls\n"
        f'exec {shutil.which("ipmitool")} {lan} -U "${{IPMI_USER:-admin}}" -E "$@"\n'
    )
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("IPMI_PASSWORD", "adminpw")
    deadline = time.monotonic() + 20
    while subprocess.run(["ipmitool", "mc", "info"], capture_output=True, check=False).returncode:
        assert time.monotonic() < deadline, "the simulator did not answer"
    yield tmp_path / "calls"
    simulator.terminate()
    simulator.wait()


def test_a_user_who_can_log_in(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ipmi.setup_user(1, "operator", "opens-sesame")
    ipmi.setup_user("1", "operator", "opens-sesame2")
    monkeypatch.setenv("IPMI_USER", "operator")
    monkeypatch.setenv("IPMI_PASSWORD", "opens-sesame2")
    status = ["ipmitool", "chassis", "status"]
    done = subprocess.run(status, capture_output=True, text=True, check=False)
    assert "System Power" in done.stdout, done.stderr
    text = calls.read_text()
    assert "user set name 3 operator" in text
    assert "user set name 4" not in text
    assert "sesame" not in text


def test_a_password_that_a_bmc_cannot_keep() -> None:
    with pytest.raises(EdeployError, match="1 to 16"):
        ipmi.setup_user(1, "operator", "x" * 17)
