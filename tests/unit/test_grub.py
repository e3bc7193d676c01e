"""GRUB's configuration from what an image has, as text."""

import pytest

from edeploy.node.boot import settings
from edeploy.node.boot.kernels import Kernel, NoKernel, find_kernels
from edeploy.node.install import grub
from edeploy.node.install.grub import Boot


def test_newest_kernel_first_with_its_initrd() -> None:
    names = ["vmlinuz-6.1.0-9-amd64", "vmlinuz-6.1.0-10-amd64", "initrd.img-6.1.0-9-amd64", "grub"]
    assert find_kernels(names) == (
        Kernel("6.1.0-10-amd64", "vmlinuz-6.1.0-10-amd64", ""),
        Kernel("6.1.0-9-amd64", "vmlinuz-6.1.0-9-amd64", "initrd.img-6.1.0-9-amd64"),
    )


def test_kernels_of_fedora_without_the_rescue_one() -> None:
    names = ["vmlinuz-6.5.6-300.fc39", "initramfs-6.5.6-300.fc39.img", "vmlinuz-0-rescue-12ab"]
    assert [kernel.initrd for kernel in find_kernels(names)] == ["initramfs-6.5.6-300.fc39.img"]


def test_an_image_without_a_kernel() -> None:
    with pytest.raises(NoKernel) as caught:
        find_kernels(["config-6.1"])
    assert "packages" in caught.value.hint


@pytest.mark.parametrize(
    ("texts", "arguments"),
    [
        ([], ""),
        (['GRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX="a=1"\n'], "a=1 quiet"),
        (["# GRUB_CMDLINE_LINUX=x\nGRUB_CMDLINE_LINUX=''  # none\n"], ""),
        (["GRUB_CMDLINE_LINUX=a", 'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX b"'], "a b"),
        (["GRUB_CMDLINE_LINUX=a", "GRUB_CMDLINE_LINUX=${GRUB_CMDLINE_LINUX}b"], "ab"),
        (['GRUB_CMDLINE_LINUX="unclosed'], ""),
        (["GRUB_CMDLINE_LINUX=$(reboot)"], "$(reboot)"),
    ],
)
def test_a_roles_own_arguments(texts: list[str], arguments: str) -> None:
    assert settings.role_arguments(texts) == arguments


@pytest.mark.parametrize(
    ("wanted", "running", "arguments"),
    [
        ([], "quiet console=ttyS0,115200 SERV=192.0.2.1", "console=ttyS0,115200"),
        (["a  b", "c"], "", "a b c"),
        (["console=tty0"], "console=ttyS0", "console=tty0"),
    ],
)
def test_consoles_come_from_the_running_kernel_unless_given(
    wanted: list[str], running: str, arguments: str
) -> None:
    assert settings.kernel_arguments(wanted, running) == arguments


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        ("console=tty0", ""),
        ("console=tty0 console=ttyS1,57600n8", "serial --unit=1 --speed=57600"),
        ("console=ttyS0", "serial --unit=0 --speed=9600"),
    ],
)
def test_grubs_own_serial_console(arguments: str, command: str) -> None:
    assert settings.serial_command(arguments) == command


ACCESS = ("insmod xfs", "search --no-floppy --fs-uuid --set=root b00t")


def test_boot_on_a_file_system_of_its_own() -> None:
    kernels = (Kernel("6.1", "vmlinuz-6.1", "initrd.img-6.1"),)
    text = grub.config(Boot("It's Linux", ACCESS, "", kernels, "root=UUID=r00t ro quiet", ""))
    assert "\n".join(ACCESS) in text
    assert "menuentry 'Its Linux, Linux 6.1' {" in text
    assert "\tlinux /vmlinuz-6.1 root=UUID=r00t ro quiet\n\tinitrd /initrd.img-6.1\n" in text
    assert "serial" not in text


def test_a_screen_for_the_kernel_by_uefi_and_a_serial_console_by_bios() -> None:
    kernels = (Kernel("6.1", "vmlinuz-6.1", ""),)
    text = grub.config(Boot("Linux", ACCESS, "/boot", kernels, "", "serial --unit=0"))
    uefi, _, bios = text.partition("else\n")
    assert uefi.endswith(
        'if [ "${grub_platform}" = efi ]; then\n\tinsmod all_video\n\tset gfxpayload=keep\n'
    )
    assert bios.startswith("\tserial --unit=0\n\tterminal_input console serial\n")
    assert "initrd" not in text


def test_title() -> None:
    assert settings.title_of('NAME=x\nPRETTY_NAME="Debian 12"\n') == "Debian 12"
    assert settings.title_of("") == "Linux"


def test_the_loader_of_uefi_finds_boot_by_its_uuid() -> None:
    assert grub.early("b00t", "") == "search.fs_uuid b00t root\nset prefix=($root)/grub\n"
    assert grub.early("b00t", "/boot").endswith("set prefix=($root)/boot/grub\n")
