"""Trials where GRUB cannot count, as /boot is on RAID: kexec starts them, any reset ends them."""

from collections.abc import Iterator

import pytest
from plain import NAME
from trials import DEAD, LAME, Trials, heir_of_base, machine_of

from edeploy.images.store import Store

pytestmark = pytest.mark.long
ROLE = "mirrored"
# GRUB says so once, whatever consoles it has.
GRUB = b"GRUB loading."
# As somebody's /boot on two disks is, one of which is away.
MOVE_BOOT = """
set -e
mdadm --create /dev/md0 --run --level=1 --raid-devices=2 --metadata=1.2 /dev/vdb missing
mkfs.ext4 -q -O ^metadata_csum_seed,^orphan_file /dev/md0
mount /dev/md0 /mnt
umount /boot/efi
mv /boot/* /mnt/
umount /mnt
mount /dev/md0 /boot
echo "UUID=$(blkid -o value -s UUID /dev/md0) /boot ext4 defaults 0 2" >> /etc/fstab
grub-install /dev/vda
edeploy-node boot-entries
systemctl reboot
"""


@pytest.fixture(scope="module")
def trials(images: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    """A machine whose /boot is on a RAID."""
    folder = tmp_path_factory.mktemp("kexec")
    roles = heir_of_base(folder, ROLE, ["kexec-tools", "mdadm"])
    with machine_of(ROLE, roles, images, folder, firmware="bios", disks=2) as machine:
        before = machine.seen_when(NAME, "idle").boot
        machine.ask(NAME, ["sh"], stdin=MOVE_BOOT, check=False)
        machine.seen_when(NAME, "idle", not_in=before)
        yield Trials(machine, ROLE, "kexec starts a trial once")


def test_grub_starts_the_version_from_a_raid(trials: Trials) -> None:
    ask = trials.machine.ask
    assert "/dev/md" in ask(NAME, ["findmnt", "-no", "SOURCE", "/boot"])
    assert f"edeploy={trials.good}" in ask(NAME, ["cat", "/proc/cmdline"]).split()
    assert "save_env" not in ask(NAME, ["cat", "/boot/grub/edeploy.cfg"])


def test_a_kernel_that_panics(trials: Trials) -> None:
    trials.refuse(DEAD, "did not come up")


def test_a_check_that_fails(trials: Trials) -> None:
    trials.refuse(LAME, "the replica is behind")


def test_a_good_one_is_confirmed_and_stays(trials: Trials) -> None:
    starts = trials.machine.console(NAME).count(GRUB)
    trials.confirm()
    # The boot after the confirmation: the trial itself was started by no boot loader.
    assert trials.machine.console(NAME).count(GRUB) - starts == 1
