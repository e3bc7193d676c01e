"""Where a lab keeps its files."""

from dataclasses import dataclass
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.names import checked, under

LAB_ROOT = Path("/var/lib/edeploy/lab")

_SOCKET_PATH = 107
"""Longest path of a unix socket that the kernel takes."""


@dataclass(frozen=True)
class MachineFolder:
    """Files of one machine of a lab."""

    path: Path

    @property
    def console_log(self) -> Path:
        return self.path / "console.log"

    @property
    def console_socket(self) -> Path:
        return self.path / "console.sock"

    @property
    def monitor_socket(self) -> Path:
        return self.path / "qmp.sock"

    @property
    def qemu_pid(self) -> Path:
        return self.path / "qemu.pid"

    @property
    def variables(self) -> Path:
        """The machine's own copy of OVMF's variables."""
        return self.path / "vars.fd"

    @property
    def chassis_script(self) -> Path:
        """What ipmi_sim calls to switch the machine."""
        return self.path / "chassis"

    @property
    def chassis_commands(self) -> Path:
        """The command lines that the script starts."""
        return self.path / "chassis.json"

    @property
    def boot_once(self) -> Path:
        """Holds the boot device of the next start, when the BMC was told one."""
        return self.path / "boot-once"

    @property
    def bmc_log(self) -> Path:
        return self.path / "bmc.log"

    @property
    def bmc_pid(self) -> Path:
        return self.path / "bmc.pid"

    @property
    def bmc_config(self) -> Path:
        return self.path / "bmc.lan.conf"

    @property
    def bmc_commands(self) -> Path:
        return self.path / "bmc.emu"

    @property
    def bmc_state(self) -> Path:
        return self.path / "bmc.state"

    def disk(self, number: int) -> Path:
        return self.path / f"disk{number}.raw"


@dataclass(frozen=True)
class LabFolder:
    """Files of one lab, and the names that come from its own name."""

    root: Path
    name: str

    @property
    def path(self) -> Path:
        return under(self.root, checked(self.name, "lab"))

    @property
    def namespace(self) -> str:
        return f"edeploy-{checked(self.name, 'lab')}"

    @property
    def lock(self) -> Path:
        return self.root / f".{checked(self.name, 'lab')}.lock"

    @property
    def rack(self) -> Path:
        """The rack file as it was when the lab went up."""
        return self.path / "rack.yaml"

    @property
    def bmcs(self) -> Path:
        """The BMC file for `edeploy serve`, with addresses and passwords; 0600."""
        return self.path / "bmc.yaml"

    @property
    def ready(self) -> Path:
        """There once all of the lab runs; holds the accelerator's name."""
        return self.path / "ready"

    def machine(self, name: str) -> MachineFolder:
        """Raises EdeployError when its sockets would have too long a path."""
        folder = MachineFolder(under(self.path, checked(name, "machine")))
        if len(str(folder.console_socket)) > _SOCKET_PATH:
            raise EdeployError(
                f"{folder.console_socket}: too long a path for a socket",
                f"Choose a shorter lab folder; the kernel takes {_SOCKET_PATH} characters.",
            )
        return folder
