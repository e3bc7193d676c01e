import pytest

from edeploy.node.kexec import Entry, NoKernel, choose, entries

GRUB = """\
menuentry 'Debian GNU/Linux' --class debian {
\tsearch --no-floppy --fs-uuid --set=root 1-2
\techo\t'Loading Linux 6.1.0-56 ...'
\tlinux\t/boot/vmlinuz-6.1.0-56 root=UUID=1-2 ro console=ttyS0 $vt_handoff
\tinitrd\t/boot/initrd.img-6.1.0-56
}
submenu 'Advanced options' {
\tlinux\t/boot/vmlinuz-6.1.0-50 root=UUID=1-2 ro single
\tinitrd\t/boot/initrd.img-6.1.0-50
\tlinux\t/boot/xen-less
}
"""


def test_the_first_entry_is_what_grub_would_boot() -> None:
    assert choose(entries(GRUB), "") == Entry(
        "/boot/vmlinuz-6.1.0-56",
        "/boot/initrd.img-6.1.0-56",
        "root=UUID=1-2 ro console=ttyS0",
        "Debian GNU/Linux",
    )


@pytest.mark.parametrize("wanted", ["6.1.0-50", "vmlinuz-6.1.0-50", "/boot/vmlinuz-6.1.0-50"])
def test_a_kernel_by_name_or_path(wanted: str) -> None:
    assert choose(entries(GRUB), wanted).initrd == "/boot/initrd.img-6.1.0-50"


def test_an_entry_without_initrd() -> None:
    last = entries(GRUB)[-1]
    assert (last.kernel, last.initrd, last.arguments) == ("/boot/xen-less", "", "")


def test_a_kernel_that_is_not_there() -> None:
    with pytest.raises(NoKernel, match=r"no kernel 7: there is /boot/vmlinuz-6\.1\.0-56"):
        choose(entries(GRUB), "7")
    with pytest.raises(NoKernel):
        choose([], "")


def test_a_version_of_several_by_its_kernel() -> None:
    text = (
        "menuentry 'web-1.0.1: Debian, Linux 6.1.0-50' --id edeploy-web-1.0.1 {\n"
        "\tlinux /boot/edeploy/web-1.0.1/vmlinuz root=UUID=1 ro edeploy=web-1.0.1 ${edeploy_mark}\n"
        "\tinitrd /boot/edeploy/web-1.0.1/initrd\n}\n"
    )
    found = choose(entries(text), "vmlinuz-6.1.0-50")
    assert found.arguments == "root=UUID=1 ro edeploy=web-1.0.1"
    with pytest.raises(NoKernel):
        choose(entries(text), "6.1.0-5")
