"""libvirt runs machines with KVM."""


def test_packages(host):
    for name in ("libvirt-daemon-system", "qemu-system-x86", "qemu-utils", "ovmf"):
        assert host.package(name).is_installed, name


def test_units(host):
    for unit in ("libvirtd.service", "libvirtd.socket", "virtlogd.socket"):
        assert host.run(f"systemctl is-enabled {unit}").stdout.strip() == "enabled", unit
    assert host.run("systemctl is-enabled libvirt-guests.service").stdout.strip() == "disabled"


def test_configuration_parses(host):
    host.check_output("virt-host-validate --version")
    host.check_output("libvirtd --version")
    assert "default" in host.file("/etc/libvirt/qemu/networks/default.xml").content_string


def test_qemu_knows_kvm(host):
    assert "kvm" in host.check_output("qemu-system-x86_64 -accel help")


def test_the_kernel_has_kvm(host):
    found = host.check_output("find /usr/lib/modules -name 'kvm-*.ko*'")
    assert "kvm-intel" in found and "kvm-amd" in found
