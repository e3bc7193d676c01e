"""Finds out whether a guest really boots under KVM."""

import tempfile
import time
from enum import Enum
from pathlib import Path

from edeploy.lab import timeouts
from edeploy.lab.firmware import find_ipxe_kernel
from edeploy.run import ProgramFailed, run

KVM = Path("/dev/kvm")


class Accel(Enum):
    """How QEMU runs the guest's instructions: `-accel` takes the value."""

    KVM = "kvm"
    TCG = "tcg,thread=multi"


def choose_accel() -> Accel:
    """KVM when a guest boots under it at least half as fast as under TCG, else TCG.

    A /dev/kvm that opens and then does not run guests is common inside virtual machines.
    Raises ProgramMissing, FirmwareMissing.
    """
    if not KVM.exists():
        return Accel.TCG
    start = time.monotonic()
    if not boots_under(Accel.TCG, timeouts.GUEST_PROBE):
        return Accel.TCG
    emulated = time.monotonic() - start
    return Accel.KVM if boots_under(Accel.KVM, 2 * emulated) else Accel.TCG


def boots_under(accel: Accel, limit: float) -> bool:
    """Whether iPXE starts and, as its script tells it, restarts the machine in `limit` seconds.

    A boot sector of a few instructions is not enough: there are hosts where KVM runs one, in
    real mode and slowly, and fails at the first real program. Raises as `choose_accel`.
    """
    kernel = find_ipxe_kernel()
    with tempfile.TemporaryDirectory(prefix="edeploy-probe-") as folder:
        script = Path(folder, "script.ipxe")
        script.write_text("#!ipxe\nreboot\n")
        argv = [
            "qemu-system-x86_64",
            "-machine", "pc,graphics=off",
            "-accel", accel.value,
            "-m", "256",
            "-nodefaults",
            "-display", "none",
            "-kernel", str(kernel),
            "-initrd", str(script),
            "-no-reboot",
        ]  # fmt: skip
        try:
            return run(argv, timeout=limit, check=False).code == 0
        except ProgramFailed:
            return False
