"""What a lab machine's BMC does to the machine: start, kill, reset, boot device for once.

`ipmi_sim` calls the script that `chassis_script` writes, for each request and each look at the
power state; the script answers the power state itself and leaves the rest to this module.
"""

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from edeploy import atomic
from edeploy.errors import EdeployError
from edeploy.lab import qmp, timeouts
from edeploy.lab.folder import MachineFolder
from edeploy.lab.processes import kill, read_pid
from edeploy.run import run

QEMU = "qemu-system-x86_64"

_BOOT_DEVICES = {"pxe": "network", "default": "disk"}
"""What ipmi_sim calls the boot devices of IPMI: its `default` is the default disk."""

_SCRIPT = """\
#!/bin/sh
# The machine's switch, for ipmi_sim; it asks for the power state most, so that starts no program.
if [ "$1 $2" = "get power" ]; then
    { read -r pid < PIDFILE && read -r id name state rest < "/proc/$pid/stat"; } 2>/dev/null
    case "$name $state" in
        "(QEMU) "[ZX]) echo power:0 ;;
        "(QEMU) "?) echo power:1 ;;
        *) echo power:0 ;;
    esac
    exit 0
fi
# A machine that inherits the BMC's sockets would keep its port.
exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
exec PYTHON -I -m edeploy.lab.chassis FOLDER "$@"
"""


@dataclass(frozen=True)
class Commands:
    """How to start a machine, and its boot devices in order.

    `starts` and `orders` have an entry for each of "" (the usual order), "network" and "disk"
    (that first, for once).
    """

    starts: dict[str, list[str]]
    orders: dict[str, list[str]]


def write_chassis(folder: MachineFolder, commands: Commands) -> None:
    """Write the script and the command lines into the machine's folder."""
    document = {"starts": commands.starts, "orders": commands.orders}
    atomic.write(folder.chassis_commands, json.dumps(document, indent=1))
    words = {
        "PIDFILE": str(folder.qemu_pid),
        "PYTHON": sys.executable,
        "FOLDER": str(folder.path),
    }
    text = _SCRIPT.replace("QEMU", QEMU[:15])
    for name, value in words.items():
        text = text.replace(name, shlex.quote(value))
    atomic.write(folder.chassis_script, text, mode=0o755)


def qemu_pid(folder: MachineFolder) -> int | None:
    """The machine's process, None when it is off."""
    return read_pid(folder.qemu_pid, QEMU)


def power_on(folder: MachineFolder) -> None:
    """Start the machine unless it runs; a boot device set for once counts for this start only."""
    if qemu_pid(folder) is not None:
        return
    commands = _read_commands(folder)
    once = _take_boot_once(folder)
    folder.qemu_pid.unlink(missing_ok=True)
    run(commands.starts[once], timeout=timeouts.QEMU_START)
    if once:
        with qmp.monitor(folder.monitor_socket) as monitor:
            _set_boot_order(monitor, commands, "")


def power_off(folder: MachineFolder) -> None:
    """Take the machine's power away."""
    pid = qemu_pid(folder)
    if pid is not None:
        kill(pid)
    folder.qemu_pid.unlink(missing_ok=True)


def reset(folder: MachineFolder) -> None:
    """The reset button; does nothing to a machine that is off."""
    if qemu_pid(folder) is None:
        return
    once = _take_boot_once(folder)
    commands = _read_commands(folder)
    with qmp.monitor(folder.monitor_socket) as monitor:
        _set_boot_order(monitor, commands, once)
        monitor.execute("system_reset")
        if once:
            # QEMU hands the order to the firmware at the reset, so it can change back after it.
            monitor.wait_event("RESET")
            _set_boot_order(monitor, commands, "")


def shut_down(folder: MachineFolder) -> None:
    """The power button, pressed shortly: the system may shut itself down."""
    if qemu_pid(folder) is not None:
        with qmp.monitor(folder.monitor_socket) as monitor:
            monitor.execute("system_powerdown")


def get_boot(folder: MachineFolder) -> str:
    """The boot device set for once, in ipmi_sim's words; `none` when there is none."""
    try:
        return folder.boot_once.read_text().strip()
    except FileNotFoundError:
        return "none"


def set_boot(folder: MachineFolder, device: str) -> None:
    """Set the boot device for the next start or reset, in ipmi_sim's words."""
    if device not in ("none", *_BOOT_DEVICES):
        raise EdeployError(f"a lab machine has no boot device {device!r}")
    atomic.write(folder.boot_once, device)


def _take_boot_once(folder: MachineFolder) -> str:
    device = get_boot(folder)
    folder.boot_once.unlink(missing_ok=True)
    return _BOOT_DEVICES.get(device, "")


def _set_boot_order(monitor: qmp.Monitor, commands: Commands, first: str) -> None:
    def put(device: str, place: int) -> None:
        path = f"/machine/peripheral/{device}"
        monitor.execute("qom-set", path=path, property="bootindex", value=place)

    # Two devices may not have the same place, not even for a moment.
    for device in {device for order in commands.orders.values() for device in order}:
        put(device, -1)
    for place, device in enumerate(commands.orders[first], 1):
        put(device, place)


def _read_commands(folder: MachineFolder) -> Commands:
    document = json.loads(folder.chassis_commands.read_text())
    return Commands(document["starts"], document["orders"])


def main(words: list[str]) -> int:
    """`FOLDER get|set NAME [VALUE]`, as ipmi_sim calls it; errors go to the BMC's log."""
    folder = MachineFolder(Path(words[0]))
    request = " ".join(words[1:4])
    try:
        if request == "get boot":
            print(f"boot:{get_boot(folder)}")
        elif request.startswith("set boot "):
            set_boot(folder, words[3])
        elif request == "set power 1":
            power_on(folder)
        elif request == "set power 0":
            power_off(folder)
        elif request == "set reset 1":
            reset(folder)
        elif request == "set shutdown 1":
            shut_down(folder)
        elif not request.startswith("set identify "):
            raise EdeployError(f"a lab machine can not do {request!r}")
    except EdeployError as error:
        print(f"chassis: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
