"""A server that can build, serve and upgrade, and waits to be set up."""


def test_packages(host):
    for name in ("dnsmasq-base", "ipxe", "mmdebstrap", "rsync", "puppetserver", "ansible-core"):
        assert host.package(name).is_installed, name


def test_units(host):
    assert host.service("edeploy").is_enabled
    for unit in ("puppetserver", "puppet", "dnsmasq"):
        assert not host.service(unit).is_enabled, unit


def test_edeploy_runs(host):
    assert "edeploy" in host.check_output("edeploy --version")
    assert "no mistakes" in host.check_output("edeploy role lint")
    for noun in ("serve", "image", "ramdisk", "machine", "specs", "edge"):
        host.check_output(f"edeploy {noun} --help")


def test_programs_for_images_and_disks(host):
    for program in ("mmdebstrap", "dnf", "zstd", "rsync", "gpgv", "ssh-keygen", "sfdisk",
                    "mkfs.ext4", "mkfs.vfat", "mcopy", "qemu-img", "cpio"):  # fmt: skip
        assert host.exists(program), program


def test_settings_are_checked(host):
    said = host.run("edeploy serve --check")
    assert said.rc == 1 and "/etc/edeploy/edeploy.toml" in said.stderr


def test_files_for_network_boot(host):
    for path in ("undionly.kpxe", "snponly.efi"):
        assert host.file(f"/usr/lib/ipxe/{path}").exists


def test_ansible_and_puppet_run(host):
    host.check_output("ansible --version")
    host.check_output("ansible-playbook --version")
    assert host.file("/etc/puppet/puppetserver").exists or host.file("/etc/puppetserver").exists


def test_no_authority_is_in_the_image(host):
    found = host.run("find /etc/puppet /etc/puppetserver /var/lib/puppet /var/lib/puppetserver"
                     " -name '*.pem'").stdout  # fmt: skip
    assert found == ""
