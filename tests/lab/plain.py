"""A machine that starts from a disk's file, in a network with nothing but DHCP."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from doors import Doors, ssh
from racks import PATIENCE

from edeploy.bmc.power import Action
from edeploy.lab.power import power
from edeploy.lab.status import machines
from edeploy.lab.up import Lab, running
from edeploy.run import run

GIB = 1 << 30
NAME, ADDRESS, MAC = "machine", "10.79.0.11", "52:54:00:d1:00:01"
RACK = """
name: {rack}
network: {{address: 10.79.0.1/24}}
machines:
  - name: {name}
    firmware: {firmware}
    memory: 1G
    cpus: 2
    disks: [{disks}]
    nics: [{{model: virtio, mac: "{mac}"}}]
    bmc: {{address: 10.79.0.201}}
    boot: [disk]
"""


@dataclass(frozen=True)
class Plain(Doors):
    """The one machine of a lab, which lets us in."""

    lab: Lab
    key: Path

    def ask(self, name: str, words: list[str], *, stdin: str = "", check: bool = True) -> str:
        """See `Doors.ask`."""
        argv = ssh(self.key, ADDRESS, words)
        return run(self.lab.inside(argv), stdin=stdin, check=check, timeout=PATIENCE).out

    def console(self, name: str) -> bytes:
        """See `Doors.console`."""
        return self.lab.folder.machine(name).console_log.read_bytes()


@contextmanager
def started(
    rack: str, disk: Path, folder: Path, *, firmware: str, bus: str = "virtio", disks: int = 1
) -> Iterator[Lab]:
    """The machine, on its way up from a copy of `disk` with 4 GiB; further disks are empty."""
    each = ", ".join([f"{{bus: {bus}, size: 4G}}"] * disks)
    file = folder / f"{rack}.yaml"
    file.write_text(RACK.format(rack=rack, name=NAME, firmware=firmware, disks=each, mac=MAC))
    with running(file) as found:
        words = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0",
                 "--no-ping", "--interface=br0", "--dhcp-range=10.79.0.10,10.79.0.99",
                 "--dhcp-option=option:dns-server,10.79.0.1", "--leasefile-ro", "--pid-file",
                 f"--log-facility={folder}/dhcp.log", f"--dhcp-host={MAC},{ADDRESS}"]  # fmt: skip
        dhcp = subprocess.Popen(found.inside(words))
        try:
            (machine,) = machines(found.folder)
            first = machine.folder.disk(0)
            run(["cp", "--sparse=always", disk, first])
            os.truncate(first, 4 * GIB)
            assert power(machine, Action.ON) == "on"
            yield found
        finally:
            dhcp.terminate()
            dhcp.wait()
