"""Ceph is installed, and nothing of it is active."""


def test_packages(host):
    for name in ("ceph-mon", "ceph-mgr", "ceph-osd", "ceph-mds", "radosgw", "lvm2"):
        assert host.package(name).is_installed, name


def test_no_daemon_starts(host):
    listed = host.check_output("systemctl list-unit-files --state=enabled --no-legend --plain")
    assert [line for line in listed.splitlines() if line.startswith(("ceph", "rados"))] == []
    assert host.service("chrony").is_enabled


def test_the_account_has_cephs_own_ids(host):
    # Debian has given this number to ceph for ever: disks can move between machines.
    assert (host.user("ceph").uid, host.user("ceph").gid) == (64045, 64045)
    assert host.file("/var/lib/ceph").user == "ceph"


def test_programs_run(host):
    assert "ceph version" in host.check_output("ceph --version")
    host.check_output("ceph-conf --version")
    host.check_output("ceph-volume --help")


def test_no_cluster_is_in_the_image(host):
    assert not host.file("/etc/ceph/ceph.client.admin.keyring").exists
    assert not host.file("/etc/ceph/ceph.conf").exists
