"""Trials where systemd-boot is the loader: it counts the tries in the names of its entries."""

from collections.abc import Iterator

import pytest
from plain import NAME, Plain
from trials import DEAD, LAME, Trials, heir_of_base, machine_of

from edeploy.images.store import Store

pytestmark = pytest.mark.long
ROLE = "stub"
# The disk was made for GRUB, whose place on the ESP the other one takes.
CHANGE_LOADER = """
set -e
bootctl install --esp-path=/boot/efi
python3 - <<END
import sys
from pathlib import Path
sys.path.insert(0, "/usr/sbin/edeploy-node")
from edeploy.node.boot.disk import boot_disk
from edeploy.node.boot.systemd_boot import SystemdBootLoader
from edeploy.node.upgrade.places import Places
places = Places(Path("/sysroot"))
names = list(places.deployed())
SystemdBootLoader(places, Path("/boot/efi"), boot_disk(places.root).root).prepare(names, names[0])
END
systemctl reboot
"""


def entries(machine: Plain) -> list[str]:
    """The names of what systemd-boot may start."""
    return machine.ask(NAME, ["ls", "/boot/efi/loader/entries"]).split()


@pytest.fixture(scope="module")
def trials(images: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    """A machine with UEFI that systemd-boot has started."""
    folder = tmp_path_factory.mktemp("systemd-boot")
    roles = heir_of_base(folder, ROLE, ["systemd-boot"])
    with machine_of(ROLE, roles, images, folder, firmware="uefi") as machine:
        before = machine.seen_when(NAME, "idle").boot
        machine.ask(NAME, ["sh"], stdin=CHANGE_LOADER, check=False)
        machine.seen_when(NAME, "idle", not_in=before)
        yield Trials(machine, ROLE, "systemd-boot counts the tries")


def test_the_version_is_started_by_it(trials: Trials) -> None:
    machine = trials.machine
    assert "systemd-boot" in machine.ask(NAME, ["bootctl", "status"])
    assert f"edeploy={trials.good}" in machine.ask(NAME, ["cat", "/proc/cmdline"]).split()
    assert entries(machine) == [f"edeploy-{trials.good}.conf"]


def test_a_kernel_that_panics(trials: Trials) -> None:
    panics = trials.machine.console(NAME).count(b"Kernel panic")
    trials.refuse({**DEAD, "tries": 2}, "did not come up")
    assert trials.machine.console(NAME).count(b"Kernel panic") - panics == 2
    assert f"edeploy-{trials.trial}+" not in " ".join(entries(trials.machine))


def test_a_check_that_fails(trials: Trials) -> None:
    trials.refuse({**LAME, "tries": 1}, "the replica is behind")


def test_a_good_one_is_confirmed_and_stays(trials: Trials) -> None:
    trials.confirm()
    both = [f"edeploy-{name}.conf" for name in (trials.good, trials.trial)]
    assert entries(trials.machine) == both
