"""One rack in a box: a lab that is up, with a boot service of its own inside its network."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edeploy import atomic
from edeploy.errors import EdeployError
from edeploy.lab import timeouts
from edeploy.lab.folder import LAB_ROOT
from edeploy.lab.rack import Network
from edeploy.lab.up import Lab, running
from edeploy.run import LAST_LINES, run
from edeploy.server.client import NoServer, OperatorsClient

_FIRST_LEASE, _LAST_LEASE = 100, 149
"""Addresses for firmware and ramdisk; profiles of the lab give others to installed systems."""


@dataclass(frozen=True)
class Wishes:
    """What the service of a box works with. `settings` are lines added to its TOML."""

    store: Path
    profiles: Path
    folder: Path
    kernel: str = "cloud"
    settings: str = ""


class Service:
    """The `edeploy serve` of a box: a process that can be ended, killed and started again."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self._lab = lab
        self._config = folder / "edeploy.toml"
        self._log = folder / "serve.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.operators = OperatorsClient(folder / "api.sock")

    def start(self) -> None:
        """Start it and wait until it answers. EdeployError with its last lines when it ends."""
        argv = [sys.executable, "-m", "edeploy", "serve", "--config", str(self._config)]
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                self._lab.inside(argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + timeouts.SERVE_START
        while not self._answers():
            if self._process.poll() is not None:
                raise EdeployError(f"the boot service did not start\n{self._last_lines()}")
            if time.monotonic() > deadline:
                raise EdeployError(f"the boot service does not answer\n{self._last_lines()}")
            time.sleep(timeouts.POLL)

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it as a power cut would, with no chance to tidy up."""
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(timeouts.SERVE_STOP)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None

    def _answers(self) -> bool:
        try:
            self.operators.get("health")
        except NoServer:
            return False
        return True

    def _last_lines(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        return "\n".join(f"  | {line}" for line in lines)


@dataclass(frozen=True)
class Box:
    """A lab and its boot service, both running."""

    lab: Lab
    service: Service

    def power_on(self, name: str) -> None:
        """Switch a machine on through its BMC, by the service, as an operator would."""
        self.service.operators.post("machines", name, "power", body={"action": "on"})

    def fetch_page(self, address: str) -> str:
        """The page that a machine of the rack serves. EdeployError while it does not."""
        argv = ["curl", "--silent", "--show-error", "--fail", "--max-time", "5"]
        return run(self.lab.inside([*argv, f"http://{address}/"])).out


@contextmanager
def box(rack_file: Path, wishes: Wishes, *, root: Path = LAB_ROOT) -> Iterator[Box]:
    """A rack and its boot service for the length of a `with`; nothing of them runs after it.

    Raises EdeployError when the lab or the service does not come up.
    """
    wishes.folder.mkdir(parents=True, exist_ok=True)
    with running(rack_file, root=root) as lab:
        text = service_settings(lab.rack.network, lab.folder.bmcs, wishes)
        atomic.write(wishes.folder / "edeploy.toml", text)
        service = Service(lab, wishes.folder)
        service.start()
        try:
            yield Box(lab, service)
        finally:
            service.stop()


def service_settings(network: Network, bmcs: Path, wishes: Wishes) -> str:
    """The TOML of the service for a rack's network; see docs/reference/settings.md."""
    base = network.address.network.network_address
    dhcp = {
        "mode": "dhcp",
        "interface": "br0",
        "range_start": str(base + _FIRST_LEASE),
        "range_end": str(base + _LAST_LEASE),
        "netmask": str(network.address.netmask),
        "router_advertisement": str(network.ipv6.network) if network.ipv6 else "",
    }
    sections: dict[str, dict[str, object]] = {
        "server": {
            "address": str(network.address.ip),
            "socket": str(wishes.folder / "api.sock"),
            "state_dir": str(wishes.folder / "state"),
        },
        "store": {"path": str(wishes.store)},
        "profiles": {"path": str(wishes.profiles)},
        "dhcp": dict(dhcp),
        "boot": {"kernel": wishes.kernel, "console": ["ttyS0,115200"]},
        "bmc": {"file": str(bmcs)},
        "images": {"allow_unsigned": True},
    }
    lines = []
    for section, values in sections.items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n" + wishes.settings
