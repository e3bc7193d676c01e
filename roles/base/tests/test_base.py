"""What every machine has, whatever its job."""

import json
import os
import stat


def test_packages(host):
    for name in ("systemd-sysv", "openssh-server", "grub2-common", "rsync", "python3"):
        assert host.package(name).is_installed, name
    assert host.run("dpkg --audit").stdout == ""


def test_units_off_or_on_as_said(host):
    presets = host.file("/etc/systemd/system-preset/10-edeploy.preset").content_string
    said = [line.split()[1:] for line in presets.splitlines() if line.startswith("enable ")]
    units = {f"{unit.replace('@.', f'@{rest[0]}.') if rest else unit}" for unit, *rest in said}
    assert {"ssh.service", "systemd-networkd.service", "edeploy-node.service"} <= units
    listed = host.check_output("systemctl list-unit-files --state=enabled --no-legend --plain")
    enabled = {line.split()[0] for line in listed.splitlines()}
    # Nothing starts that no recipe enables. Units may bring others along (`Also=`).
    also = {line for unit in units for line in _also(host, unit)}
    odd = {unit for unit in enabled if unit not in units | also and "@." not in unit}
    assert odd == set()
    for unit in units:
        assert host.run(f"systemctl is-enabled {unit}").stdout.strip() != "masked", unit


def _also(host, unit):
    folders = ("/etc/systemd/system", "/usr/lib/systemd/system")
    text = host.run(f"cat {' '.join(f'{folder}/{unit}' for folder in folders)}").stdout
    return [name for line in text.splitlines() if line.startswith("Also=")
            for name in line.removeprefix("Also=").split()]  # fmt: skip


def test_configuration_parses(host):
    # Host keys are made at first boot.
    host.check_output("ssh-keygen -q -t ed25519 -N '' -f /tmp/key")
    host.check_output("mkdir -p /run/sshd && sshd -t -h /tmp/key")
    host.check_output("apt-config dump")
    host.check_output("visudo -c") if host.exists("visudo") else None


def test_capabilities_are_kept(host):
    path = host.file("/usr/bin/ping").linked_to
    root = host.backend.name
    assert b"\x00\x20" in os.getxattr(f"{root}{path}", "security.capability")
    assert os.stat(f"{root}/usr/bin/su").st_mode & stat.S_ISUID


def test_nothing_of_one_machine(host):
    assert host.file("/etc/machine-id").size == 0
    for path in ("/etc/hostname", "/var/lib/systemd/random-seed", "/etc/ssh/ssh_host_ed25519_key"):
        assert not host.file(path).exists, path
    assert host.check_output("find /var/log /var/lib/apt/lists -type f") == ""
    passwords = [line.split(":")[1] for line in host.file("/etc/shadow").content_string.split()]
    assert {word for word in passwords if not word.startswith(("!", "*"))} == set()


def test_everything_has_an_owner(host):
    paths = json.loads(host.file("/usr/lib/edeploy/paths.json").content_string)
    owned = {*paths["image"], *paths["merged"], *paths["state"]}
    assert set(host.file("/").listdir()) <= owned


def test_the_package_database_belongs_to_usr(host):
    assert host.file("/var/lib/dpkg").linked_to == "/usr/lib/sysimage/dpkg"
    assert host.file("/usr/lib/sysimage/dpkg/status").size > 0


def test_the_initramfs_is_there_when_a_kernel_is(host):
    for path in host.check_output("find /boot -name 'vmlinuz-*'").split():
        assert host.file(path.replace("vmlinuz", "initrd.img")).exists
