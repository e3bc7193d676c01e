"""BMCs of lab machines: OpenIPMI's `ipmi_sim`, one process a machine."""

import os
import time
from collections.abc import Sequence
from ipaddress import IPv4Address
from pathlib import Path

from edeploy import atomic
from edeploy.errors import EdeployError
from edeploy.lab import network, timeouts
from edeploy.lab.folder import MachineFolder
from edeploy.lab.processes import read_pid
from edeploy.lab.rack import IPMI_PORT, Machine
from edeploy.run import run

PROGRAM = "ipmi_sim"

_LOOK_AGAIN = 0.01
"""The kernel offers no event for another process's socket, so its table is read until then."""

_LAST_LINES = 5

_CONFIG = """\
name "{name}"
set_working_mc 0x20
  startlan 1
    addr {address} {port}
    priv_limit admin
    allowed_auths_callback none
    allowed_auths_user md5
    allowed_auths_operator md5
    allowed_auths_admin md5
    guid {guid}
  endlan
  chassis_control "{script}"
  user 1 false "" "" user 1 none
  user 2 true "{username}" "{password}" admin 10 md5
"""

_COMMANDS = """\
mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable 0x20 1000 0x0a
mc_enable 0x20
"""


class BmcNotStarted(EdeployError):
    """A lab machine's BMC ended at once or does not listen."""


def write_config(machine: Machine, folder: MachineFolder, password: str) -> None:
    """Write what `ipmi_sim` reads; 0600, as it has the password."""
    script = str(folder.chassis_script)
    if any(character in script for character in "\"'$ \\"):
        raise EdeployError(
            f"{script}: ipmi_sim can not start a program of this path",
            "Choose a lab folder without spaces, quotes, $ and backslash.",
        )
    text = _CONFIG.format(
        name=machine.name,
        address=machine.bmc.address,
        port=IPMI_PORT,
        guid=machine.smbios.uuid.hex,
        script=script,
        username=machine.bmc.username,
        password=password,
    )
    atomic.write(folder.bmc_config, text, mode=0o600)
    atomic.write(folder.bmc_commands, _COMMANDS)


def start_bmc(machine: Machine, folder: MachineFolder, namespace: str) -> None:
    """Start the BMC in the namespace and return once it listens. Raises BmcNotStarted."""
    folder.bmc_state.mkdir(exist_ok=True)
    argv = [
        PROGRAM,
        "--config-file", str(folder.bmc_config),
        "--command-file", str(folder.bmc_commands),
        "--state-dir", str(folder.bmc_state),
        "--nostdio",
    ]  # fmt: skip
    folder.bmc_pid.unlink(missing_ok=True)
    with folder.bmc_log.open("w") as log:
        run(_detached(folder.bmc_pid, network.inside(namespace, argv)), log=log)
    deadline = time.monotonic() + timeouts.BMC_START
    while not _listens(folder, machine.bmc.address):
        if _ended(folder) or time.monotonic() > deadline:
            raise BmcNotStarted(
                f"machine {machine.name}: its BMC does not listen on {machine.bmc.address}"
                f"{_last_lines(folder.bmc_log)}",
                f"Look into {folder.bmc_log}.",
            )
        time.sleep(_LOOK_AGAIN)


def _detached(pid_file: Path, argv: Sequence[str]) -> list[str]:
    """The program as nobody's child, its id in a file; `exec` keeps the id."""
    script = 'echo $$ > "$0" && exec "$@"'
    return ["setsid", "--fork", "sh", "-c", script, os.fspath(pid_file), *argv]


def _ended(folder: MachineFolder) -> bool:
    try:
        pid = folder.bmc_pid.read_text().strip()
    except FileNotFoundError:
        return False
    return bool(pid) and not Path("/proc", pid).exists()


def _listens(folder: MachineFolder, address: IPv4Address) -> bool:
    pid = read_pid(folder.bmc_pid, PROGRAM)
    if pid is None:
        return False
    try:
        table = Path("/proc", str(pid), "net", "udp").read_text()
    except OSError:
        return False
    local = f"{int.from_bytes(address.packed, 'little'):08X}:{IPMI_PORT:04X}"
    return any(local in line.split()[1:2] for line in table.splitlines())


def _last_lines(path: Path) -> str:
    lines = path.read_text(errors="replace").splitlines()[-_LAST_LINES:]
    return "".join(f"\n  | {line}" for line in lines)
